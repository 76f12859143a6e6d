"""Make smooth random fields."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

from tfseg.datasets.grids import Array


def smooth_field(rng: np.random.Generator, shape: Sequence[int], components: int, points: int) -> Array:
    """Return cubic splines through random numbers, float32 `[components, *shape]`.

    The numbers, `points` along each axis, are normal with mean 0 and standard deviation 1.
    """
    field = rng.standard_normal((components, *[points] * len(shape)), dtype=np.float32)
    for length in shape:  # each axis in turn becomes the last
        field = np.moveaxis(field, 1, -1) @ _spline(length, points).T
    return field


@lru_cache
def _spline(length: int, points: int) -> Array:
    """Return the values of the spline through each control point, the others being 0, `[length, points]`."""
    identity = np.eye(points, dtype=np.float32)
    values: Array = ndimage.zoom(identity, (length / points, 1), order=3, mode="mirror", grid_mode=True)
    return values
