"""Measure how well an uncertainty finds errors: of voxels, and of whole subjects."""

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from tfseg.metrics.ranked import Array, ranked, sums_of_smallest


def binary_entropy(probability: NDArray) -> NDArray:
    """Entropy of a label against the rest, `-p ln p - (1-p) ln(1-p)`, 0 to ln 2 = 0.693 nats.

    Source: Shannon 1948, 10.1002/j.1538-7305.1948.tb01338.x.

    >>> binary_entropy(np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [0.0, 0.693, 0.0]
    """
    entropy: NDArray = scipy.special.entr(probability) + scipy.special.entr(1 - probability)
    return entropy


def uncertainty_per_voxel(entropy: NDArray, probability: NDArray) -> float:
    """Sum of the entropies of all voxels, divided by the expected size of the label, `Σ H / Σ p`, in nats, at least 0.

    Without this division large structures would count as uncertain because they have more border. It needs no truth.
    A structure that is nearly missed has a large value; NaN if every probability is 0.

    >>> round(uncertainty_per_voxel(np.array([0.5, 0.5]), np.array([0.8, 0.2])), 3)
    1.0
    """
    size = float(probability.sum(dtype=np.float64))
    return float(entropy.sum(dtype=np.float64) / size) if size else np.nan


def auroc(uncertainty: NDArray, error: NDArray) -> float:
    """Area under the ROC curve: the probability that a wrong voxel is more uncertain than a right one, 0 to 1.

    Chance is 0.5; equal uncertainties count half. NaN if no voxel, or every voxel, is wrong.

    Args:
        uncertainty: `[n]`, of any scale.
        error: whether the voxel is wrong, `[n]`.

    Source: Hanley and McNeil 1982, 10.1148/radiology.143.1.7063747.

    >>> auroc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    counts, wrong = ranked(-uncertainty, error)
    right = counts - wrong
    if not wrong[-1] or not right[-1]:
        return np.nan
    return float(np.trapezoid(wrong, right) / (wrong[-1] * right[-1]))


def aupr(uncertainty: NDArray, error: NDArray) -> float:
    """Area under the precision-recall curve as average precision, `Σ_k (R_k - R_{k-1}) P_k`, 0 to 1.

    Chance is the share of wrong voxels, so compare it among networks that make as many errors. NaN if none is wrong.

    Args:
        uncertainty, error: as for `auroc`.

    Source: Davis and Goadrich 2006, 10.1145/1143844.1143874.

    >>> round(aupr(np.array([0.9, 0.4, 0.3, 0.1]), np.array([True, False, True, False])), 3)
    0.833
    """
    counts, wrong = ranked(-uncertainty, error)
    if not wrong[-1]:
        return np.nan
    return float((np.diff(wrong) * wrong[1:] / counts[1:]).sum() / wrong[-1])


def risk_coverage(uncertainty: NDArray, risk: NDArray) -> Array:
    """Return the mean risk of the k subjects that are least uncertain, `[n]` for k = 1 to n.

    Of subjects that are equally uncertain, each counts with the same share.

    Args:
        uncertainty: `[n]`, without NaN.
        risk: such as 1 - Dice, `[n]`.

    Source: El-Yaniv and Wiener 2010, Journal of Machine Learning Research 11:1605.

    >>> risk_coverage(np.array([0.1, 0.3, 0.2]), np.array([0.0, 0.3, 0.2])).round(3).tolist()
    [0.0, 0.1, 0.167]
    """
    kept = np.arange(1, uncertainty.size + 1)
    return sums_of_smallest(uncertainty, kept, risk) / kept


def aurc(uncertainty: NDArray, risk: NDArray) -> float:
    """Area under the risk-coverage curve of subjects: the mean of `risk_coverage`; NaN without subjects.

    It is 0 if every subject is right, and at best that of an uncertainty that orders subjects as their risk does.

    Args:
        uncertainty, risk: as for `risk_coverage`.

    Source: Geifman 2019, arXiv:1805.08206.

    >>> round(aurc(np.array([0.1, 0.3, 0.2]), np.array([0.0, 0.3, 0.2])), 3)
    0.089
    """
    return float(risk_coverage(uncertainty, risk).mean()) if uncertainty.size else np.nan


def rank_correlation(uncertainty: NDArray, quality: NDArray) -> float:
    """Spearman's rank correlation of an uncertainty with a quality such as Dice, -1 to 1.

    -1: the most uncertain subject is the worst one. NaN for fewer than three subjects, or if either is constant.

    Source: Spearman 1904, 10.2307/1412159.

    >>> round(rank_correlation(np.array([0.1, 0.3, 0.2]), np.array([0.9, 0.5, 0.7])), 3)
    -1.0
    """
    if uncertainty.size < 3 or not np.ptp(uncertainty) or not np.ptp(quality):
        return np.nan
    return float(scipy.stats.spearmanr(uncertainty, quality).statistic)
