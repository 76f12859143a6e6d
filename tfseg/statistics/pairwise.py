"""Two losses on the same subjects: tests of their difference, its size, and how sure it is."""

from itertools import combinations

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import ArrayLike

from tfseg.statistics.quantities import Array

ALPHA = 0.05
MIN_SUBJECTS = 6  # with 5, Wilcoxon's smallest two-sided p is 2 / 2⁵ = 0.0625
TOO_FEW_DIFFER = f"too few subjects differ for Wilcoxon to reach {ALPHA}"

PAIR_COLUMNS = (
    "first", "second", "n", "mean_difference", "ci_low", "ci_high",
    "t_p", "t_p_holm", "wilcoxon_p", "wilcoxon_p_holm", "d_z", "rank_biserial", "note",
)  # fmt: skip

_DECIMALS = 10  # differences below are rounding


def paired_differences(first: ArrayLike, second: ArrayLike) -> Array:
    """Return first minus second of the subjects that have both, sorted; rounding errors are rounded off.

    Args:
        first, second: `[subjects]`, NaN where there is no value.
    """
    differences = np.asarray(first, float) - np.asarray(second, float)
    return np.sort(np.round(differences[~np.isnan(differences)], _DECIMALS)) + 0.0


def why_untestable(differences: Array) -> str:
    """Say why differences `[subjects]` allow no test, or nothing where they do."""
    n = differences.size
    if n == 0:
        return "no subject has a value under both losses"
    if n < MIN_SUBJECTS:
        subjects = "1 subject is" if n == 1 else f"{n} subjects are"
        return f"{subjects} too few for a test, which needs {MIN_SUBJECTS} (Wilcoxon: p ≥ {wilcoxon_floor(n):.4g})"
    if np.ptp(differences) == 0:
        what = f"the same, {differences[0]:.4g}" if differences[0] else "zero"
        return f"the differences of all {n} subjects are {what}, which leaves no spread to test against"
    return ""


def paired_t(differences: Array) -> float:
    """Return the two-sided p of the paired t-test, `t = mean / (SD / √n)`, n - 1 degrees of freedom.

    Args:
        differences: `[subjects]`, testable as `why_untestable` says.
    """
    return float(scipy.stats.ttest_1samp(differences, 0).pvalue)


def wilcoxon(differences: Array) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test; subjects without a difference are left out.

    Exact up to 50 subjects (13 where there are ties), by the normal approximation beyond.

    Args:
        differences: `[subjects]`, not all zero.

    Source: Wilcoxon 1945, 10.2307/3001968.
    """
    return float(scipy.stats.wilcoxon(differences[differences != 0]).pvalue)


def wilcoxon_floor(n: int) -> float:
    """Return the smallest two-sided p that Wilcoxon's test can give to n subjects that differ, `2 / 2ⁿ`."""
    return min(1.0, 2.0 ** (1 - n))


def holm(p_values: ArrayLike) -> Array:
    """Adjust p-values for their number, so that all together err with the probability of one.

    `p̃₍ᵢ₎ = max over j ≤ i of (m - j + 1)·p₍ⱼ₎`, at most 1, for p-values in increasing order.

    Args:
        p_values: `[m]`; NaN (not tested) stays NaN, and counts in m.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65-70.
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values)  # NaN last
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(p_values.size, 0, -1)), 1)
    return adjusted


def cohens_dz(differences: Array) -> float:
    """Return Cohen's d_z, the mean of the differences `[subjects]` in units of their SD (with n - 1).

    Source: Lakens 2013, 10.3389/fpsyg.2013.00863.
    """
    return float(differences.mean() / differences.std(ddof=1))


def rank_biserial(differences: Array) -> float:
    """Return the matched-pairs rank-biserial correlation `(W₊ - W₋) / (W₊ + W₋)`, -1 to 1.

    W₊ and W₋ are the sums of the ranks of the positive and the negative differences' sizes; zeros are left out.

    Args:
        differences: `[subjects]`, not all zero.

    Source: Kerby 2014, 10.2466/11.IT.3.1.
    """
    differing = differences[differences != 0]
    ranks = scipy.stats.rankdata(np.abs(differing))
    return float(np.sum(np.sign(differing) * ranks) / ranks.sum())


def bootstrap_interval(differences: Array, resamples: int = 9999) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference, bias-corrected and accelerated, over subjects.

    The same differences give the same interval, and their negatives the negative one.

    Args:
        differences: `[subjects]`, not all the same.
        resamples: draws of subjects with replacement.

    Source: Efron 1987, 10.1080/01621459.1987.10478410.
    """
    sign = 1 if differences.mean() >= 0 else -1
    low, high = scipy.stats.bootstrap(
        (np.sort(sign * differences),),
        np.mean,
        n_resamples=resamples,
        batch=500,
        confidence_level=1 - ALPHA,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return (float(low), float(high)) if sign > 0 else (-float(high), -float(low))


def pairwise_tests(values: pd.DataFrame) -> pd.DataFrame:
    """Tests every pair of losses; p-values are adjusted (`holm`) over the pairs.

    Args:
        values: a row per subject, a column per loss; NaN where there is no value.

    Returns:
        Columns `first, second`; `n`: subjects that have both; `mean_difference`: first minus second;
        `ci_low, ci_high`: its 95 % interval, not adjusted; `t_p, t_p_holm, wilcoxon_p, wilcoxon_p_holm`: two-sided;
        `d_z, rank_biserial`: sizes of the effect, with the sign of first minus second; `note`: why there is no
        test, or what one cannot tell. Where there is no test its columns are NaN.
    """
    pairs = list(combinations(values.columns, 2))
    rows = [_test_pair(first, second, paired_differences(values[first], values[second])) for first, second in pairs]
    table = pd.DataFrame(rows, columns=[*PAIR_COLUMNS, "floor"])
    for test in ("t_p", "wilcoxon_p"):
        table[f"{test}_holm"] = holm(table[test])
    for row, floor in enumerate(holm(table["floor"])):  # no adjusted p can be smaller: each grows with every p
        if floor >= ALPHA and not table.loc[row, "note"]:
            table.loc[row, "note"] = f"{TOO_FEW_DIFFER}: adjusted p ≥ {floor:.3g}"
    return table[list(PAIR_COLUMNS)]


def _test_pair(first: str, second: str, differences: Array) -> dict[str, object]:
    n = differences.size
    reason = why_untestable(differences)
    mean = differences.mean() if n else np.nan
    row: dict[str, object] = {"first": first, "second": second, "n": n, "mean_difference": mean, "note": reason}
    if reason:
        return row
    low, high = bootstrap_interval(differences)
    return row | {
        "ci_low": low,
        "ci_high": high,
        "t_p": paired_t(differences),
        "wilcoxon_p": wilcoxon(differences),
        "d_z": cohens_dz(differences),
        "rank_biserial": rank_biserial(differences),
        "floor": wilcoxon_floor(int(np.count_nonzero(differences))),
    }
