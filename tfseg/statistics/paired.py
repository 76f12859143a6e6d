"""Paired values: every loss on the same subjects, in which no failure can hide."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tfseg.metrics.summary import MEAN_LABEL, check_scores, subject_values
from tfseg.metrics.table import METRICS


@dataclass(frozen=True)
class Paired:
    """One metric of one label, on the same subjects under several losses.

    `runs`: a row per subject, in order of their names; a column per (loss, seed); the mean of the subject's
    cases. NaN: that run did not score the subject, or every run found both masks of all its cases empty.
    """

    label: str
    metric: str
    runs: pd.DataFrame

    @property
    def values(self) -> pd.DataFrame:
        """The mean over seeds: a row per subject, a column per loss."""
        return self.runs.T.groupby(level="loss", sort=False).mean().T

    @property
    def losses(self) -> list[str]:
        """The losses, in order of their first appearance."""
        return list(self.runs.columns.get_level_values("loss").unique())


def paired_values(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> list[Paired]:
    """Pair the scores of several losses by subject, for every label and every metric with a better direction.

    The subject is the unit: its value is the mean of its cases, then of its seeds. An infinite distance
    counts as the diagonal of the volume. Where any run (loss and seed) has a value for a case, another's
    empty truth and prediction counts as the best value, 1 or 0 mm; where none has, the case is left out for all.
    So a false alarm never vanishes from a pair, and neither does finding that there is nothing. Where there
    are several labels, "mean" holds each subject's mean over those that have a value.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, every case once per loss and
            seed, values as `tfseg.metrics.score` gives them, NaN and inf kept.
        diagonal_mm: case → diagonal of its volume, in the unit of the distances; asked only of failed cases.

    Returns:
        In order of labels, then of metrics, as they first appear; "mean" last.

    Raises:
        ValueError: a missing column, a case scored twice, a label named "mean", a failed case without a
            diagonal.
    """
    check_scores(scores)
    compared = fill_empty(scores[scores["metric"].isin([name for name, metric in METRICS.items() if metric.better])])
    per_seed = [subject_values(part, diagonal_mm).assign(seed=seed) for seed, part in compared.groupby("seed")]
    if not per_seed:
        return []
    runs = pd.MultiIndex.from_product(
        [compared["loss"].unique(), sorted(compared["seed"].unique())], names=["loss", "seed"]
    )
    runs = runs[runs.isin(list(zip(compared["loss"], compared["seed"], strict=True)))]
    tables = {
        (str(label), str(metric)): group.pivot(index="subject", columns=["loss", "seed"], values="penalised").reindex(
            columns=runs
        )
        for (label, metric), group in pd.concat(per_seed).groupby(["label", "metric"], sort=False)
    }
    paired = [Paired(label, metric, table) for (label, metric), table in tables.items()]
    if compared["label"].nunique() > 1:
        for metric in dict.fromkeys(metric for _, metric in tables):
            of_labels = pd.concat([table for (_, other), table in tables.items() if other == metric])
            paired.append(Paired(MEAN_LABEL, metric, of_labels.groupby(level="subject").mean()))
    return paired


def fill_empty(scores: pd.DataFrame) -> pd.DataFrame:
    """Gives a case without value (truth and prediction empty) the best one, where any other run has a value for it.

    Args:
        scores: columns `loss, seed, case, label, metric, value`; metrics in `METRICS` alone are filled.
    """
    best = scores["metric"].map({name: metric.both_empty for name, metric in METRICS.items()})
    with_value = scores.groupby(["case", "label", "metric"])["value"].transform("count")
    return scores.assign(value=scores["value"].mask(scores["value"].isna() & (with_value > 0), best))
