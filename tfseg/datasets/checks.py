"""Checks that a scan of any format must pass: its size, its values, and errors that name its file."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tfseg.core import memory
from tfseg.core.errors import DataError, one_line
from tfseg.datasets.grids import Array, shear_degrees, voxel_mm3
from tfseg.datasets.names import namesake, printable

MOST_COMPRESSED = 1032
# Values of a floating-point label map may differ from whole numbers by rounding.
ROUNDING = 1e-3
# Distances along axes that miss a right angle by this much are off by less than 0.5 %.
MOST_SHEAR_DEGREES = 0.5


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


def check_file(path: Path) -> None:
    """Refuse what is no file; if one of this name has another suffix, name it.

    Raises:
        DataError: with the path.
    """
    if path.is_file():
        return
    if path.is_dir():
        raise DataError(f"{path}: a folder, where a file is expected")
    raise DataError(f"{path}: no such file{_instead(path)}")


def check_exists(path: Path) -> None:
    """Refuse a path that is neither a file nor a folder; if a file of this name has another suffix, name it.

    Raises:
        DataError: with the path.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder{_instead(path)}")


def _instead(path: Path) -> str:
    other = namesake(path)
    return f"; there is {other.name}" if other else ""


def check_encodable(path: Path) -> None:
    """Refuse a name that is not UTF-8: tables and configurations cannot hold it.

    Raises:
        DataError: with the bytes that are not.
    """
    for part in [*reversed(path.parents), path]:  # the first is the folder or file to rename
        try:
            str(part).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{printable(str(part))}: its name is not UTF-8; rename it") from error


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


def check_length(needed: int, path: Path, compressed: bool) -> None:
    """Refuse a header that asks for more bytes than its file can hold, before memory is taken for them.

    Args:
        needed: bytes that the header asks for.
        path: the file with the voxels.
        compressed: whether they are compressed; deflate makes data at most 1032 times smaller.

    Raises:
        ValueError: with both numbers.
    """
    size = path.stat().st_size
    if needed > (MOST_COMPRESSED * size if compressed else size):
        raise ValueError(f"it is cut short: its header asks for {needed} bytes, the file has {size}")


def check_affine(path: Path, affine: Array) -> None:
    """Refuse an affine that does not span space, or whose axes are not orthogonal.

    Spacing, surfaces and distances are defined along axes at right angles.

    Raises:
        DataError: with the voxel's volume, or the angle by which the axes miss a right angle.
    """
    if not np.isfinite(affine).all():
        raise DataError(f"{path}: its affine holds NaN or infinite numbers")
    volume_mm3 = voxel_mm3(affine)
    if not 0 < volume_mm3 < np.inf:
        raise DataError(f"{path}: its affine gives voxels a volume of {volume_mm3:g} mm³")
    if (angle := shear_degrees(affine)) > MOST_SHEAR_DEGREES:
        raise DataError(
            f"{path}: its axes miss a right angle by {angle:.3g}°, as with a tilted gantry or a sheared affine; "
            "distances need orthogonal axes: resample it to such a grid"
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
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    rounded = np.rint(array)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(array - rounded) <= tolerance) | (np.abs(array) > np.iinfo(np.int32).max)
    if wrong.any():
        raise DataError(f"{path}: labels must be whole numbers, found {array[wrong].flat[0]}")
    return rounded.astype(np.int32)
