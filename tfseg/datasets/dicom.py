"""Read the folder of a DICOM series as a volume: tags through pydicom, pixels through SimpleITK.

SimpleITK decodes every usual transfer syntax without further packages and applies the rescale slope of a file. It
takes geometry from the first slice or frame, so geometry is read from the tags of all of them.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets.checks import naming
from tfseg.datasets.dicom_files import DicomFile, files_in, is_series, not_dicom
from tfseg.datasets.dicom_geometry import Frame, check_rescaled_alike, frames_of, in_order, place
from tfseg.datasets.grids import Array, Header, Opened, Volume
from tfseg.datasets.itk import LPS_TO_RAS, message_of

__all__ = ["is_series", "modality", "open_image"]


class _Series(NamedTuple):
    """Image files in the order of their slices, the frames of all, and the files that are no images."""

    files: list[DicomFile]
    frames: list[Frame]
    others: list[DicomFile]


def modality(folder: Path) -> str:
    """Return the DICOM modality of a series: CT, MR, PT, …

    Raises:
        DataError: if there is no image, or the first is not readable.
    """
    for file in files_in(folder):
        if file.other_kind is None:
            return str(file.tags.get("Modality", "")) or "image"
    raise _nothing_in(folder, [])


@contextmanager
def open_image(folder: Path) -> Iterator[Opened]:
    """Open a series; its values are float32 `[x, y, z, channels]`, rescaled (to Hounsfield units in CT).

    Segmentations, structure sets and other files without an image are not part of it.

    Raises:
        DataError: if the folder does not hold one series of readable slices of one size, orientation and pixel
            spacing at even distances, or one enhanced file of such frames in order.
    """
    with naming(folder, "not a readable DICOM series"):
        series = _series(folder)
        header = _header(folder, series)
    yield Opened(header, partial(_read, series, header))


def _series(folder: Path) -> _Series:
    every = list(files_in(folder))
    files = [file for file in every if file.other_kind is None]
    others = [file for file in every if file.other_kind]
    if not files:
        raise _nothing_in(folder, others)
    not_dicom(folder)  # refuses a slice that was lost
    classes = {file.tags.get("SOPClassUID") for file in files}
    for file in others:
        if file.tags.get("SOPClassUID") in classes:
            raise DataError(f"{file.path}: not a readable DICOM file: its pixels are missing or cut short")
    numbers = Counter(str(file.tags.get("SeriesInstanceUID", "")) for file in files)
    if len(numbers) != 1:
        sizes = ", ".join(map(str, sorted(numbers.values(), reverse=True)))
        raise DataError(f"{folder}: expected one DICOM series in the folder, found {len(numbers)} (of {sizes} files)")
    frames = [frames_of(file) for file in files]
    if len(files) == 1:
        check_rescaled_alike(frames[0])
        return _Series(files, frames[0], others)
    for file, own in zip(files, frames, strict=True):
        if len(own) > 1:
            raise DataError(
                f"{file.path}: {len(own)} frames in one of {len(files)} files; expected one file or one each"
            )
    order = in_order([own[0] for own in frames])
    return _Series([files[index] for index in order], [frames[index][0] for index in order], others)


def _header(folder: Path, series: _Series) -> Header:
    sizes = Counter((int(file.tags.Columns), int(file.tags.Rows)) for file in series.files)
    samples = Counter(int(file.tags.get("SamplesPerPixel", 1)) for file in series.files)
    if len(sizes) > 1 or len(samples) > 1:
        raise DataError(f"{folder}: slices of several sizes: {sorted(sizes)}, of {sorted(samples)} channels")
    mosaic = next((file for file in series.files if "MOSAIC" in file.tags.get("ImageType", [])), None)
    if mosaic:
        raise DataError(f"{mosaic.path}: a mosaic of slices in one image; convert it to NIfTI, as with dcm2niix")
    ((columns, rows),) = sizes
    affine = LPS_TO_RAS @ place(series.frames)
    first = series.frames[0]
    return Header(
        (columns, rows, len(series.frames)),
        next(iter(samples)),
        affine,
        in_pixels=first.spacing_mm is None,
        is_placed=first.orientation is not None,
        warnings=tuple(_warnings(folder, series)),
    )


def _warnings(folder: Path, series: _Series) -> Iterator[str]:
    for file in series.others:
        yield f"{file.path}: {file.other_kind}, which is not read"
    without = sum(frame.rescale is None for frame in series.frames)
    if without and str(series.files[0].tags.get("Modality")) == "CT":
        yield (
            f"{folder}: {without} of {len(series.frames)} CT slices have no RescaleSlope and RescaleIntercept; "
            "their values may not be Hounsfield units"
        )
    if str(series.files[0].tags.get("PhotometricInterpretation")) == "MONOCHROME1":
        yield f"{folder}: MONOCHROME1: low values are bright; they are read as stored"


def _read(series: _Series, header: Header) -> Volume:
    array = np.empty((*header.shape, header.channels), np.float32, order="F")  # in the order of slices
    thick = header.shape[2] // len(series.files)  # 1, unless one file holds all slices
    for index, file in enumerate(series.files):
        stack = _pixels(file.path).reshape(thick, *header.shape[1::-1], header.channels)
        array[:, :, index * thick : (index + 1) * thick] = stack.transpose(2, 1, 0, 3)
    return Volume(array, header.affine, header.in_pixels)


def _pixels(path: Path) -> Array:
    """A file's pixels `[frame, row, column, channels]`, rescaled; axes of length 1 may be absent."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        array: Array = SimpleITK.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise DataError(f"{path}: the pixels cannot be read: {message_of(error)}") from error
    return array


def _nothing_in(folder: Path, others: list[DicomFile]) -> DataError:
    found = "; ".join(f"{file.path.name} is {file.other_kind}" for file in others) or "found none"
    return DataError(f"{folder}: expected the files of a DICOM series in the folder itself, {found}")
