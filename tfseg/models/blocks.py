"""Build the blocks of a U-Net, in 2D and 3D."""

from collections.abc import Sequence

import keras

CONVOLUTIONS = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}
TRANSPOSED_CONVOLUTIONS = {2: keras.layers.Conv2DTranspose, 3: keras.layers.Conv3DTranspose}
POOLINGS = {2: keras.layers.MaxPooling2D, 3: keras.layers.MaxPooling3D}


def rank_of(x: keras.KerasTensor) -> int:
    """Return the number of spatial dimensions of a tensor `[batch, *spatial, channels]`."""
    return len(x.shape) - 2


def normalize(x: keras.KerasTensor, norm: str, momentum: float, synchronized: bool) -> keras.KerasTensor:
    """Normalise channels: `batch`, `instance` or `none`; `momentum` is the share of the past in the
    moving statistics of `batch`, `synchronized` shares its statistics between replicas.

    Raises:
        ValueError: if `norm` is unknown.
    """
    if norm == "batch":
        return keras.layers.BatchNormalization(momentum=momentum, synchronized=synchronized)(x)
    if norm == "instance":
        return keras.layers.GroupNormalization(groups=-1)(x)
    if norm != "none":
        raise ValueError(f"norm: expected batch, instance or none, received {norm!r}")
    return x


def double_convolution(
    x: keras.KerasTensor, filters: int, norm: str, momentum: float, synchronized: bool
) -> keras.KerasTensor:
    """Apply twice: convolution of width 3 with He initialisation, normalisation, ReLU."""
    for _ in range(2):
        convolution = CONVOLUTIONS[rank_of(x)]
        x = convolution(filters, 3, padding="same", kernel_initializer="he_normal", use_bias=norm == "none")(x)
        x = normalize(x, norm, momentum, synchronized)
        x = keras.layers.Activation("relu")(x)
    return x


def down(x: keras.KerasTensor, dropout: float) -> keras.KerasTensor:
    """Halve the image by max pooling, then apply dropout."""
    return keras.layers.Dropout(dropout)(POOLINGS[rank_of(x)](2)(x))


def up(x: keras.KerasTensor, skip: keras.KerasTensor, filters: int, dropout: float) -> keras.KerasTensor:
    """Double the image by a transposed convolution of width 3, append the encoder's features, then apply dropout."""
    transposed = TRANSPOSED_CONVOLUTIONS[rank_of(x)]
    x = transposed(filters, 3, strides=2, padding="same", kernel_initializer="he_normal")(x)
    x = keras.layers.Concatenate()([x, skip])
    return keras.layers.Dropout(dropout)(x)


def dropout_rates(first_and_last: Sequence[float], depth: int) -> list[float]:
    """Return the dropout rates of `depth` stages, interpolated linearly from the finest to the coarsest.

    >>> dropout_rates((0.0, 0.5), 3)
    [0.0, 0.25, 0.5]
    """
    first, last = first_and_last
    return [first + (last - first) * stage / max(depth - 1, 1) for stage in range(depth)]
