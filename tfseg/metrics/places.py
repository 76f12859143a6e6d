"""Select the voxels in which probabilities are measured: the volume, the foreground, the band at the border."""

from collections.abc import Sequence

import numpy as np

from tfseg.core import geometry
from tfseg.core.geometry import Mask

BAND_MM = 3.0
PLACES = ("volume", "foreground", "band")


def border_band(truth: Mask, spacing_mm: Sequence[float], band_mm: float = BAND_MM) -> Mask:
    """Return the voxels within `band_mm` of the truth's border, inside and outside; none if the truth is empty.

    A voxel belongs to the band if its centre lies within `band_mm` of the centre of a surface voxel of the truth (one
    with a neighbour outside), as surface distances are measured.

    Args:
        truth: boolean `[*spatial]`, 2D or 3D. A 3D array with an axis of one voxel is a single slice.
        spacing_mm: distance between voxel centres along each axis.
        band_mm: width on either side, at least 0.

    Raises:
        ValueError: a spacing of the wrong length, or not positive and finite.

    >>> border_band(np.array([[0, 0, 1, 1, 1, 1, 1, 0, 0]] * 9, bool), (2, 1), band_mm=1)[4].astype(int).tolist()
    [0, 1, 1, 1, 0, 1, 1, 1, 0]
    """
    spacing = geometry.validated_spacing(spacing_mm, truth.ndim)
    across = geometry.single_slice_axis(truth.shape)
    if across is not None:
        flat = border_band(truth.squeeze(across), (*spacing[:across], *spacing[across + 1 :]), band_mm)
        return np.expand_dims(flat, across)
    band = np.zeros_like(truth)
    if truth.any():
        box = geometry.bounding_box(truth, margin=int(np.ceil(band_mm / min(spacing))))
        band[box] = geometry.dilate(geometry.surface(np.ascontiguousarray(truth[box])), band_mm, spacing)
    return band
