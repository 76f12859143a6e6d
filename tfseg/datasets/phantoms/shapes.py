"""Draw phantoms: implicit shapes in mm, smooth random fields, a canvas with partial volume."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Points = Sequence[NDArray[np.floating]]  # x to the right, y to the front, z upwards; each broadcasts to [x, y, z]

# Half the extent of random fields, on any grid: a subject is the same at any size.
_REACH_MM = (225.0, 225.0, 135.0)


def voxel_centres(shape: Sequence[int], spacing_mm: Sequence[float], centre_mm: Sequence[float]) -> list[Array]:
    """Coordinates of the voxel centres along each axis, the grid's middle at `centre_mm`."""
    return [
        (centre + step * (np.arange(n) - (n - 1) / 2)).astype(np.float32)
        for n, step, centre in zip(shape, spacing_mm, centre_mm, strict=True)
    ]


def smooth_field(rng: np.random.Generator, axes_mm: Sequence[Array], scale_mm: float) -> Array:
    """A random field [x, y, z] of mean 0 and variance 1 that varies over about `scale_mm`.

    White noise on a lattice fixed in space, under cubic B-splines scaled to unit energy. Summed tap by tap:
    the bits of a matrix product would depend on the number of threads.
    """
    step_mm = 1.25 * scale_mm
    field = rng.standard_normal([int(2 * reach / step_mm) + 4 for reach in _REACH_MM], dtype=np.float32)
    for axis, (axis_mm, reach) in reversed(list(enumerate(zip(axes_mm, _REACH_MM, strict=True)))):
        position = np.clip((axis_mm + reach) / step_mm, 0, field.shape[axis] - 4)
        first = position.astype(int)
        t = position - first
        taps = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3])
        taps /= np.linalg.norm(taps, axis=0)
        along = [-1 if a == axis else 1 for a in range(3)]
        field = sum(tap.reshape(along) * field.take(first + i, axis) for i, tap in enumerate(taps))
    return field.astype(np.float32)


def rotated(points: Points, degrees: float, plane: tuple[int, int] = (0, 1)) -> Points:
    """The points turned about the origin in one plane."""
    a, b = plane
    cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    turned = list(points)
    turned[a], turned[b] = cos * points[a] + sin * points[b], cos * points[b] - sin * points[a]
    return turned


def ellipsoid(points: Points, centre_mm: ArrayLike, radii_mm: ArrayLike, power: float = 2.0) -> Array:
    """Below 0 inside; near the surface about the distance to it in millimetres. Power above 2 is boxier."""
    total = np.zeros((), np.float32)
    for point, centre, radius in zip(points, np.asarray(centre_mm), np.asarray(radii_mm), strict=True):
        scaled = (point - np.float32(centre)) / np.float32(radius)
        total = total + (scaled * scaled if power == 2 else np.abs(scaled) ** np.float32(power))
    return ((total ** (1 / power) - 1) * np.min(radii_mm)).astype(np.float32)


def intersection(*shapes: NDArray[np.floating]) -> Array:
    """The intersection of implicit shapes."""
    return functools.reduce(np.maximum, shapes).astype(np.float32)


def inside_share(shape: Array) -> Array:
    """The share, 0 to 1, of every voxel [x, y, z] that lies inside an implicit shape.

    The shape is taken as linear within a voxel, so thick slices blur what crosses them at a slant.
    """
    spread = np.full(shape.shape, 1e-6, np.float32)
    for axis in range(shape.ndim):
        spread += np.abs(np.gradient(shape, axis=axis))
    return np.clip(0.5 - shape / spread, 0, 1)


class Canvas:
    """An image [x, y, z, channels] and its labels [x, y, z]; later shapes cover earlier ones."""

    def __init__(self, shape: Sequence[int], background: Sequence[float]) -> None:
        self.image = np.empty((*shape, len(background)), np.float32)
        self.image[...] = background
        self.label = np.zeros(tuple(shape), np.uint8)

    def paint(self, shape: Array, value: ArrayLike, label: int = 0) -> None:
        """Fill a shape [x, y, z] with a value per channel, or with a texture [x, y, z, channels]."""
        share = inside_share(np.broadcast_to(shape, self.label.shape))
        self.image += share[..., None] * (np.asarray(value, np.float32) - self.image)
        self.label[share > 0.5] = label
