"""Build networks for segmentation from standard Keras layers."""

from collections.abc import Callable

import keras

from tfseg.models.presets import (
    unet_2d,
    unet_2d_deep,
    unet_2d_light,
    unet_2d_standard,
    unet_3d,
    unet_3d_deep,
    unet_3d_light,
)
from tfseg.models.unet import unet

MODELS: dict[str, Callable[..., keras.Model]] = {
    build.__name__: build
    for build in (unet_2d, unet_2d_standard, unet_2d_light, unet_2d_deep, unet_3d, unet_3d_light, unet_3d_deep)
}
"""Every named network: name → function that builds it."""

__all__ = [
    "MODELS",
    "unet",
    "unet_2d",
    "unet_2d_deep",
    "unet_2d_light",
    "unet_2d_standard",
    "unet_3d",
    "unet_3d_deep",
    "unet_3d_light",
]


def __dir__() -> list[str]:
    return __all__
