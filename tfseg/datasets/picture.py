"""Reading pictures (PNG, JPEG, TIFF, BMP) as volumes of one slice.

A picture is stored as DICOM stores an axial slice: x counts its columns, towards the patient's left, and y its rows,
towards the back. `array[:, :, 0].swapaxes(0, 1)` is the picture again, `[row, column, channels]`, and what draws axial
slices upright draws pictures upright. Pictures have no millimetres: their spacing is 1 pixel.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tfseg.core.errors import DataError, one_line
from tfseg.datasets.grids import Array, Header, Volume
from tfseg.datasets.volume import check_size, finite, whole

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
# JPEG smears the two values of a mask.
LOSSY = (".jpg", ".jpeg")
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
# EXIF's orientations in which columns are stored as rows.
SIDEWAYS = (5, 6, 7, 8)
# Pillow refuses large pictures by their pixels; `check_size` does, by this machine's memory.
Image.MAX_IMAGE_PIXELS = None
GREY_MODES = {"1": "L", "L": "L", "LA": "L", "I": "I", "F": "F", "I;16": "I;16", "I;16B": "I;16B"}


def read_header(path: Path) -> Header:
    """Read the size of a picture, turned as its EXIF says, and whether it is grey (one channel) or in colour (three).

    Raises:
        DataError: where the file is absent, not readable or has several pages.
    """
    with _open(path) as picture:
        channels = 1 if picture.mode in GREY_MODES else 3
        columns, rows = picture.size[::-1] if _orientation(picture) in SIDEWAYS else picture.size
        return Header((columns, rows, 1), channels, AFFINE, in_pixels=True)


def read_label_header(path: Path) -> Header:
    """Read the size of a mask.

    Raises:
        DataError: as `read_header`.
    """
    header = read_header(path)
    return Header(header.shape, 1, header.affine, in_pixels=True)


def read_image(path: Path) -> Volume:
    """Read a picture as float32 `[x, y, 1, channels]`: grey, or red, green and blue; transparency is left out.

    Raises:
        DataError: as `read_header`, and where the file is cut short or holds NaN or infinite values.
    """
    with _open(path) as picture:
        pixels = _pixels(path, picture, GREY_MODES.get(picture.mode, "RGB"))
    rows = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32)
    return Volume(finite(path, rows.swapaxes(0, 1)[:, :, np.newaxis]), AFFINE, in_pixels=True)


def read_label(path: Path) -> Volume:
    """Read a mask as integers `[x, y, 1]`: the values of the pixels, or the indices of a palette; JPEG as 0 and 255.

    Raises:
        DataError: as `read_header`, and where the mask is cut short, in colours, or its values are not whole.
    """
    with _open(path) as picture:
        pixels = _pixels(path, picture, "P" if picture.mode == "P" else GREY_MODES.get(picture.mode, "RGB"))
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise DataError(f"{path}: expected one value a pixel, found colours; save the mask as label values")
        pixels = pixels[..., 0]
    if path.suffix.lower() in LOSSY:
        pixels = np.where(pixels >= 128, 255, 0).astype(np.uint8)
    return Volume(whole(path, pixels.swapaxes(0, 1)[:, :, np.newaxis]), AFFINE, in_pixels=True)


def _open(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    picture: Any = None
    try:
        picture = Image.open(path)
        pages = getattr(picture, "n_frames", 1)
    except Exception as error:
        if picture:
            picture.close()
        raise DataError(f"{path}: not a readable picture: {one_line(error)}") from error
    if pages > 1:
        picture.close()
        raise DataError(f"{path}: expected one picture, found {pages} pages; save the stack as NIfTI")
    check_size(path, picture.size)
    return picture


def _orientation(picture: Any) -> int:
    """EXIF's, 1 to 8; a TIFF is turned by Pillow itself."""
    exif = "exif" in picture.info and picture.format != "TIFF"
    return picture.getexif().get(ExifTags.Base.Orientation, 1) if exif else 1


def _pixels(path: Path, picture: Any, mode: str) -> Array:
    picture.filename = ""  # else Pillow maps uncompressed TIFFs into memory, those that lie sideways in a wrong shape
    try:
        picture.load()
        upright = ImageOps.exif_transpose(picture) if _orientation(picture) != 1 else picture
        return np.asarray(upright if upright.mode == mode else upright.convert(mode))
    except Exception as error:
        raise DataError(f"{path}: the picture cannot be read: {one_line(error)}") from error
