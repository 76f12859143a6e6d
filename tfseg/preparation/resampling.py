"""Resample volumes to other numbers of voxels over the same extent, axis by axis."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tfseg.datasets.grids import Array

# Takes a volume `[i, j, k, ...]` and a shape of three axes; returns a volume of that shape, further axes unchanged.
Resampler = Callable[[Array, tuple[int, int, int]], Array]

BLOCK_VOXELS = 2**23  # that are resampled at a time


def linear(volume: Array, shape: tuple[int, int, int]) -> Array:
    """Interpolate linearly, as float32; values are constant beyond the outermost voxel centres."""
    return _separably(volume.astype(np.float32, copy=False), shape, _linear_along)


def spline(volume: Array, shape: tuple[int, int, int]) -> Array:
    """Interpolate by cubic B-splines, as float32, mirrored at the borders, clipped to each channel's range."""
    volume = volume.astype(np.float32, copy=False)
    low, high = volume.min(axis=(0, 1, 2)), volume.max(axis=(0, 1, 2))
    resampled = _separably(volume, shape, _spline_along)
    return np.clip(resampled, low, high, out=None if resampled is volume else resampled)


def nearest(volume: Array, shape: tuple[int, int, int]) -> Array:
    """Take the nearest voxel, of any type."""
    return _separably(volume, shape, _nearest_along)


def by_class(classes: Array, shape: tuple[int, int, int]) -> Array:
    """Interpolate each class's mask linearly and take the class with the largest share, the first of equal ones."""
    best = np.zeros(shape, np.uint8)
    share = np.full(shape, -1, np.float32)
    for index in np.flatnonzero(np.bincount(classes.ravel())).tolist():
        of_class = linear(classes == index, shape)
        better = of_class > share
        best[better], share[better] = index, of_class[better]
    return best


def resampled_length(voxels: int, spacing_mm: float, target_mm: float) -> int:
    """Return how many voxels of about `target_mm` fill the extent of `voxels` of `spacing_mm`, at least 1.

    >>> resampled_length(100, 0.8, 2.0)
    40
    """
    return max(1, round(voxels * spacing_mm / target_mm))


def linear_slabs(
    slabs: Iterable[Array], axis: int, whole: tuple[int, int, int], shape: tuple[int, int, int], backwards: bool = False
) -> Iterator[tuple[slice, Array]]:
    """Interpolate as `linear` does a volume that arrives in slabs along one axis, and keep no more than it needs.

    Args:
        slabs: consecutive parts `[i, j, k, ...]` of a volume, split along `axis`.
        axis: 0, 1 or 2.
        whole: the volume's three lengths.
        shape: the lengths after resampling.
        backwards: the last slab comes first.

    Yields:
        Places along `axis` of the result, and the values there: the same bits as those of `linear`.
    """
    order = [each for each in _most_shrunk_first(whole, shape) if whole[each] != shape[each]]
    below, above, share = _linear_taps(whole[axis], shape[axis])
    if axis not in order:
        above = below  # every slice stays as it is, and waits for no other
    held: Array | None = None
    start = stop = whole[axis] if backwards else 0  # the places of `held`
    done = shape[axis] if backwards else 0
    for slab in slabs:
        slab = slab.astype(np.float32, copy=False)
        held = slab if held is None else np.concatenate([slab, held] if backwards else [held, slab], axis)
        start, stop = (start - slab.shape[axis], stop) if backwards else (start, stop + slab.shape[axis])
        if backwards:
            ready = slice(int(np.searchsorted(below, start)), done)
            done = ready.start
        else:
            ready = slice(done, int(np.searchsorted(above, stop)))
            done = ready.stop
        if ready.start < ready.stop:
            first, last = int(below[ready.start]), int(above[ready.stop - 1])
            part = held.take(range(first - start, last + 1 - start), axis)
            for each in order:
                if each == axis:
                    taps = [(below[ready] - first, 1 - share[ready]), (above[ready] - first, share[ready])]
                    part = _weighted(part, axis, taps)
                else:
                    part = _linear_along(part, each, shape[each])
            yield ready, part
        if backwards and done:
            stop = min(stop, int(above[done - 1]) + 1)
            held = held.take(range(stop - start), axis)
        elif not backwards and done < shape[axis]:
            dropped = max(0, min(int(below[done]), stop) - start)
            held = held.take(range(dropped, stop - start), axis)
            start += dropped


def _separably(volume: Array, shape: tuple[int, int, int], along: Callable[[Array, int, int], Array]) -> Array:
    for axis in _most_shrunk_first(volume.shape, shape):
        if shape[axis] != volume.shape[axis]:
            volume = _in_blocks(volume, axis, shape[axis], along)
    return volume


def _in_blocks(volume: Array, axis: int, length: int, along: Callable[[Array, int, int], Array]) -> Array:
    """Resample one axis, block by block of another, so that little is in memory beside the volume and the result."""
    across = max((each for each in range(3) if each != axis), key=lambda each: abs(volume.strides[each]))
    step = max(1, BLOCK_VOXELS * volume.shape[across] // max(1, volume.size))
    if step >= volume.shape[across]:
        return along(volume, axis, length)
    starts = range(0, volume.shape[across], step)
    first, *others = [(slice(None),) * across + (slice(start, start + step),) for start in starts]
    part = along(volume[first], axis, length)
    result = np.empty((*volume.shape[:axis], length, *volume.shape[axis + 1 :]), part.dtype)
    result[first] = part
    for block in others:
        result[block] = along(volume[block], axis, length)
    return result


def _most_shrunk_first(old: tuple[int, ...], new: tuple[int, int, int]) -> list[int]:
    """Return the axes in the order of resampling: after those that shrink most, the others have less to do."""
    return sorted(range(3), key=lambda axis: new[axis] / old[axis])


def _positions(old: int, new: int) -> Array:
    """Locate the centres of `new` voxels among `old` voxels of the same extent, within the outermost centres."""
    centres: Array = (np.arange(new) + 0.5) * old / new - 0.5
    return centres.clip(0, old - 1)


def _nearest_along(volume: Array, axis: int, length: int) -> Array:
    # Halves are rounded up, so that an even enlargement repeats every voxel equally often.
    return volume.take(np.floor(_positions(volume.shape[axis], length) + 0.5).astype(int), axis)


def _linear_along(volume: Array, axis: int, length: int) -> Array:
    below, above, share = _linear_taps(volume.shape[axis], length)
    return _weighted(volume, axis, [(below, 1 - share), (above, share)])


def _linear_taps(old: int, new: int) -> tuple[Array, Array, Array]:
    """Return for each of `new` voxels the two of `old` that it lies between, and the share of the second."""
    positions = _positions(old, new)
    below = np.floor(positions).astype(int)
    return below, np.minimum(below + 1, old - 1), positions - below


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
    """Sum voxels along an axis: for each tap, the voxels at its indices times its weights."""
    ahead = (slice(None), *[np.newaxis] * (volume.ndim - axis - 1))
    total = np.zeros((*volume.shape[:axis], len(taps[0][0]), *volume.shape[axis + 1 :]), np.float32)
    for index, weights in taps:
        part = volume.take(index, axis)
        part *= weights.astype(np.float32)[ahead]
        total += part
    return total
