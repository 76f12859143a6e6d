"""Compare arms over several datasets: the dataset is the unit, so that a verdict may go beyond one of them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import ArrayLike

from tfseg.metrics.table import METRICS
from tfseg.statistics.effects import ALPHA, holm
from tfseg.statistics.quantities import Array
from tfseg.statistics.verdicts import Verdict

FEWEST = 3  # datasets; with two, nothing tells their spread
_DRAWS = 10_000
COLUMNS = (
    "first", "second", "difference", "low", "high", "sd", "p", "p_holm", "p_better", "verdict", "datasets", "note",
)  # fmt: skip


class Effect(NamedTuple):
    """Means over datasets, each `[...]`: half their 95 % interval, spread, p, and the share of datasets above 0."""

    mean: Array
    half: Array
    sd: Array
    p: Array
    above: Array


def effect_over_datasets(differences: ArrayLike) -> Effect:
    """Test whether a difference is zero over datasets of the kind, by Student's t over datasets.

    `d̄ ± t(J - 1) · s / √J`. The spread `s` between J datasets holds what differs between them and what each of them
    is uncertain about, so that no further model is needed. `above` is the probability that the difference is positive
    on one more dataset, `T(d̄ / (s · √(1 + 1/J)))`.

    Args:
        differences: `[..., datasets]`, one estimate per dataset.

    >>> effect = effect_over_datasets([0.02, 0.03, 0.01, 0.02])
    >>> effect.mean.round(3).item(), effect.half.round(3).item(), effect.p.round(3).item()
    (0.02, 0.013, 0.016)
    """
    values = np.asarray(differences, float)
    count = values.shape[-1]
    mean, sd = values.mean(axis=-1), values.std(axis=-1, ddof=1)
    scale = np.maximum(sd, 1e-12) / np.sqrt(count)
    p = 2 * scipy.stats.t.sf(np.abs(mean) / scale, count - 1)
    above = scipy.stats.t.cdf(mean / (scale * np.sqrt(count + 1)), count - 1)
    return Effect(mean, scipy.stats.t.ppf(0.975, count - 1) * scale, sd, p, above)


def compare_over_datasets(differences: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Compare every pair of arms over datasets, adjusted for the number of pairs (Holm).

    Args:
        differences: columns `dataset, first, second, difference`: the primary question of every dataset.
        metric: of that question.

    Returns:
        A row per pair, columns `COLUMNS`: `difference`: the mean over datasets, first minus second, and its 95 %
        interval; `sd`: over datasets; `p_better`: the probability that the first is better on another dataset of
        the kind; `verdict`: "untested" with fewer than three datasets.
    """
    sign = METRICS[metric].sign
    rows = []
    for (first, second), own in differences.groupby(["first", "second"], sort=False):
        values = own["difference"].dropna().to_numpy()
        row = {"first": first, "second": second, "datasets": len(values), "difference": values.mean(), "note": ""}
        if len(values) < FEWEST:
            row["note"] = f"{len(values)} datasets: at least {FEWEST} are needed to know their spread"
            rows.append(row)
            continue
        found = effect_over_datasets(values)
        better = found.above if sign > 0 else 1 - found.above
        ends = {"low": found.mean - found.half, "high": found.mean + found.half}
        rows.append(row | ends | {"sd": found.sd, "p": found.p, "p_better": better})
    table = pd.DataFrame(rows).reindex(columns=COLUMNS).astype({"p": float, "difference": float})
    table["p_holm"] = holm(table["p"])
    table["verdict"] = [_verdict(gain, p) for gain, p in zip(sign * table["difference"], table["p_holm"], strict=True)]
    return table


