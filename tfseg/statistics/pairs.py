"""Fit the model to every pair of arms on every question."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfseg.metrics.summary import MEAN_LABEL
from tfseg.metrics.table import METRICS
from tfseg.statistics.collapse import collapses, p_without
from tfseg.statistics.effects import cohens_dz, rank_biserial, wilcoxon
from tfseg.statistics.model import Design, beyond_this_dataset
from tfseg.statistics.quantities import Array
from tfseg.statistics.questions import Question, nan_mean

PAIR_COLUMNS = (
    "label", "metric", "first", "second", "difference", "low", "high", "p", "margin", "p_equivalent", "p_better",
    "p_margin", "sd_subjects", "sd_networks", "sd_residual", "beyond_low", "beyond_high", "p_beyond", "d_z", "d_z_low",
    "d_z_high", "rank_biserial", "wilcoxon_p", "seeds", "networks", "training_sets", "subjects", "collapsed_first",
    "collapsed_second", "note",
)  # fmt: skip

_DECIMALS = 10  # differences below are rounding errors


class Pair(NamedTuple):
    """Two arms on one question; `differences` `[seeds, subjects]` is first minus second, `folds` whose networks'."""

    question: Question
    first: str
    second: str
    differences: Array
    folds: NDArray[np.integer]

    @classmethod
    def of(cls, question: Question, first: str, second: str) -> "Pair":
        """Return a pair of arms."""
        differences = np.round(question.differences(first, second), _DECIMALS) + 0.0
        return cls(question, first, second, *question.observations(differences, first, second))

    @property
    def masks(self) -> tuple[bool, bool]:
        """Whether each arm is masks that no known network made."""
        return self.first in self.question.masks, self.second in self.question.masks


def fit_pairs(
    questions: Sequence[Question], margins: Mapping[str, float], training_subjects: float | None = None
) -> pd.DataFrame:
    """Fit every pair of arms on every question, each pair by itself.

    Args:
        questions, margins, training_subjects: as for `tfseg.statistics.compare_arms`.

    Returns:
        A row per question and pair, columns `PAIR_COLUMNS`, as `compare_arms` describes them; p-values are not
        adjusted; `note`: why there is no test, in which case its columns are NaN.
    """
    dice = [question for question in questions if question.metric == "dice" and question.label != MEAN_LABEL]
    pairs = [
        Pair.of(question, first, second) for question in questions for first, second in combinations(question.arms, 2)
    ]
    # Pairs whose subjects and networks are the same are fitted at once.
    alike: dict[tuple[tuple[bool, bool], bytes], list[int]] = {}
    for place, pair in enumerate(pairs):
        alike.setdefault((pair.masks, (~np.isnan(pair.differences)).tobytes()), []).append(place)
    rows: dict[int, dict[str, object]] = {}
    for places in alike.values():
        group = [pairs[place] for place in places]
        design = Design(~np.isnan(group[0].differences), group[0].folds)
        rows |= dict(zip(places, _fit(design, group, margins, training_subjects), strict=True))
    for place, pair in enumerate(pairs):
        rows[place] |= _doubt_collapses(pair, dice, rows[place].get("p"))
    return pd.DataFrame([rows[place] for place in range(len(pairs))], columns=list(PAIR_COLUMNS))


def _fit(
    design: Design, pairs: Sequence[Pair], margins: Mapping[str, float], training_subjects: float | None
) -> list[dict[str, object]]:
    counts = {
        "seeds": design.fewest_seeds,
        "networks": design.networks,
        "training_sets": design.training_sets,
        "subjects": design.subjects,
    }
    rows = [
        {"label": pair.question.label, "metric": pair.question.metric, "first": pair.first, "second": pair.second}
        | counts
        | {"margin": margins.get(pair.question.metric, np.nan), "note": ""}
        for pair in pairs
    ]
    if design.subjects < 2:
        return [row | {"note": "fewer than two subjects have a value under both arms"} for row in rows]
    fit = design.fit(np.stack([pair.differences for pair in pairs]))
    sign = np.array([METRICS[pair.question.metric].sign for pair in pairs])
    margin = np.array([row["margin"] for row in rows], float)
    half = fit.half_width()
    found = {"difference": fit.mean, "low": fit.mean - half, "high": fit.mean + half}
    masks = pairs[0].masks
    if design.networks > 1 or all(masks):
        subjects, networks, residual = fit.standard_deviations()
        found |= {
            "p": fit.p_value(),
            "p_equivalent": np.maximum(fit.tail(margin - fit.mean), fit.tail(margin + fit.mean)),
            "p_better": fit.tail(-sign * fit.mean, extra=1),
            "p_margin": fit.tail(margin - sign * fit.mean),
            "sd_subjects": subjects,
            "sd_networks": networks,
            "sd_residual": residual,
        }
    if not any(masks) and design.networks > 1:
        test = design.subjects * design.fewest_seeds / design.networks
        extra = beyond_this_dataset(test, training_subjects or max(design.subjects - test, 1))
        beyond = fit.half_width(extra=extra)
        found |= {
            "beyond_low": fit.mean - beyond,
            "beyond_high": fit.mean + beyond,
            "p_beyond": fit.tail(-sign * fit.mean, extra=extra),
        }
    for place, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
        of_subjects = nan_mean(pair.differences)
        of_subjects = of_subjects[~np.isnan(of_subjects)]
        row |= _described(of_subjects, float(half[place]))
        if np.nanmax(pair.differences) == np.nanmin(pair.differences):
            row |= {"difference": of_subjects[0], "note": f"all {design.subjects} subjects have the same difference"}
            continue
        row |= {name: values[place] for name, values in found.items()}
        if design.networks == 1 and not all(masks):
            whose = "each arm" if not any(masks) else pair.second if masks[0] else pair.first
            row["note"] = f"one network of {whose}: what another training makes is unknown; the interval ignores it"
    return rows


def _doubt_collapses(pair: Pair, dice: Sequence[Question], p: object) -> dict[str, object]:
    """Count collapsed networks; with any, return the p that holds without them, or by their number, if it is larger."""
    if all(pair.masks):
        return {"collapsed_first": 0, "collapsed_second": 0}
    of_label = [each for each in dice if pair.question.label in (each.label, MEAN_LABEL)]
    found = collapses(of_label, pair.first, pair.second, ~np.isnan(pair.differences))
    counts: dict[str, object] = {"collapsed_first": found.first, "collapsed_second": found.second}
    if not isinstance(p, float) or found.first + found.second == 0:
        return counts
    rest = p_without(pair.differences, pair.question.folds, found.alone)
    return counts | {"p": max(p, min(rest, found.p_counts()))}


def _described(differences: Array, half_width: float) -> dict[str, float]:
    d, low, high = cohens_dz(differences, half_width)
    return {
        "d_z": d,
        "d_z_low": low,
        "d_z_high": high,
        "rank_biserial": rank_biserial(differences),
        "wilcoxon_p": wilcoxon(differences),
    }
