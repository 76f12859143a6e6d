"""Give the truth at the coarser sizes that deep supervision compares with."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from tfseg.datasets.grids import Array


def stride_of(length: int, coarse: int) -> int:
    """Return the factor by which a length was divided: a power of 2 if one fits, rounded up before rounded down.

    Raises:
        ValueError: if no factor fits.

    >>> stride_of(48, 12), stride_of(45, 12), stride_of(45, 11), stride_of(45, 15)
    (4, 4, 4, 3)
    """
    powers = [2**exponent for exponent in range(length.bit_length() + 1)]
    for stride in chain(powers, range(1, length + 1)):
        if -(-length // stride) == coarse:
            return stride
    for stride in chain(powers, range(1, length + 1)):
        if length // stride == coarse:
            return stride
    raise ValueError(f"{coarse} voxels are no reduction of {length}")


def middles(length: int, coarse: int) -> Array:
    """Return the index of the voxel in the middle of each voxel of a coarser grid; of two, the second.

    The last one of a grid that reaches beyond the image is the image's last.

    >>> middles(10, 5).tolist(), middles(9, 3).tolist()
    ([1, 3, 5, 7, 9], [2, 6, 8])
    """
    stride = stride_of(length, coarse)
    return np.minimum(np.arange(coarse) * stride + stride // 2, length - 1)


def is_reduced(size: Sequence[int], coarse: Sequence[int]) -> bool:
    """Return whether a size is another one, divided by a whole number along each axis.

    >>> is_reduced((45, 48), (23, 12)), is_reduced((45, 48), (30, 24)), is_reduced((45, 48), (23,))
    (True, False, False)
    """
    try:
        return bool([stride_of(length, shorter) for length, shorter in zip(size, coarse, strict=True)])
    except ValueError:
        return False
