"""Decide how often each axis of an image is halved, and pad sizes that cannot be."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from tfseg.models.blocks import Strides, rank_of

CROPPINGS = {2: keras.layers.Cropping2D, 3: keras.layers.Cropping3D}


def reduced(size: Sequence[int | None], strides: Sequence[int]) -> tuple[int | None, ...]:
    """Return the size of an image after a reduction, rounded up; an unknown length stays unknown.

    >>> reduced((10, 45, None), (1, 2, 2))
    (10, 23, None)
    """
    return tuple(length and math.ceil(length / stride) for length, stride in zip(size, strides, strict=True))


def products(strides: Sequence[Strides], rank: int) -> list[Strides]:
    """Return by how much an image is reduced at the input of each level, and after the last.

    >>> products([(1, 2, 2), (2, 2, 2)], rank=3)
    [(1, 1, 1), (1, 2, 2), (2, 4, 4)]
    """
    totals: list[Strides] = [(1,) * rank]
    for each in strides:
        totals.append(tuple(total * stride for total, stride in zip(totals[-1], each, strict=True)))
    return totals


def pad(x: keras.KerasTensor, multiples: Strides) -> keras.KerasTensor:
    """Append zeros until every length is a multiple; unknown lengths must be multiples already.

    The zeros are joined on, not padded: TensorFlow's oneDNN takes a padding and the convolution after it as one step,
    and fails at that in 3D.
    """
    for axis, (length, multiple) in enumerate(zip(x.shape[1:-1], multiples, strict=True), start=1):
        if missing := -(length or 0) % multiple:
            first = ops.zeros_like(ops.take(x, [0], axis=axis))
            x = ops.concatenate([x, ops.repeat(first, missing, axis=axis)], axis=axis)
    return x


def crop(x: keras.KerasTensor, size: Sequence[int | None]) -> keras.KerasTensor:
    """Cut off what `pad` appended: keep the first `size` voxels."""
    extra = [(now or 0) - (length or 0) for now, length in zip(x.shape[1:-1], size, strict=True)]
    return CROPPINGS[rank_of(x)](tuple((0, each) for each in extra))(x) if any(extra) else x
