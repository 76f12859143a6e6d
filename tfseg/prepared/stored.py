"""Arrays in files, read where they are indexed."""

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
    """An array in a `.npy` file, mapped while a part of it is in use: no file stays open, however many there are.

    Args:
        path: of the file.
        shape: of the array.
        dtype: of its values.
        order: "C" where the last axis is dense, "F" where the first is.
        offset_bytes: where the values begin.
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
            OSError: where it cannot be read.
            ValueError: where it holds no array, or less than all of it.
        """
        mapped = np.load(path, mmap_mode="r")
        return cls(path, mapped.shape, mapped.dtype, "C" if mapped.flags.c_contiguous else "F", mapped.offset)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:
        part: Array = self._mapped()[index]
        return part

    def read_into(self, out: Array, index: int) -> None:
        """Copy one slice into `out`, dense and of its shape; mapping it would take many times as long.

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

    __hash__ = None  # type: ignore[assignment]  # as an array has none

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._mapped(), dtype, copy=copy)

    def _mapped(self) -> Array:
        return np.memmap(self.path, self.dtype, "r", self.offset_bytes, self.shape, self.order)


Slices = Array | StoredArray


def stack(slices: Sequence[tuple[Slices, int]]) -> Array:
    """Copy one slice of each of some arrays, in memory or in files, into one array `[slice, ...]`."""
    array, _ = slices[0]
    stacked = np.empty((len(slices), *array.shape[1:]), array.dtype)
    for out, (array, index) in zip(stacked, slices, strict=True):
        if isinstance(array, StoredArray):
            array.read_into(out, index)
        else:
            out[...] = array[index]
    return stacked
