"""Build networks for segmentation from standard Keras layers."""

from tfseg.models.unet import unet, unet_2d

MODELS = {"unet_2d": unet_2d}

__all__ = ["MODELS", "unet", "unet_2d"]
