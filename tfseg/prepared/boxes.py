"""Cut boxes out of volumes in files; only the box is read."""

from collections.abc import Sequence

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prepared.stored import Seen


def start_of(centre: Sequence[int], shape: Sequence[int], volume: Sequence[int]) -> tuple[int, ...]:
    """Return the first voxel of a box around a centre, moved until it lies within the volume.

    Along an axis on which the volume is shorter than the box, the volume lies in its middle and the first voxel is
    negative; if the difference is odd, there is one voxel more after it.

    Args:
        centre: a voxel of the volume.
        shape: of the box.
        volume: shape of the volume.

    >>> start_of((9, 1, 2), (4, 4, 8), (10, 10, 5))
    (6, 0, -1)
    """
    sides = zip(centre, shape, volume, strict=True)
    return tuple(min(max(c - n // 2, 0), whole - n) if n <= whole else -((n - whole) // 2) for c, n, whole in sides)


def cut(volume: Seen, start: Sequence[int], shape: Sequence[int], fill: int | None = None) -> Array:
    """Copy a box `[*shape, ...]` of a volume `[slice, h, w, ...]`.

    What lies beyond the volume has the value `fill`; if it is None, each channel's least value in the box, as air has.
    """
    sides = [(first, n, whole) for first, n, whole in zip(start, shape, volume.shape, strict=False)]
    inside = volume[tuple(slice(max(first, 0), min(first + n, whole)) for first, n, whole in sides)]
    if inside.shape[:3] == tuple(shape):
        return np.array(inside, order="C")
    box = np.empty((*shape, *inside.shape[3:]), inside.dtype)
    box[...] = inside.min(axis=(0, 1, 2)) if fill is None else fill
    box[tuple(slice(max(-first, 0), min(n, whole - first)) for first, n, whole in sides)] = inside
    return box
