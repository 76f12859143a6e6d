"""Find out which values the pixels of a 2D mask have, from what it shows."""

from pathlib import Path

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets.grids import Array

# Of 0 to 255: nearer to black or white than this is black or white; neighbours that differ by less are a flat area.
NEAR, FLAT = 48, 24
# Flat areas of more of the pixels than this share, and of more pixels than this number, are a level of their own.
LEVEL_SHARE, LEVEL_PIXELS = 1e-3, 8
# JPEG and resizing leave more greys than this between black and white, most near either and hardly any in areas.
GREYS_OF_JPEG, SHARE_NEAR, SHARE_IN_AREAS = 8, 0.7, 0.1


def values_of(path: Path, pixels: Array, lossy: bool = False) -> Array:
    """Return one value a pixel, `[row, column]`.

    Args:
        path: of the mask, for messages.
        pixels: `[row, column, channels]`: grey, grey and transparency, RGB, or RGB and transparency.
        lossy: whether compression changed the values, which are black and white then.

    Raises:
        DataError: if colours differ, colours and transparency show two different masks, or the mask was once compressed
            with loss and saved again without.
    """
    colours, alpha = (pixels[..., :-1], pixels[..., -1]) if pixels.shape[2] in (2, 4) else (pixels, None)
    grey = colours[..., 0]
    apart = colours.max(axis=-1) - colours.min(axis=-1)
    if apart.max() > (NEAR if lossy else 0):
        raise DataError(f"{path}: expected one value a pixel, found colours; save the mask as label values")
    if alpha is None or alpha.min() == alpha.max() == np.iinfo(alpha.dtype).max:
        if not lossy and has_traces_of_jpeg(grey):
            raise DataError(
                f"{path}: {len(np.unique(grey))} grey levels near black and white, as JPEG and resizing leave behind; "
                "save the mask as label values"
            )
        return black_and_white(path, grey) if lossy else grey
    if grey.min() == grey.max():
        opaque = black_and_white(path, alpha)
        return opaque if grey[0, 0] in (0, np.iinfo(grey.dtype).max) else np.where(opaque, grey, 0)
    if grey[alpha == 0].any() or not np.isin(alpha, (0, np.iinfo(alpha.dtype).max)).all():
        raise DataError(f"{path}: colours and transparency show two different masks; save the mask as label values")
    return grey


def black_and_white(path: Path, values: Array) -> Array:
    """Return 0 for dark and 255 for bright pixels of a mask whose two levels were blurred, as by JPEG.

    Raises:
        DataError: if areas have a level between, or none is bright though not all are black.
    """
    levels = values.astype(np.float32) * (255 / np.iinfo(values.dtype).max)
    between = (levels > NEAR) & (levels < 255 - NEAR) & (_spread(levels) < FLAT)
    if between.sum() > max(LEVEL_PIXELS, LEVEL_SHARE * levels.size):
        raise DataError(
            f"{path}: a lossy or transparent mask with areas of the level {np.median(levels[between]):.0f}, "
            "far from 0 and 255; save the mask as label values in PNG"
        )
    if 0 < levels.max() < 255 - NEAR:
        raise DataError(
            f"{path}: a lossy mask without white, its brightest value is {levels.max():.0f}; save the mask as label "
            "values in PNG"
        )
    return np.where(levels >= 128, 255, 0).astype(np.uint8)


def has_traces_of_jpeg(values: Array) -> bool:
    """Whether a mask of 8 bits has the grey levels beside black and white that JPEG adds; numbers of labels fill areas.

    Args:
        values: `[row, column]`.
    """
    grey = (values > 0) & (values < 255)
    dark, bright = grey & (values <= NEAR), grey & (values >= 255 - NEAR)
    if values.dtype != np.uint8 or not (dark.any() and bright.any()):
        return False
    greys, in_areas = grey.sum(), (grey & (_spread(values) == 0)).sum()
    are_near = (dark | bright).sum() > SHARE_NEAR * greys and in_areas < SHARE_IN_AREAS * greys
    return bool(are_near) and len(np.unique(values[grey])) > GREYS_OF_JPEG


def _spread(levels: Array) -> Array:
    """Greatest less least value of each pixel and its eight neighbours."""
    from scipy import ndimage

    spread: Array = ndimage.maximum_filter(levels, 3) - ndimage.minimum_filter(levels, 3)
    return spread
