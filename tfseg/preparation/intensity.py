"""Clip, filter and scale intensities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets.grids import Array

# Values that are squared at a time, as float64 copies of a whole scan are slow and large.
BLOCK = 8192


def clip_window(image: Array, window_hu: tuple[float, float]) -> Array:
    """Clip to a window of Hounsfield units, `(low, high)`."""
    return np.clip(image, *window_hu)


def median_filter(slices: Array, kernel: int) -> Array:
    """Median filter each slice over `kernel`×`kernel` pixels; borders repeat their outermost pixel.

    Args:
        slices: float32 `[slice, h, w]`.
        kernel: odd.
    """
    import cv2
    from scipy import ndimage

    filtered = np.empty(slices.shape, np.float32)
    for image, into in zip(slices, filtered, strict=True):
        # OpenCV is fastest, but takes float32 only up to a kernel of 5.
        if kernel <= 5:
            cv2.medianBlur(np.ascontiguousarray(image), kernel, into)
        else:
            ndimage.median_filter(image, kernel, output=into, mode="nearest")
    return filtered


def gaussian_blur(image: Array, blur_mm: float, spacing_mm: Sequence[float]) -> Array:
    """Blur `[i, j, k]` by a Gaussian of standard deviation `blur_mm` along every axis, to float32.

    Voxels much longer than `blur_mm` stay almost as they are. Borders repeat their outermost voxel.
    """
    from scipy import ndimage

    return ndimage.gaussian_filter(image, np.divide(blur_mm, spacing_mm), output=np.float32, mode="nearest")


@dataclass(frozen=True)
class Scaling:
    """A linear change of intensities, `(value - shift) / scale`, clipped to the range 0 to 1 if `clipped`."""

    shift: float
    scale: float
    clipped: bool = False

    def apply(self, image: Array) -> Array:
        """Scale an array, as float32."""
        scaled = np.subtract(image, np.float32(self.shift), dtype=np.float32)
        scaled /= self.scale
        return np.clip(scaled, 0, 1, out=scaled) if self.clipped else scaled


def zscore(values: Array) -> Scaling:
    """Return the scaling of values to mean 0 and standard deviation 1.

    Raises:
        DataError: if every value is the same.

    >>> zscore(np.array([1.0, 3.0]))
    Scaling(shift=2.0, scale=1.0, clipped=False)
    """
    mean = values.mean(dtype=np.float64)
    flat = values.ravel(order="K")
    blocks = (flat[first : first + BLOCK] for first in range(0, flat.size, BLOCK))
    deviation = math.sqrt(math.fsum(float(np.square(block - mean).sum()) for block in blocks) / flat.size)
    if deviation == 0:
        raise DataError(f"every voxel has the value {mean:g}: z-scoring needs some that differ")
    return Scaling(float(mean), deviation)


def rescale(low: float, high: float) -> Scaling:
    """Return the scaling of the range `low` to `high` to 0 to 1, clipped.

    Raises:
        DataError: if the range is empty.

    >>> rescale(-160, 240).apply(np.array([-200.0, 40.0, 240.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    if not low < high:
        raise DataError(f"every voxel has the value {low:g}: min-max scaling needs some that differ")
    return Scaling(low, high - low, clipped=True)


def percentiles(values: Array, low_high: tuple[float, float]) -> Scaling:
    """Return the scaling of the range between two percentiles of values to 0 to 1, clipped.

    Raises:
        DataError: if both percentiles have the same value.
    """
    low, high = np.percentile(values, low_high).tolist()
    if not low < high:
        raise DataError(
            f"percentiles {low_high[0]:g} and {low_high[1]:g} are both {low:g}: scaling needs them to differ"
        )
    return rescale(low, high)
