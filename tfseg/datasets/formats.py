"""Reading one image or label map in whatever format it has: NIfTI, a picture, or the folder of a DICOM series."""

from pathlib import Path

import numpy as np

from tfseg.datasets import dicom, picture, volume
from tfseg.datasets.grids import Header, Volume


def read_header(path: Path) -> Header:
    """Read shape, channels and affine of an image, not its values.

    Raises:
        DataError: where the file is absent or not readable, or the image is empty or larger than memory.
    """
    if path.is_dir():
        return dicom.read_header(path)
    return picture.read_header(path) if is_picture(path) else volume.read_header(path)


def read_image(path: Path) -> Volume:
    """Read an image as float32 `[x, y, z, channels]`.

    Raises:
        DataError: as `read_header`, and where the file is cut short or holds NaN or infinite values.
    """
    if path.is_dir():
        return dicom.read_image(path)
    if is_picture(path):
        return picture.read_image(path)
    image = volume.read_image(path)
    return image if image.array.ndim == 4 else Volume(image.array[..., np.newaxis], image.affine)


def read_label_header(path: Path) -> Header:
    """Read shape and affine of a label map, not its values.

    Raises:
        DataError: where the file is absent or not readable, or the label map is not 3D.
    """
    return picture.read_label_header(path) if is_picture(path) else volume.read_label_header(path)


def read_label(path: Path) -> Volume:
    """Read a label map as integers `[x, y, z]`.

    Raises:
        DataError: as `read_label_header`, and where the file is cut short or holds values that are not whole numbers.
    """
    return picture.read_label(path) if is_picture(path) else volume.read_label(path)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, by its suffix."""
    return path.suffix.lower() in picture.SUFFIXES
