"""Read and write NIfTI volumes on their own grid, through nibabel."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip

from tfseg.core.errors import DataError
from tfseg.core.files import replacing
from tfseg.datasets.checks import check_size, finite, naming, whole
from tfseg.datasets.grids import Array, Header, Opened, Volume, spacing_of

# Label values stored in steps no longer than this may lie half a step beside a whole number.
FINE_STEP = 0.1
# Bytes that show which kind of NIfTI a file is, and those that are read at a time to reach its end.
HEADER_BYTES, CHUNK_BYTES = 540, 1 << 20
# Millimetres in NIfTI's units of space, metres and micrometres; a file without a unit is in millimetres.
UNIT_MM = {1: 1e3, 3: 1e-3}
# If a voxel's volume is a smaller share of the product of its sides, its axes point the same way.
FLATTEST = 1e-3
PROBLEM = "not a readable NIfTI file"


@contextmanager
def open_image(path: Path) -> Iterator[Opened]:
    """Open a NIfTI image; its values are read as float32 `[x, y, z, channels]`, scale factors applied.

    Raises:
        DataError: if the file is absent, cannot be read, is empty or larger than memory, its affine does not span
            space, or the image is not 3D or 4D; on reading, if it is cut short or holds NaN or infinite values.
    """
    with _open(path) as image:
        if len(image.shape) not in (3, 4):
            raise DataError(f"{path}: expected a 3D image, or 4D with channels last; its shape is {image.shape}")
        x, y, z, *channels = image.shape
        header = Header((x, y, z), math.prod(channels), _affine_mm(image))
        yield Opened(header, partial(_read_image, path, image, header))


@contextmanager
def open_label(path: Path) -> Iterator[Opened]:
    """Open a NIfTI label map; its values are read as integers `[x, y, z]`, whatever type the file stores.

    Raises:
        DataError: as `open_image`, and if it is not 3D; on reading, if values are not whole numbers.
    """
    with _open(path) as image:
        if len(image.shape) < 3 or image.shape[3:] not in ((), (1,)):
            raise DataError(f"{path}: expected a 3D label map, its shape is {image.shape}")
        header = Header(image.shape[:3], 1, _affine_mm(image))
        yield Opened(header, partial(_read_label, path, image, header))


def read_label(path: Path) -> Volume:
    """Read a NIfTI label map as integers `[x, y, z]`.

    Raises:
        DataError: as `open_label`.
    """
    with open_label(path) as label:
        return label.read()


def write_volume(path: Path, array: Array, affine: Array) -> None:
    """Write an array with its affine as NIfTI, in one step."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        nib.save(image, temporary)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a NIfTI file as nibabel's image; its array can be read within the block."""
    if not path.is_file():
        raise DataError(f"{path}: {'a folder, where a file is expected' if path.is_dir() else 'no such file'}")
    with naming(path, PROBLEM):
        if not path.stat().st_size:
            raise ValueError("it is empty")
        stream = igzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")
    with stream:
        with naming(path, PROBLEM):
            image = _image_in(stream)
            affine = _affine_mm(image)
            with np.errstate(invalid="ignore"):
                volume_mm3 = abs(np.linalg.det(affine[:3, :3]))
        if not 0 < volume_mm3 < np.inf:
            raise DataError(f"{path}: its affine gives voxels a volume of {volume_mm3:g} mm³")
        if volume_mm3 < FLATTEST * math.prod(spacing_of(affine)):
            raise DataError(f"{path}: its affine does not span space, its axes are all but parallel")
        check_size(path, image.shape)
        yield image


def _image_in(stream: Any) -> Any:
    """The NIfTI-1 or NIfTI-2 image of a stream, its array not yet read."""
    start = stream.read(HEADER_BYTES)
    stream.seek(0)
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(start):
            with _silent(logging.getLogger("nibabel.global")):
                return kind.from_stream(stream)
    raise ValueError("it does not begin with a NIfTI header")


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Keep a logger quiet: nibabel logs faults of headers without the file's name, and raises those that matter."""
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


def _read_image(path: Path, image: Any, header: Header) -> Volume:
    array = _read(path, image, _scaled)
    return Volume(finite(path, array).reshape(*header.shape, header.channels), header.affine)


def _read_label(path: Path, image: Any, header: Header) -> Volume:
    array = _read(path, image, np.asanyarray)
    return Volume(whole(path, array.reshape(header.shape), _rounding(image)), header.affine)


def _read(path: Path, image: Any, take: Callable[[Any], Array]) -> Array:
    """Read an open image's array, then the rest of the file: a compressed one ends with a checksum."""
    with naming(path, PROBLEM):
        array = take(image.dataobj)
        stream = image.file_map["image"].fileobj
        while isinstance(stream, igzip.IGzipFile) and stream.read(CHUNK_BYTES):
            pass
    return array


def _rounding(image: Any) -> float:
    """By how much values change if a file stores them as scaled integers: about half a step, if steps are fine."""
    step = abs(image.dataobj.slope)
    return 0.51 * step if image.get_data_dtype().kind in "iu" and step <= FINE_STEP else 0.0


def _scaled(stored: Any) -> Array:
    """Apply a file's scale factors, in float32 if that holds the stored values: a third of nibabel's time."""
    values = np.asarray(stored.get_unscaled())
    if values.dtype.kind not in "iuf":
        raise ValueError(f"its values are of type {values.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # infinite values are refused after this
        scaled = values.astype(np.float32 if np.can_cast(values.dtype, np.float32) else np.float64)
        if stored.slope != 1:
            np.multiply(scaled, stored.slope, out=scaled)
        if stored.inter != 0:
            np.add(scaled, stored.inter, out=scaled)
        return scaled.astype(np.float32, copy=False)
