"""Means of arms with intervals, means of networks, and how stable the ranking of arms is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.stats

from tfseg.metrics.table import METRICS
from tfseg.statistics.model import Design
from tfseg.statistics.quantities import Array
from tfseg.statistics.questions import Question, nan_mean

MEAN_COLUMNS = ("label", "metric", "arm", "mean", "low", "high", "sd", "seeds", "networks", "subjects")
RANKING_COLUMNS = ("arm", "rank", "best", "rank_low", "rank_high")


def arm_means(questions: Sequence[Question]) -> pd.DataFrame:
    """Return the mean of every arm on every question, by the arm's own values alone.

    It is the mean over subjects of their means over seeds, then over labels. A case that is empty in truth and
    prediction has no value; an infinite distance counts as the diagonal of the volume.

    Returns:
        Columns `label, metric, arm, mean`; `low, high`: its 95 % interval over new subjects and new trainings (over
        subjects only, if the arm has one network, or is masks that no known network made), within the range of the
        metric; `sd`: over subjects; `seeds`: the fewest that tested a subject; `networks, subjects`.
    """
    rows = []
    for question in questions:
        for arm in question.arms:
            values, folds = question.observations(question.of_arm(arm), arm)
            design = Design(~np.isnan(values), folds)
            mean = float(nan_mean(nan_mean(values)))
            half = float(design.fit(values[None]).half_width()[0]) if design.subjects > 1 else np.nan
            low, high = np.clip([mean - half, mean + half], 0, 1 if METRICS[question.metric].sign > 0 else None)
            sd = question.values[arm].std()
            counts = design.fewest_seeds, design.networks, design.subjects
            rows.append((question.label, question.metric, arm, mean, low, high, sd, *counts))
    return pd.DataFrame(rows, columns=list(MEAN_COLUMNS))


def t_interval(values: Sequence[float] | Array) -> tuple[float, float]:
    """Return Student's 95 % interval of a mean, `mean ± t·s/√n`; NaN for fewer than two values.

    >>> low, high = t_interval([46.4, 42.5, 52.7, 50.6, 48.1])
    >>> round(low, 1), round(high, 1)
    (43.2, 52.9)
    """
    numbers = np.asarray(values, float)
    if numbers.size < 2:
        return np.nan, np.nan
    reach = scipy.stats.t.ppf(0.975, numbers.size - 1) * numbers.std(ddof=1) / np.sqrt(numbers.size)
    return float(numbers.mean() - reach), float(numbers.mean() + reach)


def network_means(question: Question) -> pd.DataFrame:
    """Return the mean of every network over the subjects that it tested; masks that no known network made have none.

    Returns:
        Columns `arm, seed, fold, mean, subjects`.
    """
    rows = []
    for arm in (each for each in question.arms if each not in question.masks):
        values = question.of_arm(arm)
        for place, seed in enumerate(question.seeds):
            for fold in np.unique(question.folds[place][~np.isnan(values[place])]):
                tested = values[place][question.folds[place] == fold]
                rows.append((arm, seed, int(fold), np.nanmean(tested), int((~np.isnan(tested)).sum())))
    return pd.DataFrame(rows, columns=["arm", "seed", "fold", "mean", "subjects"])


def ranking(question: Question, resamples: int = 2000) -> pd.DataFrame:
    """Rank the arms by their means, and resample subjects and networks to see how stable the ranks are.

    Subjects are drawn with replacement, and so are networks (seed and fold, the same for all arms). A case that is
    empty in truth and prediction counts as the best value, so that ranks agree with the differences of pairs.

    Args:
        question: the one to rank on.
        resamples: how many.

    Returns:
        A row per arm, best first: `arm, rank`; `best`: the share of resamples in which it has the best mean
        (equal means share it); `rank_low, rank_high`: the ranks that hold 95 % of them.

    Source: Owen 2007, 10.1214/07-AOAS122 (resampling both subjects and networks); Wiesenfarth 2021,
        10.1038/s41598-021-82017-6 (stability of rankings).
    """
    rng = np.random.default_rng(0)
    values = np.stack([question.of_arm(arm, count_empty=True) for arm in question.arms])
    sign = METRICS[question.metric].sign
    mean = nan_mean(np.stack([nan_mean(of_arm) for of_arm in values]).T)
    observed = ~np.isnan(values).all(axis=0)
    keys, network = np.unique(
        np.stack([np.nonzero(observed)[0], question.folds[observed]]), axis=1, return_inverse=True
    )
    weights = np.zeros((resamples, *observed.shape))
    for weight in weights:
        of_subject = np.bincount(rng.integers(values.shape[2], size=values.shape[2]), minlength=values.shape[2])
        of_network = np.bincount(rng.integers(keys.shape[1], size=keys.shape[1]), minlength=keys.shape[1])
        weight[observed] = of_network[network.ravel()]
        weight *= of_subject
    ranks = _ranks(sign * _weighted_means(values, weights))
    best = ranks == ranks.min(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "arm": question.arms,
            "rank": _ranks(sign * mean),
            "best": (best / best.sum(axis=1, keepdims=True)).mean(axis=0),
            "rank_low": np.quantile(ranks, 0.025, axis=0),
            "rank_high": np.quantile(ranks, 0.975, axis=0),
        }
    )
    return table.sort_values("rank", kind="stable", ignore_index=True)[list(RANKING_COLUMNS)]


def _weighted_means(values: Array, weights: Array) -> Array:
    """Return means `[draws, arms]` of `[arms, seeds, subjects]` without NaN, by weights `[draws, seeds, subjects]`."""
    total = np.tensordot(weights, ~np.isnan(values), ((1, 2), (1, 2)))
    sums = np.tensordot(weights, np.nan_to_num(values), ((1, 2), (1, 2)))
    return np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0)


def _ranks(gains: Array) -> Array:
    """Return ranks `[..., arms]` from 1, the largest gain; equals share the smaller rank, and no value comes last."""
    filled = np.round(np.where(np.isnan(gains), -np.inf, gains), 10)
    return 1.0 + (filled[..., None, :] > filled[..., :, None]).sum(axis=-1)
