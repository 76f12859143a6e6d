"""Read NRRD (`.nrrd`, `.nhdr`) and MetaImage (`.mha`, `.mhd`) volumes through SimpleITK."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from tfseg.core.errors import DataError
from tfseg.core.quiet import quiet_stderr
from tfseg.datasets.checks import ROUNDING, check_file, naming, whole
from tfseg.datasets.checksums import check_compressed
from tfseg.datasets.grids import Array, Header, Opened, Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Standard error belongs to the process: one thread at a time may keep it from being shown.
_STDERR = Lock()
READERS = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"}


@contextmanager
def open_image(path: Path) -> Iterator[Opened]:
    """Open an image; its values are read as float32 `[x, y, z, channels]`.

    Raises:
        DataError: if the file is absent or cannot be read, or the image is not 3D, or 4D with channels last.
    """
    reader, header = _open(path)
    yield Opened(header, partial(_read_image, path, reader, header))


@contextmanager
def open_label(path: Path) -> Iterator[Opened]:
    """Open a label map; its values are read as integers `[x, y, z]`.

    Raises:
        DataError: as `open_image`, and if it has several channels; on reading, if values are not whole numbers.
    """
    reader, header = _open(path)
    if header.channels > 1:
        raise DataError(f"{path}: expected a label map with one value a voxel, it has {header.channels}")
    yield Opened(header, partial(_read_label, path, reader, header))


def message_of(error: RuntimeError) -> str:
    """Return the last line of ITK's message, which has the reason; the lines before have the place in ITK's code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "unknown reason"


def _open(path: Path) -> tuple[Any, Header]:
    import SimpleITK

    check_file(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(READERS[path.suffix.lower()])
    reader.SetFileName(str(path))
    with naming(path, f"not a readable {path.suffix.lower()} file"):
        _quietly(path, reader.ReadImageInformation)
    rank, components = reader.GetDimension(), reader.GetNumberOfComponents()
    if rank not in (3, 4):
        raise DataError(f"{path}: expected a 3D image, or 4D with channels last; its shape is {reader.GetSize()}")
    x, y, z, *channels = reader.GetSize()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (rank, rank))[:3, :3] * reader.GetSpacing()[:3]
    affine[:3, 3] = reader.GetOrigin()[:3]
    return reader, Header((x, y, z), components * (channels[0] if channels else 1), LPS_TO_RAS @ affine)


def _read_image(path: Path, reader: Any, header: Header) -> Volume:
    x, y, z = header.shape
    values = _values(path, reader)  # [channels, z, y, x, components], with one of the two of length 1 or absent
    parts = values.reshape(-1, z, y, x, reader.GetNumberOfComponents())
    array = parts.transpose(3, 2, 1, 0, 4).reshape(x, y, z, header.channels)
    return Volume(array.astype(np.float32), header.affine)


def _read_label(path: Path, reader: Any, header: Header) -> Volume:
    x, y, z = header.shape
    values = _values(path, reader).reshape(z, y, x).transpose(2, 1, 0)
    return Volume(whole(path, values, ROUNDING), header.affine)


def _values(path: Path, reader: Any) -> Array:
    import SimpleITK

    with naming(path, "the voxels cannot be read"):
        check_compressed(path)
        array: Array = SimpleITK.GetArrayFromImage(_quietly(path, reader.Execute))
        return array


def _quietly(path: Path, read: Callable[[], Any]) -> Any:
    """Call ITK; MetaImage prints what is wrong with a file beside raising it, without the file's name.

    Raises:
        ValueError: with ITK's reason.
    """
    noisy = READERS[path.suffix.lower()] == "MetaImageIO"
    with _STDERR if noisy else nullcontext(), quiet_stderr() if noisy else nullcontext():
        try:
            return read()
        except RuntimeError as error:
            failure = error
    raise ValueError(message_of(failure)) from failure
