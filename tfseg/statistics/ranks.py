"""Losses ranked within each subject: Friedman's test, Nemenyi's critical difference, and who is not told apart."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import scipy.stats

from tfseg.statistics.pairwise import ALPHA

_DECIMALS = 10


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of losses over subjects, 1 the best.

    `mean_ranks`: loss → mean rank, best first; `n`: subjects that have all losses; `groups`: the largest sets of
    losses, next to one another in rank, that are not told apart; `reason`: why there is no test, in which
    case `chi_square`, `p` and `critical_difference` are NaN and no group is given.
    """

    mean_ranks: dict[str, float]
    n: int
    chi_square: float
    p: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    reason: str


def friedman_nemenyi(values: pd.DataFrame, higher_is_better: bool) -> Ranking:
    """Tests by Friedman whether losses differ in rank, and by Nemenyi which.

    Two losses differ where their mean ranks are at least `CD = q·√(k(k+1) / 6n)` apart, for k losses and n
    subjects; q is the 95 % point of the studentized range for k groups, divided by √2. Where Friedman's
    test does not find a difference (p of 0.05 or more), all losses are one group.

    Args:
        values: a row per subject, a column per loss; subjects without a value for every loss are left out.
        higher_is_better: True for overlap, False for distances.

    Source: Friedman 1937, 10.1080/01621459.1937.10503522; Demšar 2006, Journal of Machine Learning Research 7:1-30.
    """
    complete = values.dropna().round(_DECIMALS)
    n, k = complete.shape
    ranks = complete.rank(axis=1, ascending=not higher_is_better)
    mean_ranks = {str(loss): float(rank) for loss, rank in ranks.mean().sort_values(kind="stable").items()}
    reason = _why_untestable(ranks)
    if reason:
        return Ranking(mean_ranks if n else {}, n, np.nan, np.nan, np.nan, (), reason)
    chi_square, p = scipy.stats.friedmanchisquare(*complete.to_numpy().T)
    critical_difference = nemenyi_difference(k, n)
    groups = _groups(mean_ranks, critical_difference) if p < ALPHA else (tuple(mean_ranks),)
    return Ranking(mean_ranks, n, float(chi_square), float(p), critical_difference, groups, "")


@cache
def nemenyi_difference(losses: int, subjects: int) -> float:
    """Return Nemenyi's critical difference of mean ranks at 0.05."""
    q = scipy.stats.studentized_range.ppf(1 - ALPHA, losses, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(losses * (losses + 1) / (6 * subjects)))


def _why_untestable(ranks: pd.DataFrame) -> str:
    n, k = ranks.shape
    if k < 3:
        return "Friedman's test compares three losses or more"
    if n < 2:
        return f"{'one' if n else 'no'} subject has a value under all losses"
    if (ranks == (k + 1) / 2).all(axis=None):
        return "all losses are equal on every subject"
    return ""


def _groups(mean_ranks: dict[str, float], critical_difference: float) -> tuple[tuple[str, ...], ...]:
    losses, ranks = list(mean_ranks), np.array(list(mean_ranks.values()))
    ends = [int(np.searchsorted(ranks, rank + critical_difference, side="left")) for rank in ranks]
    spans = [(start, end) for start, end in enumerate(ends) if end - start > 1]
    largest = [(start, end) for start, end in spans if start == 0 or ends[start - 1] < end]
    return tuple(tuple(losses[start:end]) for start, end in largest)
