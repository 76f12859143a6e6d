"""Build the U-Net."""

from collections.abc import Sequence

import keras

from tfseg.models import blocks


def unet(
    image_shape: tuple[int, ...],
    classes: int,
    *,
    filters: int = 16,
    depth: int = 4,
    dropout: Sequence[float] = (0.15, 0.3),
    norm: str = "batch",
    norm_momentum: float = 0.9,
    activation: str | None = None,
    synchronized: bool = False,
    name: str = "unet",
) -> keras.Model:
    """Build a U-Net of standard Keras layers.

    Stage k of the encoder has `filters`·2^k filters; its two convolutions are followed by max pooling and dropout.
    The decoder mirrors it with transposed convolutions and skip connections. A 1×1 convolution and the activation
    give the probabilities, in float32.

    Args:
        image_shape: `(*spatial, channels)`, with spatial lengths divisible by 2^depth.
        classes: output channels.
        filters: filters of the first stage.
        depth: number of halvings.
        dropout: rates of the finest and the coarsest stage, in [0, 1).
        norm: "batch", "instance" or "none".
        norm_momentum: share of the past in the moving statistics of batch norm, in [0, 1); Keras's own is 0.99.
        activation: "sigmoid" (one class, or regions that may overlap) or "softmax"; if None, by the number of classes.
        synchronized: share batch statistics between replicas.
        name: name of the Keras model.

    Raises:
        ValueError: if a spatial length is not divisible by 2^depth.

    Example:
        >>> unet((32, 32, 16, 1), classes=3, filters=4, depth=2).output_shape
        (None, 32, 32, 16, 3)

    Source: Ronneberger 2015 (arXiv:1505.04597); default filters, dropout and norm as Kethavath 2025
    (10.1088/2057-1976/ae2b73).
    """
    if any(length is not None and length % 2**depth for length in image_shape[:-1]):
        raise ValueError(
            f"image_shape: expected lengths divisible by 2^depth = {2**depth}, received {tuple(image_shape[:-1])}"
        )
    rates = blocks.dropout_rates(dropout, depth)
    image = x = keras.Input(image_shape, name="image")
    skips = []
    for stage in range(depth):
        x = blocks.double_convolution(x, filters * 2**stage, norm, norm_momentum, synchronized)
        skips.append(x)
        x = blocks.down(x, rates[stage])
    x = blocks.double_convolution(x, filters * 2**depth, norm, norm_momentum, synchronized)
    for stage in reversed(range(depth)):
        x = blocks.up(x, skips[stage], filters * 2**stage, rates[stage])
        x = blocks.double_convolution(x, filters * 2**stage, norm, norm_momentum, synchronized)
    x = blocks.CONVOLUTIONS[blocks.rank_of(x)](classes, 1)(x)
    # Probabilities stay float32 under mixed precision: float16 rounds those near 1.
    activation = activation or ("sigmoid" if classes == 1 else "softmax")
    return keras.Model(image, keras.layers.Activation(activation, dtype="float32", name="probability")(x), name=name)


def unet_2d(image_shape: tuple[int, int, int], classes: int, **settings: object) -> keras.Model:
    """Build the U-Net for slices `(h, w, channels)`; settings as `unet`.

    Raises:
        ValueError: if `image_shape` does not have three entries, or as `unet`.

    Example:
        >>> f"{unet_2d((256, 256, 1), classes=1).count_params():,} weights"
        '2,162,833 weights'
    """
    if len(image_shape) != 3:
        raise ValueError(f"image_shape: expected (h, w, channels), received {tuple(image_shape)}")
    return unet(image_shape, classes, name="unet_2d", **settings)  # type: ignore[arg-type]
