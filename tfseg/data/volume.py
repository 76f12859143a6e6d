"""Reading and writing NIfTI volumes on their own grid."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from tfseg.files import replacing

Array = np.ndarray[Any, np.dtype[Any]]


class DataError(ValueError):
    """Data that cannot be used, named by its file."""


@dataclass(frozen=True)
class Volume:
    """An array as the file stores it, `[x, y, z]` or `[x, y, z, channels]`, with its 4×4 affine to RAS+ millimetres."""

    array: Array
    affine: Array

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the three array axes."""
        return spacing_of(self.affine)


def spacing_of(affine: Array) -> tuple[float, float, float]:
    """Voxel size in millimetres along the three array axes of a 4×4 affine."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return x, y, z


def open_nifti(path: Path) -> Any:
    """Open a NIfTI file, its array not yet read.

    Raises:
        DataError: where the file is absent or cannot be read, or its affine does not span space.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        image = nib.load(path)
        with np.errstate(invalid="ignore"):
            volume_mm3 = abs(np.linalg.det(image.affine[:3, :3]))
    except Exception as error:
        raise DataError(f"{path}: not a readable NIfTI file: {error}") from error
    if not 0 < volume_mm3 < np.inf:
        raise DataError(f"{path}: its affine gives voxels a volume of {volume_mm3:g} mm³")
    return image


def read_image(path: Path) -> Volume:
    """Read an image as float32, scale factors applied.

    Raises:
        DataError: where the file cannot be read, is not 3D or 4D, is empty, or holds NaN or infinite values.
    """
    image = open_nifti(path)
    try:
        array = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except Exception as error:
        raise DataError(f"{path}: the image data cannot be read: {error}") from error
    if array.ndim not in (3, 4) or not array.size:
        raise DataError(f"{path}: expected a 3D image, or 4D with channels last; its shape is {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {int((~np.isfinite(array)).sum())} voxels are NaN or infinite")
    return Volume(array, image.affine)


def read_label(path: Path) -> Volume:
    """Read a label map as integers, whatever type the file stores.

    Raises:
        DataError: where the file cannot be read, is not 3D, or holds values that are not whole numbers.
    """
    image = open_nifti(path)
    try:
        array = np.asanyarray(image.dataobj)
    except Exception as error:
        raise DataError(f"{path}: the label data cannot be read: {error}") from error
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise DataError(f"{path}: expected a 3D label map, its shape is {array.shape}")
    if array.dtype.kind not in "iuf":
        raise DataError(f"{path}: labels must be whole numbers, its values are of type {array.dtype}")
    if array.dtype.kind == "f":
        whole = np.rint(array)
        wrong = (whole != array) | ~np.isfinite(array)
        if wrong.any():
            raise DataError(f"{path}: labels must be whole numbers, found {array[wrong].flat[0]}")
        array = whole.astype(np.int32)
    return Volume(array, image.affine)


def write_volume(path: Path, array: Array, affine: Array) -> None:
    """Write an array with its affine as NIfTI, in one step."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        nib.save(image, temporary)
