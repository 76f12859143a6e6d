"""Read 2D images (PNG, JPEG, TIFF, BMP) as volumes of one slice.

A 2D image is stored as DICOM stores an axial slice: x counts its columns, towards the patient's left, and y its rows,
towards the back. `array[:, :, 0].swapaxes(0, 1)` is the image again, `[row, column, channels]`, and code that draws
axial slices upright draws 2D images upright. They have no millimetres: their spacing is 1 pixel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tfseg.core.errors import DataError
from tfseg.datasets.checks import check_size, naming, whole
from tfseg.datasets.grids import Array, Header, Opened, Volume

# JPEG compression blurs the two values of a mask.
LOSSY = (".jpg", ".jpeg")
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
# EXIF's orientations in which columns are stored as rows.
SIDEWAYS = (5, 6, 7, 8)
# Pillow refuses images of many pixels; `check_size` compares with this machine's memory instead.
Image.MAX_IMAGE_PIXELS = None
GREY_MODES = {"1": "L", "L": "L", "LA": "L", "I": "I", "F": "F", "I;16": "I;16", "I;16B": "I;16B"}


@contextmanager
def open_image(path: Path) -> Iterator[Opened]:
    """Open a 2D image, turned as its EXIF says; its values are float32 `[x, y, 1, channels]`.

    Channels are grey, or red, green and blue; transparency is left out.

    Raises:
        DataError: if the file is absent, not readable or has several pages; on reading, if it is cut short or holds
            NaN or infinite values.
    """
    with _open(path) as image:
        yield Opened(_header(image, 1 if image.mode in GREY_MODES else 3), partial(_read_image, path, image))


@contextmanager
def open_label(path: Path) -> Iterator[Opened]:
    """Open a mask; its values are integers `[x, y, 1]`: pixel values or indices of a palette, and JPEG as 0 and 255.

    Raises:
        DataError: as `open_image`; on reading, if the mask is in colours, or its values are not whole numbers.
    """
    with _open(path) as image:
        yield Opened(_header(image, 1), partial(_read_label, path, image))


def _open(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with naming(path, "not a readable 2D image"):
        image = Image.open(path)
    try:
        with naming(path, "not a readable 2D image"):
            pages = getattr(image, "n_frames", 1)
        if pages > 1:
            raise DataError(f"{path}: expected one 2D image, found {pages} pages; save the stack as NIfTI")
        check_size(path, image.size)
    except DataError:
        image.close()
        raise
    return image


def _header(image: Any, channels: int) -> Header:
    columns, rows = image.size[::-1] if _orientation(image) in SIDEWAYS else image.size
    return Header((columns, rows, 1), channels, AFFINE, in_pixels=True)


def _read_image(path: Path, image: Any) -> Volume:
    pixels = _pixels(path, image, GREY_MODES.get(image.mode, "RGB"))
    rows = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32)
    return Volume(rows.swapaxes(0, 1)[:, :, np.newaxis], AFFINE, in_pixels=True)


def _read_label(path: Path, image: Any) -> Volume:
    pixels = _pixels(path, image, "P" if image.mode == "P" else GREY_MODES.get(image.mode, "RGB"))
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise DataError(f"{path}: expected one value a pixel, found colours; save the mask as label values")
        pixels = pixels[..., 0]
    if path.suffix.lower() in LOSSY:
        pixels = np.where(pixels >= 128, 255, 0).astype(np.uint8)
    return Volume(whole(path, pixels.swapaxes(0, 1)[:, :, np.newaxis]), AFFINE, in_pixels=True)


def _orientation(image: Any) -> int:
    """EXIF's, 1 to 8; Pillow itself turns a TIFF."""
    exif = "exif" in image.info and image.format != "TIFF"
    return image.getexif().get(ExifTags.Base.Orientation, 1) if exif else 1


def _pixels(path: Path, image: Any, mode: str) -> Array:
    image.filename = ""  # or Pillow maps uncompressed TIFFs into memory, those that lie sideways in a wrong shape
    with naming(path, "the 2D image cannot be read"):
        image.load()
        upright = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
        return np.asarray(upright if upright.mode == mode else upright.convert(mode))
