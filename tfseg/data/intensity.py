"""Intensity steps of preparation, on arrays."""

import cv2
import numpy as np
from scipy import ndimage

from tfseg.data.volume import Array, DataError


def clip_window(image: Array, window_hu: tuple[float, float]) -> Array:
    """Clip to a window of Hounsfield units, `(low, high)`."""
    return np.clip(image, *window_hu)


def median_filter(slices: Array, kernel: int) -> Array:
    """Median filter each slice and channel of float32 `[slice, h, w, channels]` over `kernel`×`kernel` pixels, odd.

    Borders repeat their outermost pixel.
    """
    filtered = np.empty_like(slices)
    for index in np.ndindex(slices.shape[0], slices.shape[3]):
        image = np.ascontiguousarray(slices[index[0], :, :, index[1]])
        # OpenCV is the fastest, but takes float32 up to a kernel of 5 alone.
        if kernel <= 5:
            filtered[index[0], :, :, index[1]] = cv2.medianBlur(image, kernel)
        else:
            filtered[index[0], :, :, index[1]] = ndimage.median_filter(image, kernel, mode="nearest")
    return filtered


def zscore(image: Array, inside: Array | None = None) -> Array:
    """Shift and scale one channel to mean 0 and standard deviation 1, measured `inside` a mask or everywhere.

    Raises:
        DataError: where every value is the same, so that there is nothing to scale by.
    """
    values = image if inside is None else image[inside]
    mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    if deviation == 0:
        raise DataError(f"every voxel has the value {mean:g}: z-scoring needs some that differ")
    return ((image - mean) / deviation).astype(np.float32)


def rescale(image: Array, low: float, high: float) -> Array:
    """Map the range `low` to `high` to 0 to 1 linearly, clipping what lies outside.

    Raises:
        DataError: where the range is empty.
    """
    if not low < high:
        raise DataError(f"every voxel has the value {low:g}: min-max scaling needs some that differ")
    return np.clip((image - low) / (high - low), 0, 1).astype(np.float32)
