"""Measure how far the probabilities of a label agree with its frequency: one label against the rest, over given voxels.

A probability `p` and a truth `y`, 0 or 1, belong to every voxel, for one channel, a class of a softmax and a region
alike. This is calibration by class, not that of the most probable class: background is not mixed in.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfseg.metrics.ranked import Array, sums_of_smallest

BINS = 15
LEAST = 1e-7  # probabilities are clipped to this distance from 0 and 1 before a logarithm


class Reliability(NamedTuple):
    """Bins of equal width in [0, 1]: `voxels` in each, mean `confidence` p, `frequency` of the label; NaN if empty."""

    voxels: Array
    confidence: Array
    frequency: Array


def reliability(probability: NDArray, truth: NDArray, bins: int = BINS) -> Reliability:
    """Return the points of a reliability diagram.

    Args:
        probability: of the label, `[n]` in [0, 1]. A bin holds its lower end; the last one also holds 1.
        truth: whether the voxel has the label, `[n]`.
        bins: how many, at least 1.

    Source: DeGroot and Fienberg 1983, 10.2307/2987588.

    >>> reliability(np.array([0.1, 0.3, 0.8]), np.array([0, 1, 1]), bins=2)
    Reliability(voxels=array([2., 1.]), confidence=array([0.2, 0.8]), frequency=array([0.5, 1. ]))
    """
    count, confidence, frequency = _sums(probability, truth, bins)
    safe = np.where(count > 0, count, np.nan)
    return Reliability(count, confidence / safe, frequency / safe)


def expected_calibration_error(probability: NDArray, truth: NDArray, bins: int = BINS) -> float:
    """Expected calibration error, bins of equal width: `Σ_b n_b/n · |frequency_b - confidence_b|`, 0 to 1.

    NaN without voxels. It depends on the bins; see `adaptive_calibration_error`.

    Args:
        probability, truth, bins: as for `reliability`.

    Source: Naeini 2015, 10.1609/aaai.v29i1.9602.

    >>> round(expected_calibration_error(np.array([0.1, 0.3, 0.8]), np.array([0, 1, 1]), bins=2), 3)
    0.267
    """
    _, confidence, frequency = _sums(probability, truth, bins)
    return float(np.abs(frequency - confidence).sum() / probability.size) if probability.size else np.nan


def adaptive_calibration_error(probability: NDArray, truth: NDArray, bins: int = BINS) -> float:
    """Adaptive calibration error, bins of equal mass: as the expected one, each bin with n/bins voxels, 0 to 1.

    Of voxels with equal probabilities between two bins, each bin takes the same share, so that their order does not
    matter. NaN without voxels.

    Args:
        probability, truth, bins: as for `reliability`.

    Source: Nixon 2019, arXiv:1904.01685.

    >>> adaptive_calibration_error(np.array([0.2, 0.2, 0.8, 0.8]), np.array([0, 1, 1, 1]), bins=2)
    0.25
    """
    if not probability.size:
        return np.nan
    edges = np.linspace(0, probability.size, bins + 1)
    gaps = np.diff(sums_of_smallest(probability, edges, np.subtract(truth, probability, dtype=np.float64)))
    return float(np.abs(gaps).sum() / probability.size)


def brier_score(probability: NDArray, truth: NDArray) -> float:
    """Brier score, the mean of `(p - y)²`, 0 to 1; NaN without voxels.

    Source: Brier 1950, 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    >>> round(brier_score(np.array([0.1, 0.8]), np.array([0, 1])), 3)
    0.025
    """
    return float(np.square(np.subtract(probability, truth, dtype=np.float64)).mean()) if probability.size else np.nan


def negative_log_likelihood(probability: NDArray, truth: NDArray) -> float:
    """Negative log-likelihood, the mean of `-ln p` of what is true, in nats, at least 0; NaN without voxels.

    Probabilities are clipped to [1e-7, 1 - 1e-7], so that a voxel costs at most 16.1 nats.

    Source: Good 1952, 10.1111/j.2517-6161.1952.tb00104.x.

    >>> round(negative_log_likelihood(np.array([0.1, 0.8]), np.array([0, 1])), 4)
    0.1643
    """
    of_truth = np.where(truth, probability, 1 - probability.astype(np.float64))
    return float(-np.log(np.clip(of_truth, LEAST, 1 - LEAST)).mean()) if probability.size else np.nan


def _sums(probability: NDArray, truth: NDArray, bins: int) -> tuple[Array, Array, Array]:
    """Return of each bin the number of voxels, and the sums of their probabilities and truths."""
    place = np.minimum((probability * bins).astype(np.intp), bins - 1)
    count, confidence, frequency = (
        np.bincount(place, weights, minlength=bins).astype(np.float64) for weights in (None, probability, truth)
    )
    return count, confidence, frequency
