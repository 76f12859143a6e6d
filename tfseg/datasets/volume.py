"""Read and write NIfTI volumes on their own grid, single files and pairs of `.hdr` and `.img`, through nibabel."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from isal import igzip
from nibabel.arrayproxy import ArrayProxy

from tfseg.core.errors import DataError
from tfseg.core.files import replacing
from tfseg.datasets import names, nifti_header
from tfseg.datasets.checks import ROUNDING, check_file, check_length, check_size, naming, whole
from tfseg.datasets.grids import Array, Header, Opened, Volume

# Label values stored in steps no longer than this may lie half a step beside a whole number.
FINE_STEP = 0.1
# Bytes that show which kind of NIfTI a file is, and those that are read at a time to reach its end.
HEADER_BYTES, CHUNK_BYTES = 540, 1 << 20
GZIP = b"\x1f\x8b"
PROBLEM = "not a readable NIfTI file"
# nibabel's header by NIfTI's magic letters and where they are; a pair keeps its voxels in a file of their own.
HEADERS = {
    (344, b"n+1"): nib.Nifti1Image.header_class,
    (344, b"ni1"): nib.Nifti1Pair.header_class,
    (4, b"n+2"): nib.Nifti2Image.header_class,
    (4, b"ni2"): nib.Nifti2Pair.header_class,
}


class _Open(NamedTuple):
    """nibabel's header, its array not yet read, and the stream that holds it."""

    header: Any
    stored: Any
    stream: Any


@contextmanager
def open_image(path: Path) -> Iterator[Opened]:
    """Open a NIfTI image; its values are read as float32 `[x, y, z, channels]`, scale factors applied.

    Raises:
        DataError: if the file is absent or cannot be read, or the image is not 3D or 4D; on reading, if it is damaged.
    """
    with _open(path) as file:
        if len(file.stored.shape) not in (3, 4):
            raise DataError(f"{path}: expected a 3D image, or 4D with channels last; its shape is {file.stored.shape}")
        x, y, z, *channels = file.stored.shape
        yield Opened(_header(path, file, (x, y, z), *channels), partial(_read_image, path, file))


@contextmanager
def open_label(path: Path) -> Iterator[Opened]:
    """Open a NIfTI label map; its values are read as integers `[x, y, z]`, whatever type the file stores.

    Raises:
        DataError: as `open_image`, and if it is not 3D; on reading, if values are not whole numbers.
    """
    with _open(path) as file:
        shape = file.stored.shape
        if len(shape) < 3 or shape[3:] not in ((), (1,)):
            raise DataError(f"{path}: expected a 3D label map, its shape is {shape}")
        yield Opened(_header(path, file, shape[:3]), partial(_read_label, path, file))


def write_volume(path: Path, array: Array, affine: Array) -> None:
    """Write an array with its affine as NIfTI, in one step."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        nib.save(image, temporary)


@contextmanager
def _open(path: Path) -> Iterator[_Open]:
    header_path, data_path = _header_and_data(path)
    with ExitStack() as stack:
        with naming(path, PROBLEM):
            stream = stack.enter_context(_stream(header_path))
            header = _read_header(stream)
            if not header.is_single:
                if data_path is None:
                    raise ValueError("it is the header of a pair; the .img file with the voxels is missing")
                stream = stack.enter_context(_stream(data_path))
            elif data_path:
                raise ValueError("its header is that of a single file, not of a pair")
            stored = ArrayProxy(stream, header, mmap=False)
        check_size(path, stored.shape)
        with naming(path, PROBLEM):
            needed = stored.offset + math.prod(stored.shape) * stored.dtype.itemsize
            check_length(needed, data_path or header_path, isinstance(stream, igzip.IGzipFile))
        yield _Open(header, stored, stream)


def _header_and_data(path: Path) -> tuple[Path, Path | None]:
    """The files with the header and, of a pair, with the voxels."""
    ending = names.suffix(path)
    check_file(path)
    if ending.lower() in (".img", ".img.gz"):
        header = names.beside(path, (".hdr", ".hdr.gz"))
        if header is None:
            raise DataError(f"{path}: {PROBLEM}: the .hdr file beside it is missing")
        return header, path
    return path, names.beside(path, names.DATA_OF[ending.lower()]) if ending.lower() in names.DATA_OF else None


@contextmanager
def _stream(path: Path) -> Iterator[Any]:
    """Open a file for reading, decompressed if it is compressed, whatever its suffix."""
    with path.open("rb") as file:
        start = file.read(len(GZIP))
        if not start:
            raise ValueError("it is empty" if path.stat().st_size == 0 else "it cannot be read")
        file.seek(0)
        if start != GZIP:
            yield file
            return
        with igzip.IGzipFile(fileobj=file) as decompressed:
            yield decompressed


def _read_header(stream: Any) -> Any:
    """nibabel's header of a NIfTI file, of version 1 or 2."""
    start = stream.read(HEADER_BYTES)
    stream.seek(0)
    for (place, magic), kind in HEADERS.items():
        if start[place : place + len(magic)] == magic:
            with _silent(logging.getLogger("nibabel.global")):
                header = kind.from_fileobj(stream)
            nifti_header.normalise_quaternion(header)
            return header
    if nib.AnalyzeImage.header_class.may_contain_header(start):
        raise ValueError("it is an Analyze 7.5 header, which has no orientation; convert it to NIfTI")
    raise ValueError("it does not begin with a NIfTI header")


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Keep a logger quiet: nibabel logs faults of headers without the file's name, and raises those that matter."""
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


def _header(path: Path, file: _Open, shape: tuple[int, ...], channels: int = 1) -> Header:
    with naming(path, PROBLEM):
        affine = nifti_header.affine_mm(file.header)
    with naming(path, "its header contradicts itself"):
        warnings = nifti_header.contradictions(file.header)
    x, y, z = shape
    is_placed = nifti_header.is_placed(file.header)
    return Header((x, y, z), channels, affine, is_placed=is_placed, warnings=tuple(f"{path}: {w}" for w in warnings))


def _read_image(path: Path, file: _Open) -> Volume:
    array = _read(path, file, _scaled)
    return Volume(array[..., np.newaxis] if array.ndim == 3 else array, nifti_header.affine_mm(file.header))


def _read_label(path: Path, file: _Open) -> Volume:
    array = _read(path, file, np.asanyarray)
    values = whole(path, array.reshape(array.shape[:3]), _rounding(file.stored))
    return Volume(values, nifti_header.affine_mm(file.header))


def _read(path: Path, file: _Open, take: Callable[[Any], Array]) -> Array:
    """Read an open file's array, then the rest of the file: a compressed one ends with a checksum."""
    with naming(path, PROBLEM):
        array = take(file.stored)
        while isinstance(file.stream, igzip.IGzipFile) and file.stream.read(CHUNK_BYTES):
            pass
    return array


def _rounding(stored: Any) -> float:
    """By how much rounding may change label values: half a step of scaled integers, if steps are fine."""
    step = abs(stored.slope)
    return 0.51 * step if stored.dtype.kind in "iu" and step <= FINE_STEP else ROUNDING


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
