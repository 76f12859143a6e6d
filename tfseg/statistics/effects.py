"""Sizes of effects and tests over subjects, and the adjustment of p-values for their number."""

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from tfseg.statistics.quantities import Array

ALPHA = 0.05

_EXACT_UP_TO = 200  # subjects
_DECIMALS = 10  # smaller differences are rounding errors


def holm(p_values: ArrayLike) -> Array:
    """Adjust p-values so that the probability of any false rejection among them is that of one.

    `p̃₍ᵢ₎ = max over j ≤ i of (m - j + 1)·p₍ⱼ₎`, at most 1, for p-values in increasing order.

    Args:
        p_values: `[..., m]`, adjusted along the last axis; NaN (not tested) stays NaN and counts in m.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65-70.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, axis=-1)  # NaN last
    steps = np.take_along_axis(p_values, order, axis=-1) * np.arange(p_values.shape[-1], 0, -1)
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1), axis=-1)
    return adjusted


def wilcoxon(differences: ArrayLike) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test over subjects, given these networks.

    Exact with ties up to 200 subjects: all signs of the (mean) ranks are equally likely. Beyond, the normal
    approximation. Subjects without a difference are left out; NaN if none is left.

    Args:
        differences: `[subjects]`.

    Source: Wilcoxon 1945, 10.2307/3001968.

    >>> wilcoxon([1, 2, 3, 4, 5, 6]), wilcoxon([1, 1, 1, -1, 2, 2])
    (0.03125, 0.15625)
    """
    differing = _differing(differences)
    if differing.size == 0:
        return float("nan")
    if differing.size > _EXACT_UP_TO:
        return float(scipy.stats.wilcoxon(differing, method="approx").pvalue)
    doubled_ranks = np.rint(2 * scipy.stats.rankdata(np.abs(differing))).astype(int)  # whole numbers in spite of ties
    total = doubled_ranks.sum()
    probability = np.zeros(total + 1)
    probability[0] = 1
    for rank in doubled_ranks:
        probability[rank:] = (probability[rank:] + probability[:-rank]) / 2
        probability[:rank] /= 2
    positive = doubled_ranks[differing > 0].sum()
    return float(min(1, 2 * probability[: min(positive, total - positive) + 1].sum()))


def cohens_dz(differences: ArrayLike, half_width: float) -> tuple[float, float, float]:
    """Return Cohen's d_z and its 95 % interval: the mean difference in units of the subjects' standard deviation.

    The interval combines that of the mean, which includes networks, with the uncertainty of the standard deviation:
    `d ± √((half_width/SD)² + (t·d)² / (2(n - 1)))`. NaN if the differences do not vary.

    Args:
        differences: `[subjects]`, averaged over seeds.
        half_width: half the 95 % interval of the mean difference.

    Source: Lakens 2013, 10.3389/fpsyg.2013.00863.

    >>> [round(value, 2) for value in cohens_dz([0.01, 0.03, 0.02, 0.04, 0.00, 0.02], half_width=0.016)]
    [1.41, -0.2, 3.03]
    """
    differences = np.asarray(differences, float)
    if differences.size < 2 or np.ptp(np.round(differences, _DECIMALS)) == 0:
        return float("nan"), float("nan"), float("nan")
    spread, freedom = differences.std(ddof=1), differences.size - 1
    d = differences.mean() / spread
    reach = np.hypot(half_width / spread, scipy.stats.t.ppf(1 - ALPHA / 2, freedom) * d / np.sqrt(2 * freedom))
    return float(d), float(d - reach), float(d + reach)


def rank_biserial(differences: ArrayLike) -> float:
    """Return the matched-pairs rank-biserial correlation `(W₊ - W₋) / (W₊ + W₋)`, -1 to 1.

    W₊ and W₋ are the sums of the ranks of positive and negative differences' sizes. Subjects without a difference are
    left out; NaN if none is left.

    Args:
        differences: `[subjects]`.

    Source: Kerby 2014, 10.2466/11.IT.3.1.

    >>> round(rank_biserial([1, -2, 3, 4, 5, 6, 0]), 4)
    0.8095
    """
    differing = _differing(differences)
    if differing.size == 0:
        return float("nan")
    ranks = scipy.stats.rankdata(np.abs(differing))
    return float(np.sum(np.sign(differing) * ranks) / ranks.sum())


def _differing(differences: ArrayLike) -> Array:
    rounded = np.round(np.asarray(differences, float), _DECIMALS)
    return rounded[rounded != 0]
