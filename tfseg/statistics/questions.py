"""Read a table of scores as questions: one metric of one label, every arm on the same subjects."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfseg.core.errors import DataError
from tfseg.metrics.outcomes import arm_column
from tfseg.metrics.summary import MEAN_LABEL, check_scores
from tfseg.metrics.table import METRICS
from tfseg.statistics.quantities import Array


class Scores(NamedTuple):
    """Scores of one label and metric.

    `values` `[arms, seeds, cases]`: infinite distances replaced by the diagonal, NaN if a case was not scored; `empty`:
    whether truth and prediction are empty, in which case `values` holds what that counts as; `subject` `[cases]`.
    """

    values: Array
    empty: NDArray[np.bool_]
    subject: NDArray[np.integer]

    def of_arm(self, arm: int, subjects: int, count_empty: bool = False) -> Array:
        """Return an arm's values `[seeds, subjects]`, the mean over cases.

        A case that is empty in truth and prediction has no value, or with `count_empty` the best one.
        """
        leave_out = self.empty[arm] & (not count_empty)
        return self._by_subject(np.where(leave_out, np.nan, self.values[arm]), subjects)

    def differences(self, first: int, second: int, subjects: int) -> Array:
        """Return first minus second `[seeds, subjects]`, the mean over cases, of the networks that both arms have.

        A case that is empty in truth and prediction counts as the best value if either arm has a value for it under
        any of these networks; else it is left out. No other arm matters.
        """
        difference = self.values[first] - self.values[second]
        has_value = ~np.isnan(difference) & ~(self.empty[first] & self.empty[second])
        return self._by_subject(np.where(has_value.any(axis=0), difference, np.nan), subjects)

    def _by_subject(self, values: Array, subjects: int) -> Array:
        of_subject = np.eye(subjects)[self.subject]
        count = ~np.isnan(values) @ of_subject
        return np.divide(np.nan_to_num(values) @ of_subject, count, out=np.full(count.shape, np.nan), where=count > 0)


@dataclass(frozen=True)
class Question:
    """One metric of one label, or of the mean over labels.

    `folds` `[seeds, subjects]`: the fold that tested a subject under a seed, -1 if none; `labels`: the scores of each
    label, one unless `label` is the mean; `masks`: the arms that are masks which no known network made.
    """

    label: str
    metric: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    subjects: tuple[str, ...]
    folds: NDArray[np.integer]
    labels: tuple[Scores, ...]
    masks: frozenset[str] = frozenset()

    def differences(self, first: str, second: str) -> Array:
        """Return first minus second, `[seeds, subjects]`; NaN if an arm has no network that tested the subject."""
        pair = self.arms.index(first), self.arms.index(second)
        return over_labels([scores.differences(*pair, len(self.subjects)) for scores in self.labels])

    def of_arm(self, arm: str, count_empty: bool = False) -> Array:
        """Return the values of an arm, `[seeds, subjects]`, without regard to other arms.

        A case that is empty in truth and prediction has no value, or with `count_empty` the best one.
        """
        place = self.arms.index(arm)
        return over_labels([scores.of_arm(place, len(self.subjects), count_empty) for scores in self.labels])

    def observations(self, values: Array, *arms: str) -> tuple[Array, NDArray[np.integer]]:
        """Return values `[seeds, subjects]` of some arms, and the fold whose networks each belongs to.

        Masks that no known network made are the same under every seed: if the arms are all masks, their values count
        once, in one fold.
        """
        if not self.masks.issuperset(arms):
            return values, self.folds
        return nan_mean(values)[np.newaxis], np.zeros((1, len(self.subjects)), int)

    @cached_property
    def values(self) -> pd.DataFrame:
        """The value of each subject (row) under each arm (column): mean over cases, then seeds, then labels."""
        columns = {}
        for place, arm in enumerate(self.arms):
            by_label = [nan_mean(scores.of_arm(place, len(self.subjects))) for scores in self.labels]
            columns[arm] = nan_mean(np.stack(by_label))
        return pd.DataFrame(columns, index=pd.Index(self.subjects, name="subject"))


def questions(scores: pd.DataFrame, diagonal_mm: Mapping[str, float], masks: Collection[str] = ()) -> list[Question]:
    """Read every label and every metric that has a better direction in `METRICS`; the mean over labels comes last.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, and `arm` if arms are not losses; every
            case once per arm and seed, values as `tfseg.metrics.score` gives them, NaN and inf kept.
        diagonal_mm: case → diagonal of its volume, in the unit of the distances; needed for failed cases only.
        masks: the arms that are masks which no known network made; their scores are the same under every seed.

    Raises:
        DataError: a missing column, a case scored twice, a label named "mean", a failed case without a diagonal, a
            subject in two folds under one seed.

    >>> row = {"fold": 0, "label": "lesion", "metric": "dice", "seed": 0}
    >>> scores = pd.DataFrame([
    ...     {**row, "loss": loss, "subject": name, "case": name, "value": value}
    ...     for loss, values in {"dice": (0.8, 0.6), "ce": (0.7, 0.7)}.items() for name, value in zip("ab", values)])
    >>> question, = questions(scores, {})
    >>> question.differences("dice", "ce").round(3).tolist()
    [[0.1, -0.1]]
    """
    check_scores(scores)
    scores = scores[scores["metric"].isin([name for name, metric in METRICS.items() if metric.better])]
    if scores.empty:
        return []
    value, empty = _penalised(scores, diagonal_mm)
    arm, arms = pd.factorize(scores[arm_column(scores)])
    seed, seeds = pd.factorize(scores["seed"].fillna(0), sort=True)
    subject, subjects = pd.factorize(scores["subject"].astype(str), sort=True)
    case, cases = pd.factorize(scores["case"])
    subject_of_case = np.zeros(cases.size, int)
    subject_of_case[case] = subject
    folds = _folds(scores["fold"].fillna(0).to_numpy(int), seed, subject, (seeds.size, subjects.size), subjects)

    keys = scores[["label", "metric"]].astype(str).reset_index(drop=True)
    tables: dict[tuple[str, str], Scores] = {}
    for (label, metric), group in keys.groupby(["label", "metric"], sort=False):
        rows = group.index.to_numpy()
        shape = arms.size, seeds.size, cases.size
        values, empties = np.full(shape, np.nan), np.zeros(shape, bool)
        place = arm[rows], seed[rows], case[rows]
        values[place], empties[place] = value[rows], empty[rows]
        tables[str(label), str(metric)] = Scores(values, empties, subject_of_case)

    def question(label: str, metric: str, parts: tuple[Scores, ...]) -> Question:
        names = tuple(map(str, arms)), tuple(map(int, seeds)), tuple(subjects)
        return Question(label, metric, *names, folds, parts, frozenset(masks))

    asked = [question(label, metric, (table,)) for (label, metric), table in tables.items()]
    for name in dict.fromkeys(metric for _, metric in tables if METRICS[metric].over_labels):
        parts = tuple(table for (_, metric), table in tables.items() if metric == name)
        if len(parts) > 1:
            asked.append(question(MEAN_LABEL, name, parts))
    return asked


def over_labels(labels: list[Array]) -> Array:
    """Combine labels so that the mean over subjects is the mean over labels of each label's mean over subjects.

    If every subject has every label, this is each subject's mean over labels. Else a label counts as much as another,
    however few subjects have it.

    Args:
        labels: `[seeds, subjects]` each, NaN if there is no value.

    >>> everywhere, rare = np.array([[0.2, 0.4, 0.6]]), np.array([[np.nan, 0.9, np.nan]])
    >>> over_labels([everywhere, rare]).mean().round(3).item()
    0.65
    """
    if len(labels) == 1:
        return labels[0]
    values = np.stack(labels)
    by_subject = nan_mean(values.swapaxes(0, 1))
    of_label = nan_mean(by_subject.T)
    present = ~np.isnan(of_label)
    if not present.any():
        return labels[0]
    some = ~np.isnan(by_subject).all(axis=0)
    share = some.sum() / (present.sum() * np.maximum((~np.isnan(by_subject)).sum(axis=1), 1))
    combined = np.nansum(share[:, None, None] * (values - of_label[:, None, None]), axis=0)
    combined[np.isnan(values).all(axis=0)] = np.nan
    return combined + of_label[present].mean() - np.nanmean(nan_mean(combined))


def nan_mean(values: Array) -> Array:
    """Return the mean over the first axis of what is not NaN; NaN if nothing is."""
    count = (~np.isnan(values)).sum(axis=0)
    return np.divide(np.nansum(values, axis=0), count, out=np.full(values.shape[1:], np.nan), where=count > 0)


def _penalised(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> tuple[Array, NDArray[np.bool_]]:
    """Return values with distances of failed cases replaced by the diagonal, and which are empty in both masks."""
    value = scores["value"].to_numpy(float)
    empty = np.isnan(value)
    failed = np.isinf(value) & scores["metric"].map(lambda name: METRICS[name].is_distance).to_numpy(bool)
    diagonal = scores["case"].map(diagonal_mm).to_numpy(float)
    if (without := scores.loc[failed & ~(diagonal > 0), "case"].unique()).size:
        raise DataError(f"diagonal_mm: expected the diagonal of every failed case, missing {list(without)}")
    both_empty = scores["metric"].map(lambda name: METRICS[name].both_empty).to_numpy(float)
    return np.where(failed, diagonal, np.where(empty, both_empty, value)), empty


def _folds(
    fold: NDArray[np.integer],
    seed: NDArray[np.integer],
    subject: NDArray[np.integer],
    shape: tuple[int, int],
    names: pd.Index,
) -> NDArray[np.integer]:
    folds = np.full(shape, -1)
    folds[seed, subject] = fold
    if (other := np.flatnonzero(folds[seed, subject] != fold)).size:
        name = names[subject[other[0]]]
        raise DataError(f"scores: expected every subject in one fold per seed, received {name} in several")
    return folds
