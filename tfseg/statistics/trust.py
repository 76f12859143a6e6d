"""From scores of probabilities: does dropout or a temperature help, and does uncertainty flag the bad subjects?"""

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
import pandas as pd
import scipy.stats

from tfseg.metrics.error_detection import aurc, rank_correlation
from tfseg.metrics.outcomes import arm_column
from tfseg.metrics.summary import subject_values
from tfseg.metrics.table import CALIBRATED, DROPOUT, METRICS, PLAIN, SOURCES
from tfseg.statistics.pairs import fit_pairs
from tfseg.statistics.quantities import Array
from tfseg.statistics.questions import questions

FLAG_COLUMNS = (
    "arm", "label", "source", "subjects", "correlation", "correlation_low", "correlation_high",
    "aurc", "aurc_low", "aurc_high",
)  # fmt: skip
SOURCE_COLUMNS = ("arm", "label", "metric", "source", "difference", "low", "high", "networks", "subjects")
_OF_PLAIN = [
    name
    for name, metric in METRICS.items()
    if metric.of_probabilities and metric.better and not name.endswith((DROPOUT, CALIBRATED))
]


def has_probabilities(scores: pd.DataFrame) -> bool:
    """Whether a table of scores has quantities of probabilities."""
    return bool(scores["metric"].isin(_OF_PLAIN).any())


def source_differences(scores: pd.DataFrame) -> pd.DataFrame:
    """Compare, within each arm, the mean over dropout passes and the scaled network with the plain network.

    Every subject has a value under both, so that the differences are paired. They are fitted as pairs of arms are
    (`tfseg.statistics.compare_arms`) and described, not tested.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, and `arm` if arms are not losses.

    Returns:
        Columns `SOURCE_COLUMNS`: `metric`: of the plain network; `difference`: `source` minus plain network, the mean
        over subjects; `low, high`: its 95 % interval over new subjects and new trainings, or over
        new subjects alone if `networks` is 1.
    """
    column = arm_column(scores)
    renamed = []
    for source, base in product(SOURCES, _OF_PLAIN):
        own = scores[scores["metric"] == f"{base}{source}"]
        renamed.append(own.assign(metric=base, source=SOURCES[source]))
    table = pd.concat(renamed, ignore_index=True)
    found = []
    for arm, own in table.groupby(column, sort=False):
        as_arms = own.drop(columns=["arm", "loss"], errors="ignore").rename(columns={"source": "loss"})
        pairs = fit_pairs(questions(as_arms, {}), {})
        pairs = pairs[pairs["first"] == SOURCES[PLAIN]].dropna(subset="difference")
        turned = pairs.assign(
            arm=arm, source=pairs["second"], difference=-pairs["difference"], low=-pairs["high"], high=-pairs["low"]
        )
        found.append(turned[list(SOURCE_COLUMNS)])
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(SOURCE_COLUMNS))


def flagging(scores: pd.DataFrame, resamples: int = 1000) -> pd.DataFrame:
    """Say how well the uncertainty per voxel of a subject, which needs no truth, tells how bad its Dice is.

    Args:
        scores: as for `source_differences`.
        resamples: of the subjects, for the intervals.

    Returns:
        Columns `FLAG_COLUMNS`: per arm, label and source `plain` or `dropout`; `correlation`: Spearman's, -1 if the
        most uncertain subject has the worst Dice; `aurc`: area under the risk-coverage curve, with 1 - Dice as the
        risk; and their 95 % intervals over subjects (percentiles of a bootstrap). NaN for fewer than three subjects.
    """
    asked = scores[scores["metric"].isin(["dice", "uncertainty", f"uncertainty{DROPOUT}"])]
    values = subject_values(asked, {})
    rows = []
    for (arm, label), own in values.groupby([arm_column(scores), "label"], sort=False):
        by_subject = own.pivot(index="subject", columns="metric", values="finite")
        for source in (PLAIN, DROPOUT):
            if f"uncertainty{source}" in by_subject and "dice" in by_subject:
                both = by_subject[[f"uncertainty{source}", "dice"]].dropna().to_numpy().T
                rows.append((arm, label, SOURCES[source], both.shape[1], *_with_intervals(both[0], both[1], resamples)))
    return pd.DataFrame(rows, columns=list(FLAG_COLUMNS))


def _with_intervals(uncertainty: Array, dice: Array, resamples: int) -> Iterator[float]:
    """Yield correlation, its interval, AURC and its interval."""
    if uncertainty.size < 3:
        yield from [np.nan] * 6
        return
    drawn = np.random.default_rng(0).integers(uncertainty.size, size=(resamples, uncertainty.size))
    ranks = (scipy.stats.rankdata(each[drawn], axis=1) for each in (uncertainty, dice))
    centred = [each - each.mean(axis=1, keepdims=True) for each in ranks]
    spread = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    correlations = (centred[0] * centred[1]).sum(axis=1)[spread > 0] / spread[spread > 0]
    yield rank_correlation(uncertainty, dice)
    yield from _ends(correlations)
    yield aurc(uncertainty, 1 - dice)
    yield from _ends(np.array([aurc(uncertainty[own], 1 - dice[own]) for own in drawn]))


def _ends(values: Array) -> tuple[float, float]:
    if not values.size:
        return np.nan, np.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def study_k(scores: pd.DataFrame, source: str) -> Mapping[str, pd.DataFrame]:
    """Return the values of study K's columns and of Dice: metric → a row per subject, a column per arm.

    A subject's value is the mean over its cases, seeds and labels.

    Args:
        scores: as for `source_differences`.
        source: suffix of the metrics.
    """
    named = {
        "dice": "dice",
        **{name: f"{name}{source}" for name in ("entropy_mean", "entropy_sd", "probability_mean", "probability_sd")},
    }
    arm = arm_column(scores)
    means = (
        scores[scores["metric"].isin(named.values())].groupby(["metric", "subject", arm], sort=False)["value"].mean()
    )
    return {name: means[metric].unstack(arm, sort=False) for name, metric in named.items()}
