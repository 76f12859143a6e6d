"""Reading and writing NIfTI volumes on their own grid."""

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip

from tfseg.core.errors import DataError, one_line
from tfseg.core.files import replacing
from tfseg.datasets.grids import Array, Header, Volume, spacing_of

# Label values stored in steps no longer than this may lie half a step beside a whole number.
FINE_STEP = 0.1
# Bytes that show which kind of NIfTI a file is, and those that are read at a time to reach its end.
HEADER_BYTES, CHUNK_BYTES = 540, 1 << 20
# Millimetres in NIfTI's units of space, metres and micrometres; what names no unit is in millimetres.
UNIT_MM = {1: 1e3, 3: 1e-3}
# Axes of which the voxel's volume is a smaller share of the product of its sides point the same way.
FLATTEST = 1e-3


def check_size(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse an image that is empty, or larger as float32 than the memory of this machine.

    Raises:
        DataError: with what the header asks for and what there is.
    """
    if min(shape) < 1:
        raise DataError(f"{path}: an empty image, its shape is {shape}")
    needed, present = 4 * math.prod(shape), memory_bytes()
    if needed > present:
        raise DataError(
            f"{path}: its header asks for {needed / 1e9:.3g} GB ({'×'.join(map(str, shape))} voxels), "
            f"this machine has {present / 1e9:.3g} GB"
        )


def memory_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_header(path: Path) -> Header:
    """Read shape, channels and affine of a NIfTI image.

    Raises:
        DataError: where the file is absent, cannot be read, is empty or larger than memory, its affine does not
            span space, or the image is not 3D or 4D.
    """
    with _open(path) as image:
        return _image_header(path, image)


def read_label_header(path: Path) -> Header:
    """Read shape and affine of a NIfTI label map.

    Raises:
        DataError: as `read_header`, and where it is not 3D.
    """
    with _open(path) as image:
        return _label_header(path, image)


def read_image(path: Path) -> Volume:
    """Read an image as float32, scale factors applied.

    Raises:
        DataError: as `read_header`, and where the file is cut short or holds NaN or infinite values.
    """
    with _open(path) as image:
        _image_header(path, image)
        array = _read(path, image, _scaled)
    return Volume(finite(path, array), _affine_mm(image))


def read_label(path: Path) -> Volume:
    """Read a label map as integers, whatever type the file stores.

    Raises:
        DataError: as `read_label_header`, and where the file is cut short or holds values that are not whole.
    """
    with _open(path) as image:
        header = _label_header(path, image)
        array = _read(path, image, np.asanyarray)
    return Volume(whole(path, array.reshape(header.shape), _rounding(image)), _affine_mm(image))


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a NIfTI file as nibabel's image; its array can be read within the block."""
    if not path.is_file():
        raise DataError(f"{path}: {'a folder, where a file is expected' if path.is_dir() else 'no such file'}")
    if not path.stat().st_size:
        raise DataError(f"{path}: not a readable NIfTI file: it is empty")
    with igzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as stream:
        try:
            image = _image_in(stream)
            affine = _affine_mm(image)
            with np.errstate(invalid="ignore"):
                volume_mm3 = abs(np.linalg.det(affine[:3, :3]))
        except Exception as error:
            raise DataError(f"{path}: not a readable NIfTI file: {one_line(error)}") from error
        if not 0 < volume_mm3 < np.inf:
            raise DataError(f"{path}: its affine gives voxels a volume of {volume_mm3:g} mm³")
        if volume_mm3 < FLATTEST * math.prod(spacing_of(affine)):
            raise DataError(f"{path}: its affine does not span space, its axes are all but parallel")
        check_size(path, image.shape)
        yield image


def _image_in(stream: Any) -> Any:
    """The image of NIfTI-1 or NIfTI-2 that a stream holds, its array not yet read."""
    start = stream.read(HEADER_BYTES)
    stream.seek(0)
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(start):
            with _silent(logging.getLogger("nibabel.global")):
                return kind.from_stream(stream)
    raise ValueError("it does not begin with a NIfTI header")


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Keep a logger quiet: what nibabel logs of a header names no file, and is raised too where it matters."""
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


def _affine_mm(image: Any) -> Array:
    """An image's affine to RAS+ millimetres, whatever the unit of its file."""
    unit_mm = UNIT_MM.get(int(image.header["xyzt_units"]) & 7, 1.0)
    affine: Array = np.diag([unit_mm, unit_mm, unit_mm, 1.0]) @ image.affine
    return affine


def _read(path: Path, image: Any, take: Callable[[Any], Array]) -> Array:
    """Read an open image's array, and on to the end of the file, where a compressed one has its checksum."""
    try:
        array = take(image.dataobj)
        stream = image.file_map["image"].fileobj
        while isinstance(stream, igzip.IGzipFile) and stream.read(CHUNK_BYTES):
            pass
    except Exception as error:
        raise DataError(f"{path}: not a readable NIfTI file: {one_line(error)}") from error
    return array


def _rounding(image: Any) -> float:
    """By how much values change when a file stores them as scaled integers: about half a step, where steps are fine."""
    step = abs(image.dataobj.slope)
    return 0.51 * step if image.get_data_dtype().kind in "iu" and step <= FINE_STEP else 0.0


def _scaled(stored: Any) -> Array:
    """Apply a file's scale factors, in float32 where that holds the stored values: a third of nibabel's time."""
    values = np.asarray(stored.get_unscaled())
    if values.dtype.kind not in "iuf":
        raise ValueError(f"its values are of type {values.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused after this
        scaled = values.astype(np.float32 if np.can_cast(values.dtype, np.float32) else np.float64)
        if stored.slope != 1:
            np.multiply(scaled, stored.slope, out=scaled)
        if stored.inter != 0:
            np.add(scaled, stored.inter, out=scaled)
        return scaled.astype(np.float32, copy=False)


def _image_header(path: Path, image: Any) -> Header:
    if len(image.shape) not in (3, 4):
        raise DataError(f"{path}: expected a 3D image, or 4D with channels last; its shape is {image.shape}")
    x, y, z, *channels = image.shape
    return Header((x, y, z), math.prod(channels), _affine_mm(image))


def _label_header(path: Path, image: Any) -> Header:
    if len(image.shape) < 3 or image.shape[3:] not in ((), (1,)):
        raise DataError(f"{path}: expected a 3D label map, its shape is {image.shape}")
    return Header(image.shape[:3], 1, _affine_mm(image))


def finite(path: Path, array: Array) -> Array:
    """Give an image back, where every value is a finite number.

    Raises:
        DataError: with how many are not.
    """
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {int((~np.isfinite(array)).sum())} voxels are NaN or infinite")
    return array


def whole(path: Path, array: Array, tolerance: float = 0.0) -> Array:
    """Give label values back as integers, from which they may differ by `tolerance`.

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


def write_volume(path: Path, array: Array, affine: Array) -> None:
    """Write an array with its affine as NIfTI, in one step."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        nib.save(image, temporary)
