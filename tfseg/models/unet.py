"""Build the U-Net."""

from collections.abc import Sequence
from typing import Any

import keras

from tfseg.models import blocks, sizes
from tfseg.models.blocks import Blocks, Strides

LOGITS = "logits"  # begins the names of the last layers, whose outputs become probabilities


def unet(
    image_shape: tuple[int | None, ...],
    classes: int,
    *,
    filters: int = 16,
    doublings: int | None = None,
    depth: int = 4,
    pooling: Sequence[Sequence[int]] | None = None,
    convolutions: Sequence[int] = (2, 2),
    dropout: Sequence[float] = (0.0, 0.2),
    downsampling: str = "max_pool",
    upsampling: str = "transposed",
    transposed_width: int | None = 3,
    attention: bool = False,
    deep_supervision: int = 1,
    output_activation: str | None = None,
    name: str = "unet",
    **block: Any,
) -> keras.Model:
    """Build a U-Net of standard Keras layers, in 2D or 3D.

    Stage k of the encoder has `filters`·2^k filters; its convolutions are followed by down-sampling and dropout.
    The decoder mirrors it with up-sampling and skip connections. A 1×1 convolution and the activation give the
    probabilities, in float32. A size that cannot be halved so often is padded with zeros at its end, and the
    probabilities are cropped back.

    Args:
        image_shape: `(h, w, channels)` or `(d, h, w, channels)`; an unknown length must be divisible by 2^depth.
        classes: output channels.
        filters: filters of the first stage.
        doublings: stages after which the filters stay as they are; None: they double at every stage.
        depth: number of down-samplings.
        pooling: factor of each down-sampling along each axis, `[depth][rank]`; None: 2 everywhere.
        convolutions: per stage of the encoder and of the decoder.
        dropout: rates of the finest and the coarsest stage, in [0, 1).
        downsampling: "max_pool" or "strided_convolution".
        upsampling: "transposed" (a convolution) or "linear" (bilinear or trilinear, then a 1×1 convolution).
        transposed_width: width of the transposed convolutions; None: that of their strides.
        attention: weigh every skip connection by an attention gate (Oktay 2018).
        deep_supervision: number of levels, from the finest, that have an output. If it is above 1, the network returns
            a list of probabilities, the full size first.
        output_activation: "sigmoid" (one class, or regions that may overlap) or "softmax"; if None, by the number of
            classes.
        name: name of the Keras model.
        **block: as `Blocks`: norm, norm_momentum, norm_groups, activation, residual, synchronized.

    Raises:
        ValueError: if an argument is out of range or of another rank than the image.

    Example:
        >>> unet((30, 32, 16, 1), classes=3, filters=4, depth=2).output_shape
        (None, 30, 32, 16, 3)

    Source: Ronneberger 2015 (arXiv:1505.04597), Çiçek 2016 (arXiv:1606.06650); default filters, dropout and norm as
    Kethavath 2025 (10.1088/2057-1976/ae2b73).
    """
    rank = len(image_shape) - 1
    strides = _strides(pooling, depth, rank)
    _check("deep_supervision", deep_supervision, range(1, depth + 1))
    _check("downsampling", downsampling, ("max_pool", "strided_convolution"))
    _check("upsampling", upsampling, ("transposed", "linear"))
    make = Blocks(**block)
    widths = [filters * 2 ** (stage if doublings is None else min(stage, doublings)) for stage in range(depth + 1)]
    rates = blocks.dropout_rates(dropout, depth)
    image = keras.Input(image_shape, name="image")
    reductions = sizes.products(strides, rank)
    x = sizes.pad(image, reductions[-1])
    skips = []
    for stage in range(depth):
        x = make.stage(x, widths[stage], convolutions[0])
        skips.append(x)
        layer = keras.layers.Dropout(rates[stage], name=f"dropout_down_{stage}")
        x = layer(make.down(x, strides[stage], strided=downsampling == "strided_convolution"))
    x = make.stage(x, widths[depth], convolutions[0])
    decoded = []
    for stage in reversed(range(depth)):
        skip = blocks.attention_gate(skips[stage], x, strides[stage]) if attention else skips[stage]
        if upsampling == "linear":
            x = blocks.convolution(blocks.enlarge(x, strides[stage]), widths[stage], 1)
        else:
            x = make.up(x, widths[stage], strides[stage], transposed_width)
        x = keras.layers.Concatenate()([x, skip])
        x = keras.layers.Dropout(rates[stage], name=f"dropout_up_{stage}")(x)
        x = make.stage(x, widths[stage], convolutions[1])
        decoded.append(x)
    outputs = []
    for level in range(deep_supervision):
        x = blocks.CONVOLUTIONS[rank](classes, 1, name=f"{LOGITS}_{level}" if level else LOGITS)(decoded[-1 - level])
        x = sizes.crop(x, sizes.reduced(image_shape[:-1], reductions[level]))
        # Probabilities stay float32 under mixed precision: float16 rounds those near 1.
        final = output_activation or ("sigmoid" if classes == 1 else "softmax")
        output_name = f"probability_{level}" if level else "probability"
        outputs.append(keras.layers.Activation(final, dtype="float32", name=output_name)(x))
    return keras.Model(image, outputs if deep_supervision > 1 else outputs[0], name=name)


def _strides(pooling: Sequence[Sequence[int]] | None, depth: int, rank: int) -> list[Strides]:
    """Return the factors of each down-sampling, checked against depth and rank."""
    if rank not in blocks.CONVOLUTIONS:
        raise ValueError(f"image_shape: expected (h, w, channels) or (d, h, w, channels), received {rank + 1} entries")
    if pooling is None:
        return [(2,) * rank] * depth
    strides = [tuple(each) for each in pooling]
    if len(strides) != depth or any(len(each) != rank or min(each) < 1 for each in strides):
        raise ValueError(f"pooling: expected {depth} factors of {rank} axes of at least 1, received {pooling}")
    return strides


def _check(name: str, value: object, possible: Sequence[object]) -> None:
    """Refuse an argument that is not among its possible values."""
    if value not in possible:
        raise ValueError(f"{name}: expected one of {', '.join(map(str, possible))}, received {value!r}")