def ranks_over_datasets(means: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rank arms within each dataset and over all, and resample datasets to see how stable that is.

    Args:
        means: a row per dataset, a column per arm.
        metric: what they are means of.

    Returns:
        A row per arm, best first: `arm, mean_rank`; `best`: the share of resamples in which its mean rank is the best
        (equals share it); `rank_low, rank_high`: the ranks that hold 95 % of the resamples.
    """
    ranks = rank_rows(means.to_numpy(), METRICS[metric].sign)
    rng = np.random.default_rng(0)
    drawn = ranks[rng.integers(len(ranks), size=(_DRAWS, len(ranks)))].mean(axis=1)
    best = np.isclose(drawn, drawn.min(axis=1, keepdims=True))
    places = rank_rows(-drawn, 1)
    table = pd.DataFrame(
        {
            "arm": means.columns,
            "mean_rank": ranks.mean(axis=0),
            "best": (best / best.sum(axis=1, keepdims=True)).mean(axis=0),
            "rank_low": np.quantile(places, 0.025, axis=0),
            "rank_high": np.quantile(places, 0.975, axis=0),
        }
    )
    return table.sort_values("mean_rank", kind="stable", ignore_index=True)


def friedman(means: ArrayLike, sign: int) -> float:
    """Return the p of equal ranks over datasets, by drawing the order within each dataset at random.

    The statistic is Friedman's sum of squared rank sums; its usual χ² is too rough for a few datasets.

    Args:
        means: `[datasets, arms]`.
        sign: 1 if higher is better, -1 if lower is.

    Source: Friedman 1937, 10.1080/01621459.1937.10503522; Demšar 2006, JMLR 7:1-30.

    >>> friedman([[0.8, 0.7, 0.6]] * 5, sign=1) < 0.01
    True
    """
    ranks = rank_rows(np.asarray(means, float), sign)
    rng = np.random.default_rng(0)
    order = np.argsort(rng.random((_DRAWS, *ranks.shape)), axis=-1)
    shuffled = np.take_along_axis(np.broadcast_to(ranks, order.shape), order, axis=-1)
    own = (ranks.sum(axis=0) ** 2).sum()
    drawn = (shuffled.sum(axis=1) ** 2).sum(axis=-1)
    return float((1 + (drawn >= own - 1e-9).sum()) / (1 + _DRAWS))


def rank_rows(values: Array, sign: int) -> Array:
    """Return the ranks within each row `[rows, arms]`, 1 the best; equals share the mean rank."""
    return np.asarray(scipy.stats.rankdata(np.round(-sign * values, 10), axis=-1))


def headline(pairs: pd.DataFrame, ranks: pd.DataFrame, names: Mapping[str, int]) -> list[str]:
    """Say what holds over datasets, one sentence each.

    Args:
        pairs: as `compare_over_datasets` returns them.
        ranks: as `ranks_over_datasets` does.
        names: dataset → its number of subjects.
    """
    over = f"Over {len(names)} datasets ({'; '.join(f'{name}: {count} subjects' for name, count in names.items())})"
    if len(names) < FEWEST:
        return [f"{over}, no verdict: at least {FEWEST} datasets are needed to know their spread."]
    decided = pairs[pairs["verdict"].isin([Verdict.BETTER, Verdict.WORSE])]
    sentences = [f"{over}, {_finding(row)}." for _, row in decided.iterrows()]
    if not sentences:
        sentences.append(f"{over}, no arm is shown to be better than another.")
    first = ranks.iloc[0]
    stable = (
        f"{first['arm']} has the best mean rank, {first['mean_rank']:.2f}, in {100 * first['best']:.0f} % of resamples."
    )
    return [*sentences, stable]


def _finding(row: pd.Series) -> str:
    arms = (row["first"], row["second"]) if row["verdict"] == Verdict.BETTER else (row["second"], row["first"])
    low, high = sorted((abs(row["low"]), abs(row["high"])))
    size = f"{abs(row['difference']):.3f} (95 % interval {low:.3f} to {high:.3f})"
    return f"{arms[0]} is better than {arms[1]} by {size}"


def _verdict(gain: float, p_holm: float) -> Verdict:
    if np.isnan(p_holm):
        return Verdict.UNTESTED
    if p_holm >= ALPHA:
        return Verdict.OPEN
    return Verdict.BETTER if gain > 0 else Verdict.WORSE
