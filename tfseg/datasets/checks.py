"""Checks that a scan of any format must pass: its size, its values, and errors that name its file."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tfseg.core import memory
from tfseg.core.errors import DataError, one_line
from tfseg.datasets.grids import Array


@contextmanager
def naming(path: Path, problem: str) -> Iterator[None]:
    """Turn whatever goes wrong in the block into an error that names the file: `PATH: problem: reason`.

    Raises:
        DataError: for any exception; a DataError, which names its file already, passes unchanged.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else one_line(error)
        raise DataError(f"{path}: {problem}: {reason}") from error


def check_size(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse an image that is empty, or that as float32 is larger than the memory of this machine.

    Raises:
        DataError: with the size that the header asks for and the memory.
    """
    if min(shape) < 1:
        raise DataError(f"{path}: an empty image, its shape is {shape}")
    needed, present = 4 * math.prod(shape), memory.memory_bytes()
    if needed > present:
        raise DataError(
            f"{path}: its header asks for {needed / 1e9:.3g} GB ({'×'.join(map(str, shape))} voxels), "
            f"this machine has {present / 1e9:.3g} GB"
        )


def finite(path: Path, array: Array) -> Array:
    """Return the values of an image if every one is a finite number.

    Raises:
        DataError: with how many are not.
    """
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {int((~np.isfinite(array)).sum())} voxels are NaN or infinite")
    return array


def whole(path: Path, array: Array, tolerance: float = 0.0) -> Array:
    """Return label values as integers, from which they may differ by `tolerance`.

    Raises:
        DataError: with the first value that is not a whole number.
    """
    if array.dtype.kind not in "iuf":
        raise DataError(f"{path}: labels must be whole numbers, its values are of type {array.dtype}")
    if array.dtype.kind != "f":
        return array
    rounded = np.rint(array)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(array - rounded) <= tolerance) | (np.abs(array) > np.iinfo(np.int32).max)
    if wrong.any():
        raise DataError(f"{path}: labels must be whole numbers, found {array[wrong].flat[0]}")
    return rounded.astype(np.int32)
