"""Open and read one image or label map, whatever its format: a volume, a 2D image, or the folder of a DICOM series."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from tfseg.core.errors import DataError
from tfseg.datasets import dicom, image_2d, itk, names, volume
from tfseg.datasets.checks import check_affine, check_size, finite
from tfseg.datasets.grids import Header, Opened, Volume


@contextmanager
def open_image(path: Path) -> Iterator[Opened]:
    """Open an image: its header is read at once, its values as float32 `[x, y, z, channels]` on request.

    Raises:
        DataError: if the file is absent or not readable, the image is empty or larger than memory, or its axes are
            not orthogonal; on reading, if it is cut short or holds NaN or infinite values.
    """
    with _format_of(path).open_image(path) as image:
        check_size(path, (*image.header.shape, image.header.channels))
        check_affine(path, image.header.affine)

        def read() -> Volume:
            values: Volume = image.read()
            return replace(values, array=finite(path, values.array))

        yield Opened(image.header, read)


@contextmanager
def open_label(path: Path, shown: bool = False) -> Iterator[Opened]:
    """Open a label map: its header is read at once, its values as integers `[x, y, z]` on request.

    Args:
        path: of the label map.
        shown: read the grey levels that the palette of a 2D mask shows, not its indices.

    Raises:
        DataError: as `open_image`, and if it is not 3D; on reading, if values are not whole numbers.
    """
    if path.is_dir():
        raise DataError(f"{path}: a folder, where the file of a label map is expected")
    with image_2d.open_label(path, shown) if is_image_2d(path) else _format_of(path).open_label(path) as label:
        check_size(path, label.header.shape)
        check_affine(path, label.header.affine)
        yield label


def read_header(path: Path) -> Header:
    """Read shape, channels and affine of an image, not its values.

    Raises:
        DataError: as `open_image`.
    """
    with open_image(path) as image:
        return image.header


def read_image(path: Path) -> Volume:
    """Read an image as float32 `[x, y, z, channels]`.

    Raises:
        DataError: as `open_image`.
    """
    with open_image(path) as image:
        return image.read()


def read_label_header(path: Path) -> Header:
    """Read shape and affine of a label map, not its values.

    Raises:
        DataError: as `open_label`.
    """
    with open_label(path) as label:
        return label.header


def read_label(path: Path, shown: bool = False) -> Volume:
    """Read a label map as integers `[x, y, z]`; `shown` is as in `open_label`.

    Raises:
        DataError: as `open_label`.
    """
    with open_label(path, shown) as label:
        return label.read()


def is_image_2d(path: Path) -> bool:
    """Whether a file is a 2D image, by its suffix."""
    return names.suffix(path).lower() in names.IMAGES_2D


def _format_of(path: Path) -> ModuleType:
    if path.is_dir() and (not names.suffix(path) or dicom.is_series(path)):
        return dicom
    if is_image_2d(path):
        return image_2d
    return itk if names.suffix(path).lower() in names.ITK else volume
