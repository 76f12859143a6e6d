"""Open and read one image or label map, whatever its format: NIfTI, a 2D image, or the folder of a DICOM series."""

from contextlib import AbstractContextManager
from pathlib import Path

from tfseg.datasets import dicom, names, picture, volume
from tfseg.datasets.grids import Header, Opened, Volume


def open_image(path: Path) -> AbstractContextManager[Opened]:
    """Open an image: its header is read at once, its values as float32 `[x, y, z, channels]` on request.

    Raises:
        DataError: if the file is absent or not readable, or the image is empty or larger than memory; on reading, if
            it is cut short or holds NaN or infinite values.
    """
    if path.is_dir():
        return dicom.open_image(path)
    return picture.open_image(path) if is_picture(path) else volume.open_image(path)


def open_label(path: Path) -> AbstractContextManager[Opened]:
    """Open a label map: its header is read at once, its values as integers `[x, y, z]` on request.

    Raises:
        DataError: as `open_image`, and if it is not 3D; on reading, if values are not whole numbers.
    """
    return picture.open_label(path) if is_picture(path) else volume.open_label(path)


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


def read_label(path: Path) -> Volume:
    """Read a label map as integers `[x, y, z]`.

    Raises:
        DataError: as `open_label`.
    """
    with open_label(path) as label:
        return label.read()


def is_picture(path: Path) -> bool:
    """Whether a file is a 2D image, by its suffix."""
    return names.suffix(path).lower() in names.PICTURES
