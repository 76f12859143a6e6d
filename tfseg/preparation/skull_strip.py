"""Find the brain in a head MR: a region grown from Otsu's thresholds by morphology in millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfseg.core.errors import DataError
from tfseg.core.geometry import Mask, closing, dilate, erode, fill_holes, largest_component, validated_spacing

_BLUR_MM = 0.8
_REGROWTH_MM = 2.0  # less than the skull is thick
_DARKEST, _BRIGHTEST = 0.6, 1.4  # brain may be this times the tissue threshold, and this times the median tissue


def skull_strip(
    image: NDArray[np.generic],
    spacing_mm: Sequence[float],
    erosion_mm: float = 5.0,
    closing_mm: float = 10.0,
) -> Mask:
    """Find the brain, with the fluid of ventricles and sulci, in a head MR such as T1 (with contrast or not) or FLAIR.

    Otsu's threshold separates tissue from air, bone and fluid, a second one separates fat from the rest. An erosion
    cuts the connections to muscle and eyes; the largest region is grown back, closed and filled.

    Args:
        image: `[x, y, z]`, or `[h, w]` for a 2D image in which the brain is the largest region; finite intensities.
        spacing_mm: distance between voxel centres along each axis.
        erosion_mm: connections thinner than twice this are cut; if slices are thicker, one slice is removed. Larger
            values lose more of narrow lobes, smaller ones keep muscle and orbits.
        closing_mm: sulci narrower than twice this belong to the brain.

    Returns:
        A boolean mask of the image's shape: one connected region.

    Raises:
        DataError: if a value is not finite, the image is constant, or the erosion leaves nothing.
        ValueError: if the image is not 2D or 3D, or a spacing or radius is not positive.

    Source: Otsu 1979, 10.1109/TSMC.1979.4310076; for brain slices Neyestanak 2025, 10.18502/jbe.v11i1.19315,
        taken to volumes here.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    pixels = np.asarray(image, np.float32)
    if pixels.ndim not in (2, 3):
        raise ValueError(f"image: expected 2 or 3 axes, received shape {pixels.shape}")
    if not np.isfinite(pixels).all():
        raise DataError("image: expected finite values, received NaN or infinity")
    if pixels.size == 0 or pixels.min() == pixels.max():
        raise DataError("image: expected tissue and background, received one value everywhere")
    spacing = np.array(validated_spacing(spacing_mm, pixels.ndim))
    for name, radius in (("erosion_mm", erosion_mm), ("closing_mm", closing_mm)):
        if not 0 < radius < np.inf:
            raise ValueError(f"{name}: expected a positive number, received {radius}")

    smooth = ndimage.gaussian_filter(pixels - pixels.min(), _BLUR_MM / spacing)
    tissue_from = threshold_otsu(smooth.ravel())
    tissue = smooth[smooth > tissue_from]
    # With fat suppression the second threshold would fall between grey and white matter; the median prevents it.
    fat_from = max(threshold_otsu(tissue), _BRIGHTEST * np.median(tissue))

    # A slice thicker than the radius still counts as a neighbour, so that muscle below the skull base is cut off.
    near = np.minimum(spacing, erosion_mm)
    core = largest_component(erode((smooth > tissue_from) & (smooth < fat_from), erosion_mm, near))
    if not core.any():
        raise DataError(f"erosion_mm: no region of this image outlives {erosion_mm} mm; choose a smaller one")
    grown = dilate(core, erosion_mm + _REGROWTH_MM, near)
    brain = grown & (smooth > _DARKEST * tissue_from) & (smooth < fat_from)
    return largest_component(fill_holes(closing(brain, closing_mm, spacing.tolist())))
