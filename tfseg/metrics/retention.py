"""Error retention: the Dice that is left when the most uncertain voxels are handed to a person."""

import numpy as np
from numpy.typing import NDArray

from tfseg.metrics.ranked import Array, sums_of_smallest

POINTS = 41  # of the curve


def retention_curve(uncertainty: NDArray, truth: NDArray, prediction: NDArray) -> Array:
    """Return the Dice after the most uncertain voxels were replaced by the truth, `[POINTS]`, 0 to 1.

    The person looks at 0, 1/40, … 40/40 of as many voxels as truth or prediction have together, wherever they are: all
    errors could be among them, and time spent on background that is right is lost. Of voxels that are equally
    uncertain, each is looked at with the same probability. NaN if truth and prediction are empty.

    Args:
        uncertainty: of every voxel of a scan, `[n]`.
        truth, prediction: boolean `[n]`.

    Source: Malinin 2021, arXiv:2107.07455 (error-retention curves); Mehta 2022, 10.59275/j.melba.2022-354f (Dice left).

    >>> truth, prediction = np.array([True, True, False, False]), np.array([True, False, False, False])
    >>> retention_curve(np.array([0.1, 0.9, 0.2, 0.0]), truth, prediction)[[0, 20, 40]].round(3).tolist()
    [0.667, 1.0, 1.0]
    """
    foreground = np.count_nonzero(truth | prediction)
    if not foreground:
        return np.full(POINTS, np.nan)
    looked_at = np.linspace(0, foreground, POINTS)
    missing, excess = truth & ~prediction, prediction & ~truth
    true_positives, false_negatives, false_positives = map(np.count_nonzero, (truth & prediction, missing, excess))
    # Voxels that are less uncertain than the last one looked at change nothing.
    least = np.partition(uncertainty, uncertainty.size - foreground)[uncertainty.size - foreground]
    asked = uncertainty >= least
    added, removed = (sums_of_smallest(-uncertainty[asked], looked_at, wrong[asked]) for wrong in (missing, excess))
    total = 2 * true_positives + false_negatives + added + false_positives - removed
    # Both masks are empty once every false positive is removed from an empty truth.
    return np.divide(2 * (true_positives + added), total, out=np.ones(POINTS), where=total > 0)


def retention_dice(curve: Array) -> float:
    """Area under a retention curve: the mean Dice over the share of voxels handed to a person, 0 to 1; NaN if it is."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
