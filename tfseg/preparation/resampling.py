"""Resampling volumes to other numbers of voxels over the same extent, axis by axis."""

from collections.abc import Callable

import numpy as np

from tfseg.datasets.grids import Array

# From a volume `[i, j, k, ...]` and a shape of three axes to a volume of that shape; further axes are kept.
Resampler = Callable[[Array, tuple[int, int, int]], Array]


def linear(volume: Array, shape: tuple[int, int, int]) -> Array:
    """Interpolate linearly, as float32; beyond the outermost centres values stay constant."""
    return _separably(volume.astype(np.float32, copy=False), shape, _linear_along)


def spline(volume: Array, shape: tuple[int, int, int]) -> Array:
    """Interpolate by cubic B-splines, as float32, mirrored at the borders, kept within each channel's range."""
    volume = volume.astype(np.float32, copy=False)
    low, high = volume.min(axis=(0, 1, 2)), volume.max(axis=(0, 1, 2))
    return np.clip(_separably(volume, shape, _spline_along), low, high)


def nearest(volume: Array, shape: tuple[int, int, int]) -> Array:
    """Take the nearest voxel, of any type."""
    return _separably(volume, shape, _nearest_along)


def by_class(classes: Array, shape: tuple[int, int, int]) -> Array:
    """Interpolate each class's mask linearly and take the class with the largest share, the first where shares tie."""
    best = np.zeros(shape, np.uint8)
    share = np.full(shape, -1, np.float32)
    for index in np.flatnonzero(np.bincount(classes.ravel())).tolist():
        of_class = linear(classes == index, shape)
        better = of_class > share
        best[better], share[better] = index, of_class[better]
    return best


def resampled_length(voxels: int, spacing_mm: float, target_mm: float) -> int:
    """Count the voxels of about `target_mm` that fill the extent of `voxels` of `spacing_mm`, 1 at least."""
    return max(1, round(voxels * spacing_mm / target_mm))


def _separably(volume: Array, shape: tuple[int, int, int], along: Callable[[Array, int, int], Array]) -> Array:
    """Resample along one axis after another, those that shrink most first: the others then have less to do."""
    for axis in sorted(range(3), key=lambda axis: shape[axis] / volume.shape[axis]):
        if shape[axis] != volume.shape[axis]:
            volume = along(volume, axis, shape[axis])
    return volume


def _positions(old: int, new: int) -> Array:
    """Where the centres of `new` voxels lie among `old` voxels of the same extent, within the outermost centres."""
    centres: Array = (np.arange(new) + 0.5) * old / new - 0.5
    return centres.clip(0, old - 1)


def _nearest_along(volume: Array, axis: int, length: int) -> Array:
    # Halves go up at every place, so that each voxel of an even enlargement is repeated as often as the next.
    return volume.take(np.floor(_positions(volume.shape[axis], length) + 0.5).astype(int), axis)


def _linear_along(volume: Array, axis: int, length: int) -> Array:
    positions = _positions(volume.shape[axis], length)
    below = np.floor(positions).astype(int)
    above = np.minimum(below + 1, volume.shape[axis] - 1)
    return _weighted(volume, axis, [(below, 1 - (positions - below)), (above, positions - below)])


def _spline_along(volume: Array, axis: int, length: int) -> Array:
    old = volume.shape[axis]
    if old == 1:
        return volume.repeat(length, axis)
    from scipy import ndimage

    coefficients = ndimage.spline_filter1d(volume, 3, axis, output=np.float32, mode="mirror")
    positions = _positions(old, length)
    below = np.floor(positions).astype(int)
    t = positions - below
    weights = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3)
    mirrored = [_mirrored(below + step, old) for step in (-1, 0, 1, 2)]
    return _weighted(coefficients, axis, [(index, w / 6) for index, w in zip(mirrored, weights, strict=True)])


def _mirrored(index: Array, length: int) -> Array:
    """Reflect indices about the first and the last voxel's centre."""
    period = 2 * (length - 1)
    wrapped = np.abs(index) % period
    return np.minimum(wrapped, period - wrapped)


def _weighted(volume: Array, axis: int, taps: list[tuple[Array, Array]]) -> Array:
    """Sum voxels along an axis, each tap's indices with its weights."""
    ahead = (slice(None), *[np.newaxis] * (volume.ndim - axis - 1))
    total = np.zeros((*volume.shape[:axis], len(taps[0][0]), *volume.shape[axis + 1 :]), np.float32)
    for index, weights in taps:
        part = volume.take(index, axis)
        part *= weights.astype(np.float32)[ahead]
        total += part
    return total
