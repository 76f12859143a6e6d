"""Read 2D images (PNG, JPEG, TIFF, BMP) as volumes of one slice.

A 2D image is stored as DICOM stores an axial slice: x counts its columns, towards the patient's left, and y its rows,
towards the back. `array[:, :, 0].swapaxes(0, 1)` is the image again, `[row, column, channels]`, and code that draws
axial slices upright draws 2D images upright. They have no millimetres: their spacing is 1 pixel.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tfseg.core.errors import DataError
from tfseg.datasets import mask
from tfseg.datasets.checks import ROUNDING, check_file, check_length, check_size, naming, whole
from tfseg.datasets.grids import Array, Header, Opened, Volume

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
# EXIF's orientations in which columns are stored as rows.
SIDEWAYS = (5, 6, 7, 8)
# Pillow refuses images of many pixels; `check_size` compares with this machine's memory instead.
Image.MAX_IMAGE_PIXELS = None
# Modes of one channel, and the mode in which each is read; other modes are read as red, green and blue.
GREY_MODES = {"1": "L", "L": "L", "LA": "L", "I": "I", "F": "F", "I;16": "I;16", "I;16B": "I;16B"}
# Modes with transparency, and the mode in which a mask of each is read.
ALPHA_MODES = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}
# Bits a pixel of the modes that do not have 8 for each channel, and compressions without a greatest ratio.
BITS, FAX = {"1": 1, "P": 1, "L": 1, "I;16": 16, "I;16B": 16, "I": 16, "F": 16}, ("group3", "group4", "tiff_ccitt")
# Formats whose compression changes values.
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "JPEG2000")


@contextmanager
def open_image(path: Path) -> Iterator[Opened]:
    """Open a 2D image, turned as its EXIF says; its values are float32 `[x, y, 1, channels]`.

    Channels are grey, or red, green and blue; transparency is left out.

    Raises:
        DataError: if the file is absent, not readable or has several pages; on reading, if it is cut short.
    """
    with _open(path) as image:
        yield Opened(_header(image, 1 if image.mode in GREY_MODES else 3), partial(_read_image, path, image))


@contextmanager
def open_label(path: Path, shown: bool = False) -> Iterator[Opened]:
    """Open a mask; its values are integers `[x, y, 1]`: pixel values, or the indices of a palette.

    A mask that is only in the transparency, and a lossy one of black and white, are read as 0 and 255.

    Args:
        path: of the mask.
        shown: read the grey levels that a palette shows, not its indices.

    Raises:
        DataError: as `open_image`; on reading, if values are not whole numbers, or the mask is in colours, in
            transparency and in colours both, or lossy with levels between black and white.
    """
    with _open(path) as image:
        yield Opened(_header(image, 1), partial(_read_label, path, image, shown))


def palette_of(path: Path) -> dict[int, tuple[int, ...]] | None:
    """Return the colours of the indices that a mask uses; None for an image without a palette.

    A colour is red, green and blue, and its opacity if it is transparent.

    Raises:
        DataError: as `open_label`.
    """
    with _open(path) as image:
        if image.mode != "P":
            return None
        used = np.unique(_pixels(path, image, "P")).tolist()
        image.apply_transparency()
        colours = np.reshape(image.getpalette("RGBA"), (-1, 4)).tolist()
    shown = {index: tuple(colours[index]) if index < len(colours) else (0, 0, 0, 255) for index in used}
    return {index: colour[:3] if colour[3] == 255 else colour for index, colour in shown.items()}


def _open(path: Path) -> Any:
    check_file(path)
    warnings.filterwarnings("ignore", module="PIL")  # they name no file
    with naming(path, "not a readable 2D image"):
        image = Image.open(path)
    try:
        with naming(path, "not a readable 2D image"):
            pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO adds previews
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
    channels = 1 if image.mode in GREY_MODES else 3
    rows = pixels.reshape(*pixels.shape[:2], -1)[..., :channels].astype(np.float32)
    return Volume(rows.swapaxes(0, 1)[:, :, np.newaxis], AFFINE, in_pixels=True)


def _read_label(path: Path, image: Any, shown: bool) -> Volume:
    if image.mode == "P":
        in_colour = "RGBA" if "transparency" in image.info else "RGB"
        pixels = _pixels(path, image, in_colour if shown else "P")
    else:
        pixels = _pixels(path, image, ALPHA_MODES.get(image.mode) or GREY_MODES.get(image.mode, "RGB"))
    lossy = image.format in LOSSY_FORMATS or image.info.get("compression") == "jpeg"
    values = mask.values_of(path, pixels.reshape(*pixels.shape[:2], -1), lossy)
    return Volume(whole(path, values.swapaxes(0, 1)[:, :, np.newaxis], ROUNDING), AFFINE, in_pixels=True)


def _orientation(image: Any) -> int:
    """EXIF's, 1 to 8; Pillow itself turns a TIFF."""
    exif = "exif" in image.info and image.format != "TIFF"
    return image.getexif().get(ExifTags.Base.Orientation, 1) if exif else 1


def _pixels(path: Path, image: Any, mode: str) -> Array:
    """The pixels `[row, column]` or `[row, column, channels]`, upright."""
    with naming(path, "the 2D image cannot be read"):
        _check_sums(path, image)
    if _is_deep(image):
        return _deep_pixels(path, image)
    image.filename = ""  # or Pillow maps uncompressed TIFFs into memory, those that lie sideways in a wrong shape
    with naming(path, "the 2D image cannot be read"):
        _check_length(path, image)
        image.load()
        upright = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
        return np.asarray(upright if upright.mode == mode else upright.convert(mode))


def _check_sums(path: Path, image: Any) -> None:
    """Refuse a PNG whose pixels do not have their checksum, which Pillow and OpenCV read past."""
    if image.format == "PNG":
        with Image.open(path) as again:
            again.verify()


def _check_length(path: Path, image: Any) -> None:
    """Refuse an image whose header asks for more pixels than its file can hold; fax codes have no such limit."""
    bits = BITS.get(image.mode, 8 * len(image.getbands()))
    compression = str(image.info.get("compression", ""))
    if not compression.startswith(FAX):
        raw = image.format in ("TIFF", "BMP") and all(tile[0] == "raw" for tile in image.tile)
        check_length(math.prod(image.size) * bits // 8, path, compressed=not raw)


def _is_deep(image: Any) -> bool:
    """Whether an image has several channels of 16 bits, of which Pillow would read the upper 8."""
    return image.mode not in ("I;16", "I;16B", "I", "F") and any(";16" in str(tile[3]) for tile in image.tile)


def _deep_pixels(path: Path, image: Any) -> Array:
    import cv2

    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    with naming(path, "the 2D image cannot be read"):
        stored = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        if stored is None or stored.dtype != np.uint16:
            raise ValueError("its channels of 16 bits cannot be read")
        if stored.ndim == 3:  # blue, green, red and transparency
            stored = stored[..., [2, 1, 0, *range(3, stored.shape[2])]]
        turned = stored.swapaxes(0, 1) if orientation in SIDEWAYS else stored
        turned = turned[::-1] if orientation in (3, 4, 7, 8) else turned
        return turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
