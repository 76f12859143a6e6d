"""Read arrays from files when they are indexed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets.grids import Array


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in a `.npy` file, memory-mapped only while it is read, so that no file stays open.

    Args:
        path: the file.
        shape: shape of the array.
        dtype: type of its values.
        order: "C" if the last axis is contiguous, "F" if the first is.
        offset_bytes: position of the first value in the file.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset_bytes: int

    @classmethod
    def open(cls, path: Path) -> "StoredArray":
        """Read the header of a file.

        Raises:
            OSError: if it cannot be read.
            ValueError: if it does not hold a complete array.
        """
        mapped = np.load(path, mmap_mode="r")
        return cls(path, mapped.shape, mapped.dtype, "C" if mapped.flags.c_contiguous else "F", mapped.offset)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:
        part: Array = self._mapped()[index]
        return part

    def read_into(self, out: Array, index: int) -> None:
        """Copy one slice into `out`, contiguous and of the same shape; this is many times faster than mapping the file.

        Raises:
            DataError: if the file has become shorter.
        """
        if self.order == "F":
            out[...] = self[index]
            return
        file = os.open(self.path, os.O_RDONLY)
        try:
            read = os.preadv(file, [out.data], self.offset_bytes + range(len(self))[index] * out.nbytes)
        finally:
            os.close(file)
        if read != out.nbytes:
            raise DataError(f"{self.path}: shorter than it was when it was opened")

    def __eq__(self, other: object) -> bool:
        raise TypeError(f"{self.path}: an array on disk has no values to compare; np.asarray reads them")

    __hash__ = None  # type: ignore[assignment]  # like a NumPy array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._mapped(), dtype, copy=copy)

    def _mapped(self) -> Array:
        return np.memmap(self.path, self.dtype, "r", self.offset_bytes, self.shape, self.order)


Slices = Array | StoredArray


@dataclass(frozen=True, eq=False)
class Neighbouring:
    """Slices with `count` slices on either side of each as further channels, from the one before to the one after.

    Args:
        slices: `[slice, h, w, channels]`.
        count: neighbours on either side.
    """

    slices: Slices
    count: int

    @property
    def shape(self) -> tuple[int, ...]:
        """`[slice, h, w, (2·count + 1)·channels]`."""
        *sizes, channels = self.slices.shape
        return (*sizes, seen_together(self.count) * channels)

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: Any) -> Array:
        first, *rest = index if isinstance(index, tuple) else (index,)
        places = neighbours_of(np.arange(len(self))[first], self.count, len(self))
        low, high = (int(places.min()), int(places.max()) + 1) if places.size else (0, 0)
        read = self.slices[(slice(low, high), *rest)]
        return np.concatenate([read[column - low] for column in places.T], axis=-1)


Seen = Slices | Neighbouring  # by a network


def seen_together(neighbours: int) -> int:
    """Return the number of slices that a network sees at a time: one, and the neighbours on either side."""
    return 2 * neighbours + 1


def neighbours_of(indices: Array, count: int, length: int | Array) -> Array:
    """Return the slices from `count` before each index to `count` after it, `[..., 2·count + 1]`.

    Beyond the ends of `length` slices, one number or `[..., 1]`, the outermost slice is repeated.

    >>> neighbours_of(np.array([0, 2]), 1, 4).tolist()
    [[0, 0, 1], [1, 2, 3]]
    """
    return np.clip(indices[..., np.newaxis] + np.arange(-count, count + 1), 0, length - 1)


def stack(slices: Sequence[tuple[Slices, int]]) -> Array:
    """Copy slices, each of an array in memory or in a file, into one array `[slice, ...]`."""
    array, _ = slices[0]
    stacked = np.empty((len(slices), *array.shape[1:]), array.dtype)
    for out, (array, index) in zip(stacked, slices, strict=True):
        if isinstance(array, StoredArray):
            array.read_into(out, index)
        else:
            out[...] = array[index]
    return stacked
