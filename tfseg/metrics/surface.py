"""Distances between two surfaces: both directions are measured once, then each score is a small reduction."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfseg.core import geometry


class SurfaceDistances(NamedTuple):
    """For every surface voxel of one mask, the distance to the other's surface, in millimetres."""

    truth_to_prediction: NDArray[np.float64]
    prediction_to_truth: NDArray[np.float64]


def surface_distances(truth: geometry.Mask, prediction: geometry.Mask, spacing_mm: Sequence[float]) -> SurfaceDistances:
    """Measure both directed surface distances.

    The surface is the mask's voxels that an erosion by face neighbours removes. Distances run between voxel centres.
    An empty mask has no surface voxels: its own array is empty, and the other's holds only inf.

    Args:
        truth, prediction: boolean `[*spatial]` of one shape, 2D or 3D.
        spacing_mm: distance between voxel centres along each axis.

    Raises:
        ValueError: a spacing of the wrong length, or not positive and finite.

    >>> truth = np.zeros((5, 5), bool)
    >>> prediction = truth.copy()
    >>> truth[1, 1] = prediction[1, 3:5] = True
    >>> distances = surface_distances(truth, prediction, (1.0, 0.5))
    >>> distances.truth_to_prediction.tolist(), distances.prediction_to_truth.tolist()
    ([1.0], [1.0, 1.5])
    >>> hd(distances), round(assd(distances), 4), masd(distances), round(nsd(distances, 1.0), 4)
    (1.5, 1.1667, 1.125, 0.6667)
    """
    truth, prediction = geometry.crop_to_joint_box(truth, prediction)
    truth_surface, prediction_surface = geometry.surface(truth), geometry.surface(prediction)
    to_truth = geometry.distance_map(truth_surface, spacing_mm)
    to_prediction = geometry.distance_map(prediction_surface, spacing_mm)
    return SurfaceDistances(
        to_prediction[truth_surface].astype(np.float64), to_truth[prediction_surface].astype(np.float64)
    )


def hd(distances: SurfaceDistances) -> float:
    """Hausdorff distance in mm: the larger of the two directed maxima, `max(max d(t, P), max d(p, T))`.

    Truth and prediction empty: NaN. One of them empty: inf.
    Source: Huttenlocher 1993, 10.1109/34.232073.
    """
    return _reduce(distances, lambda forth, back: max(forth.max(), back.max()))


def hd95(distances: SurfaceDistances) -> float:
    """95 % Hausdorff distance in mm: the larger of the two directed 95th percentiles.

    `max(P95 d(t, P), P95 d(p, T))`, linear between ranks, as in MONAI. medpy takes one percentile of both pooled.
    Truth and prediction empty: NaN. One of them empty: inf.
    Source: Maier-Hein 2024, 10.1038/s41592-023-02151-z.
    """
    return _reduce(distances, lambda forth, back: max(np.percentile(forth, 95), np.percentile(back, 95)))


def assd(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance in mm: the mean over the surface voxels of both masks pooled.

    `(Σ d(t, P) + Σ d(p, T)) / (#T + #P)`, as in MONAI and medpy. The larger surface weighs more; see `masd`.
    Truth and prediction empty: NaN. One of them empty: inf.
    Source: Heimann 2009, 10.1109/TMI.2009.2013851; Maier-Hein 2024, 10.1038/s41592-023-02151-z.
    """
    return _reduce(distances, lambda forth, back: np.concatenate([forth, back]).mean())


def masd(distances: SurfaceDistances) -> float:
    """Mean average surface distance in mm: the mean of the two directed means.

    `(mean d(t, P) + mean d(p, T)) / 2`. Both surfaces weigh alike, whatever their size; see `assd`.
    Truth and prediction empty: NaN. One of them empty: inf.
    Source: Maier-Hein 2024, 10.1038/s41592-023-02151-z.
    """
    return _reduce(distances, lambda forth, back: (forth.mean() + back.mean()) / 2)


def nsd(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Normalised surface Dice: the fraction of both surfaces' voxels within the tolerance of the other.

    `(#{d(t, P) ≤ τ} + #{d(p, T) ≤ τ}) / (#T + #P)`, 0 to 1. It counts voxels, as MONAI does. Nikolov 2021 weighs
    each surface element by its area instead, which differs most if the spacing is anisotropic.
    Truth and prediction empty: NaN. One of them empty: 0.

    Args:
        distances: as from `surface_distances`.
        tolerance_mm: τ, finite, at least 0; a distance that equals it is within.

    Source: Nikolov 2021, 10.2196/26151.
    """
    surface_voxels = sum(directed.size for directed in distances)
    if surface_voxels == 0:
        return float("nan")
    close = sum(np.count_nonzero(geometry.within(directed, tolerance_mm)) for directed in distances)
    return float(close / surface_voxels)


def _reduce(
    distances: SurfaceDistances, reduction: Callable[[NDArray[np.float64], NDArray[np.float64]], np.floating | float]
) -> float:
    empty = [directed.size == 0 for directed in distances]
    if any(empty):
        return float("nan") if all(empty) else float("inf")
    return float(reduction(*distances))
