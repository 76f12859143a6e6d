"""Named U-Nets, in 2D and 3D; each docstring gives the weights for one channel and one class."""

from typing import Any

import keras

from tfseg.config.model import PRESETS
from tfseg.models.unet import unet


def unet_2d(image_shape: tuple[int, int, int], classes: int, **settings: Any) -> keras.Model:
    """Build the U-Net of Kethavath 2025 for slices `(h, w, channels)`: 16 first filters, four halvings, dropout.

    Args:
        image_shape: size and channels.
        classes: output channels.
        **settings: as `unet`, in place of the network's own.

    Raises:
        ValueError: if `image_shape` has another rank, or as `unet`.

    Example:
        >>> f"{unet_2d((256, 256, 1), classes=1).count_params():,} weights"
        '2,162,833 weights'

    Source: Kethavath 2025 (10.1088/2057-1976/ae2b73).
    """
    return _build("unet_2d", image_shape, classes, settings)


def unet_2d_standard(image_shape: tuple[int, int, int], classes: int, **settings: Any) -> keras.Model:
    """Build the widest U-Net for slices: four blocks on either side, 64 first filters, no dropout.

    Example:
        >>> f"{unet_2d_standard((256, 256, 1), classes=1).count_params():,} weights"
        '31,048,257 weights'

    Source: Ronneberger 2015 (arXiv:1505.04597), with batch norm and padded convolutions; four blocks as Neyestanak
    2025 (10.18502/jbe.v11i1.19315), who gives no number of filters.
    """
    return _build("unet_2d_standard", image_shape, classes, settings)


def unet_2d_light(image_shape: tuple[int, int, int], classes: int, **settings: Any) -> keras.Model:
    """Build `unet_3d_light` for slices.

    Example:
        >>> f"{unet_2d_light((256, 256, 1), classes=1).count_params():,} weights"
        '121,737 weights'
    """
    return _build("unet_2d_light", image_shape, classes, settings)


def unet_2d_deep(image_shape: tuple[int, int, int], classes: int, **settings: Any) -> keras.Model:
    """Build `unet_3d_deep` for slices.

    Example:
        >>> f"{unet_2d_deep((256, 256, 1), classes=1).count_params():,} weights"
        '6,979,364 weights'
    """
    return _build("unet_2d_deep", image_shape, classes, settings)


def unet_3d(image_shape: tuple[int, int, int, int], classes: int, **settings: Any) -> keras.Model:
    """Build the U-Net for volumes `(d, h, w, channels)`: 16 first filters, three halvings, no dropout.

    Example:
        >>> f"{unet_3d((64, 64, 64, 1), classes=1).count_params():,} weights"
        '1,402,673 weights'

    Source: Çiçek 2016 (arXiv:1606.06650); layers as Kim 2025 ("Effects of loss functions on MRI segmentation
    accuracy", Journal of Magnetics), who gives neither filters nor depth.
    """
    return _build("unet_3d", image_shape, classes, settings)


def unet_3d_light(image_shape: tuple[int, int, int, int], classes: int, **settings: Any) -> keras.Model:
    """Build a small U-Net for volumes: 8 first filters, three halvings, Leaky ReLU, dropout growing with depth.

    Example:
        >>> f"{unet_3d_light((64, 64, 64, 1), classes=1).count_params():,} weights"
        '351,513 weights'

    Source: layers as "Compound losses for hypoxic-ischaemic encephalopathy (HIE) lesions" (BONBID-HIE 2024), which
    gives neither filters nor rates.
    """
    return _build("unet_3d_light", image_shape, classes, settings)


def unet_3d_deep(image_shape: tuple[int, int, int, int], classes: int, **settings: Any) -> keras.Model:
    """Build the deep U-Net for volumes: five down-samplings, filters doubling through the first three, Leaky ReLU.

    It is asymmetric: two convolutions per stage of the encoder, one per stage of the decoder. The four finest levels
    have an output each.

    Example:
        >>> f"{unet_3d_deep((64, 64, 64, 1), classes=1).count_params():,} weights"
        '20,228,452 weights'

    Source: He 2024 (10.3390/bioengineering11050427), who gives neither filters nor norm: 32 first filters and instance
    norm are those of nnU-Net (Isensee 2021, 10.1038/s41592-020-01008-z).
    """
    return _build("unet_3d_deep", image_shape, classes, settings)


def _build(name: str, image_shape: tuple[int, ...], classes: int, settings: dict[str, Any]) -> keras.Model:
    axes = "(h, w, channels)" if "2d" in name else "(d, h, w, channels)"
    if len(image_shape) != axes.count(",") + 1:
        raise ValueError(f"image_shape: {name} expected {axes}, received {tuple(image_shape)}")
    return unet(image_shape, classes, **{**PRESETS[name], "name": name, **settings})
