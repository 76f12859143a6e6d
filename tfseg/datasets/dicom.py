"""Read the folder of a DICOM series as a volume, through SimpleITK.

SimpleITK decodes every usual transfer syntax without further packages and applies the rescale slope. NIfTI is read by
nibabel, which keeps the file's own grid.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfseg.core.errors import DataError, one_line
from tfseg.datasets.checks import check_size, finite
from tfseg.datasets.grids import Array, Header, Opened, Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Slices are at even distances if their steps differ by less than this share.
STEP_TOLERANCE = 0.05
MODALITY, SERIES, THICKNESS = "0008|0060", "0020|000e", "0018|0050"


def is_dicom_file(path: Path) -> bool:
    """Whether a file has the letters DICM after its preamble."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def is_series(folder: Path) -> bool:
    """Whether a folder itself has DICOM files."""
    return any(_dicom_files(folder))


def modality(folder: Path) -> str:
    """Return the DICOM modality of a series: CT, MR, PT, …

    Raises:
        DataError: if there is no file, or the first is not readable.
    """
    return _tag(_open(_files_of(folder)[0]), MODALITY)


@contextmanager
def open_image(folder: Path) -> Iterator[Opened]:
    """Open a series; its values are float32 `[x, y, z, channels]`, rescaled (to Hounsfield units in CT).

    The direction across slices is that from slice to slice, so a tilted gantry gives a sheared grid, as it should.

    Raises:
        DataError: if the folder does not hold one series of readable slices at even distances; on reading, if values
            are NaN or infinite.
    """
    slices = _slices(folder)
    header = _header(folder, slices)
    yield Opened(header, partial(_read, folder, slices, header))


def _read(folder: Path, slices: list[Any], header: Header) -> Volume:
    import SimpleITK

    array = np.empty((*header.shape, header.channels), np.float32, order="F")  # in the order of slices
    thick = header.shape[2] // len(slices)  # 1, unless one file holds all slices
    for place, slice_ in enumerate(slices):
        try:
            pixels = SimpleITK.GetArrayFromImage(slice_.Execute())
        except RuntimeError as error:
            raise DataError(f"{slice_.GetFileName()}: the pixels cannot be read: {_reason(error)}") from error
        stack = pixels.reshape(thick, *header.shape[1::-1], header.channels)
        array[:, :, place * thick : (place + 1) * thick] = stack.transpose(2, 1, 0, 3)
    return Volume(finite(folder, array), header.affine)


def _dicom_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and path.name != "DICOMDIR" and is_dicom_file(path))


def _files_of(folder: Path) -> list[Path]:
    """The DICOM files in a folder, by name; there is at least one."""
    files = sorted(_dicom_files(folder))
    if not files:
        raise DataError(f"{folder}: expected the files of a DICOM series in the folder itself, found none")
    return files


def _open(path: Path) -> Any:
    """A reader that has read a file's header."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{path}: a DICOM file, but no readable image; it may be cut short") from error
    return reader


def _slices(folder: Path) -> list[Any]:
    """Readers of the files of the one series in a folder, in the order of their positions."""
    slices = [_open(path) for path in _files_of(folder)]
    series = {_tag(slice_, SERIES) for slice_ in slices}
    if len(series) != 1:
        raise DataError(f"{folder}: expected one DICOM series in the folder, found {len(series)}")
    normal = np.reshape(slices[0].GetDirection(), (3, 3))[:, 2]
    return sorted(slices, key=lambda slice_: float(np.dot(normal, slice_.GetOrigin())))


def _header(folder: Path, slices: list[Any]) -> Header:
    first = slices[0]
    shapes = sorted({slice_.GetSize()[:2] for slice_ in slices})
    if len(shapes) > 1:
        raise DataError(f"{folder}: slices of several sizes: {shapes}")
    columns, rows = shapes[0]
    shape = (columns, rows, len(slices) if len(slices) > 1 else first.GetSize()[2])
    check_size(folder, shape)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(first.GetDirection(), (3, 3)) * first.GetSpacing()
    affine[:3, 3] = first.GetOrigin()
    if len(slices) > 1:
        affine[:3, 2] = _step_mm(folder, np.array([slice_.GetOrigin() for slice_ in slices]))
    elif shape[2] == 1:
        affine[:3, 2] *= _thickness_mm(first) / first.GetSpacing()[2]
    return Header(shape, first.GetNumberOfComponents(), LPS_TO_RAS @ affine)


def _step_mm(folder: Path, origins: Array) -> Array:
    """The mean vector from a slice to the next, of slices whose first pixels are at `origins` `[slice, 3]`."""
    steps = np.diff(origins, axis=0)
    gaps_mm = np.linalg.norm(steps, axis=1)
    usual: Array = np.median(steps, axis=0)
    usual_mm = float(np.linalg.norm(usual))
    if gaps_mm.min() <= STEP_TOLERANCE * usual_mm:
        raise DataError(f"{folder}: several slices at one position; expected one volume a series")
    if np.linalg.norm(steps - usual, axis=1).max() > STEP_TOLERANCE * usual_mm:
        raise DataError(
            f"{folder}: slices lie {gaps_mm.min():.3g} to {gaps_mm.max():.3g} mm apart, "
            f"most {usual_mm:.3g} mm: one may be missing"
        )
    mean: Array = steps.mean(axis=0)
    return mean


def _thickness_mm(slice_: Any) -> float:
    """Thickness of a single slice; 1 if the file has none, as in a radiograph."""
    try:
        return float(_tag(slice_, THICKNESS)) or 1.0
    except ValueError:
        return 1.0


def _tag(slice_: Any, tag: str) -> str:
    return str(slice_.GetMetaData(tag)).strip() if slice_.HasMetaDataKey(tag) else ""


def _reason(error: Exception) -> str:
    """The last line of ITK's message, which has the reason; the lines before have the place in ITK's code."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(Exception(lines[-1] if lines else "unknown reason"))
