"""Change the intensities of an image; its truth stays."""

import cv2
import numpy as np
from scipy import ndimage

from tfseg.datasets.grids import Array
from tfseg.prepared.augmentation.fields import smooth_field

POINTS = 3  # of the bias field, along each axis


def recolour(image: Array, drawn: np.void) -> Array:
    """Apply bias field, brightness, contrast, gamma, blur, anisotropy and noise, in this order, as they were drawn.

    Args:
        image: float32 `[*spatial, channels]`.
        drawn: the parameters of these steps.
    """
    spatial = tuple(range(image.ndim - 1))
    if drawn["bias_field"]:
        field = smooth_field(np.random.default_rng([drawn["seed"], 1]), image.shape[:-1], 1, POINTS)[0]
        low = image.min(axis=spatial)
        image = low + (image - low) * np.exp(np.float32(drawn["bias_field"]) * field)[..., np.newaxis]
    if drawn["brightness"]:
        image = image + np.float32(drawn["brightness"])
    if drawn["contrast"] != 1:
        mean = image.mean(axis=spatial)
        image = mean + (image - mean) * np.float32(drawn["contrast"])
    if drawn["gamma"]:
        low = image.min(axis=spatial)
        span = np.maximum(image.max(axis=spatial) - low, np.finfo(np.float32).tiny)
        image = low + span * ((image - low) / span) ** np.float32(np.exp(drawn["gamma"]))
    if drawn["blur"]:
        image = ndimage.gaussian_filter(image, drawn["blur"], mode="mirror", axes=spatial)
    if drawn["anisotropy"] != 1:
        image = coarsened(image, int(drawn["coarse_axis"]), float(drawn["anisotropy"]))
    if drawn["noise"]:
        rng = np.random.default_rng([drawn["seed"], 2])
        image = image + np.float32(drawn["noise"]) * rng.standard_normal(image.shape, dtype=np.float32)
    return image


def coarsened(image: Array, axis: int, factor: float) -> Array:
    """Average an image `[*spatial, channels]` over voxels that are longer by a factor along one axis, and go back.

    >>> coarsened(np.float32([[[0], [2], [4], [6]]]), axis=1, factor=2)[0, :, 0].tolist()
    [1.0, 2.0, 4.0, 5.0]
    """
    first = np.moveaxis(image, axis, 0)
    rows = np.ascontiguousarray(first).reshape(len(first), -1)
    coarse = cv2.resize(rows, (rows.shape[1], max(1, round(len(rows) / factor))), interpolation=cv2.INTER_AREA)
    fine = cv2.resize(coarse, (rows.shape[1], len(rows)), interpolation=cv2.INTER_LINEAR)
    return np.moveaxis(fine.reshape(first.shape), 0, axis)
