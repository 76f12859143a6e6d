"""The verdict on every pair of arms: roles of questions, adjustment for their number, and what may be said."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
import pandas as pd

from tfseg.core.errors import ConfigError
from tfseg.metrics.summary import MEAN_LABEL
from tfseg.metrics.table import METRICS, write_value
from tfseg.statistics.effects import ALPHA, holm
from tfseg.statistics.pairs import fit_pairs
from tfseg.statistics.questions import Question
from tfseg.statistics.settling import Evidence, what_would_settle

MARGINS = {"dice": 0.01}
SECONDARY_METRICS = ("dice", "nsd", "hd95")

TEST_COLUMNS = (
    "label", "metric", "role", "first", "second", "difference", "low", "high", "p", "p_holm", "margin", "p_equivalent",
    "p_equivalent_holm", "p_better", "p_margin", "verdict", "sd_subjects", "sd_networks", "sd_residual", "beyond_low",
    "beyond_high", "p_beyond", "d_z", "d_z_low", "d_z_high", "rank_biserial", "wilcoxon_p", "seeds", "networks",
    "training_sets", "subjects", "collapsed_first", "collapsed_second", "note",
)  # fmt: skip
VERDICT_COLUMNS = (
    "label", "metric", "role", "first", "second", "difference", "low", "high", "p_better", "p_margin", "verdict",
    "seeds", "subjects", "note",
)  # fmt: skip


class Role(StrEnum):
    """Role of a question: it decides the study, is tested along with the one that does, or is only described."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    EXPLORATORY = "exploratory"


class Verdict(StrEnum):
    """Verdict on the first arm of a pair, compared with the second."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    OPEN = "open"
    UNTESTED = "untested"


def compare_arms(
    questions: Sequence[Question],
    *,
    primary: tuple[str, str] | None = None,
    margins: Mapping[str, float] | None = None,
    secondary_metrics: Sequence[str] = SECONDARY_METRICS,
    training_subjects: float | None = None,
) -> pd.DataFrame:
    """Compare every pair of arms on every question, by the model that `docs/verdicts.md` derives.

    One question is primary; its pairs are adjusted together (Holm). All pairs of all secondary questions are adjusted
    together. Exploratory questions are described, and no verdict is given on them.

    Args:
        questions: as `tfseg.statistics.questions` reads them.
        primary: label and metric of the primary question; None: the mean Dice over labels.
        margins: metric → the smallest difference that matters: arms that differ by less are equivalent. Whether they
            are is not asked of a metric without a margin. That of Dice is 0.01 unless it is given.
        secondary_metrics: every label of these metrics is a secondary question.
        training_subjects: that a network is trained on, the mean; None: all but those that its fold tests.

    Returns:
        A row per question and pair, columns `TEST_COLUMNS`, of which `VERDICT_COLUMNS` are the essential ones:
        `difference`: first minus second; `low, high`: its 95 % interval, for this pair alone; `p`: of no difference;
        `p_equivalent`: of a difference beyond the margin; `p_holm, p_equivalent_holm`: adjusted; `p_better`: the
        probability that the first is better when both are trained anew; `p_margin`: that it is better by more than the
        margin, over trainings; `verdict`; `sd_subjects, sd_networks, sd_residual`: expected standard deviations of the
        difference; `beyond_low, beyond_high, p_beyond`: interval, and probability that the first is better, on other
        datasets of the kind; `d_z`: the difference in standard deviations of subjects, and its interval;
        `rank_biserial, wilcoxon_p`: over subjects, given these networks; `seeds`: the fewest under which both arms
        tested a subject; `networks`: that both arms have; `training_sets`: of these; `subjects`: with a value;
        `collapsed_first, collapsed_second`: of these networks, those that collapsed on the label (below a quarter of
        the Dice of the median network of the better arm): a verdict must hold without them, or by their number;
        `note`. Of arms that are masks which no known network made, all this is about these masks: over new subjects
        and, in a pair with a trained arm, over new trainings of that arm alone; nothing is said of other datasets.

    Raises:
        ConfigError: a primary question or a margin that the scores do not have, or a margin that is not positive.
    """
    margins = margins or {}
    _check_margins(margins, questions)
    primary = primary_question(questions, primary)
    table = fit_pairs(questions, {**MARGINS, **margins}, training_subjects)
    asked = zip(table["label"], table["metric"], strict=True)
    table["role"] = [_role(label, metric, primary, secondary_metrics) for label, metric in asked]
    for test in ("p", "p_equivalent"):
        for role in (Role.PRIMARY, Role.SECONDARY):
            family = table["role"] == role
            table.loc[family, f"{test}_holm"] = holm(table.loc[family, test])
    table["verdict"] = [_verdict(row) for _, row in table.iterrows()]
    undecided = table["role"].map(table[table["verdict"].isin(_UNDECIDED)]["role"].value_counts())
    trained = len({(seed, fold) for (seed, _), fold in np.ndenumerate(questions[0].folds) if fold >= 0})
    pairs = zip(table["first"], table["second"], strict=True)
    networks = [1 if questions[0].masks.issuperset(pair) else trained for pair in pairs]
    table["note"] = [
        _note(row, tests, count) for (_, row), tests, count in zip(table.iterrows(), undecided, networks, strict=True)
    ]
    return table[list(TEST_COLUMNS)]


def primary_question(questions: Sequence[Question], asked: tuple[str, str] | None = None) -> tuple[str, str]:
    """Return the label and metric of the primary question: those asked for, or the mean Dice over labels.

    Raises:
        ConfigError: there are no scores of it.
    """
    present = [(question.label, question.metric) for question in questions]
    of_dice = [label for label, metric in present if metric == "dice"]
    label, metric = asked or (of_dice[-1] if of_dice else MEAN_LABEL, "dice")
    if (label, metric) not in present:
        known = ", ".join(f"{metric} of {label}" for label, metric in present)
        raise ConfigError(f"primary: expected one of {known}, received {metric} of {label}")
    return label, metric


def describe(label: str, metric: str) -> str:
    """Name a metric of a label.

    >>> describe("spleen", "hd95"), describe("mean", "dice")
    ('HD95 of spleen', 'mean Dice over labels')
    """
    name = METRICS[metric].name
    return f"mean {name} over labels" if label == MEAN_LABEL else f"{name} of {label}"


_UNDECIDED = (Verdict.EQUIVALENT, Verdict.OPEN, Verdict.UNTESTED)


def _check_margins(margins: Mapping[str, float], questions: Sequence[Question]) -> None:
    present = {question.metric for question in questions}
    for metric, margin in margins.items():
        if metric not in present:
            raise ConfigError(f"margins: expected metrics that are scored, received {metric}")
        if not margin > 0:
            raise ConfigError(f"margins: expected a positive number for {metric}, received {margin}")


def _role(label: str, metric: str, primary: tuple[str, str], secondary_metrics: Sequence[str]) -> Role:
    if (label, metric) == primary:
        return Role.PRIMARY
    return Role.SECONDARY if metric in secondary_metrics else Role.EXPLORATORY


def _verdict(row: pd.Series) -> Verdict:
    if np.isnan(row["p_holm"]):
        return Verdict.UNTESTED
    if row["p_holm"] < ALPHA:
        return Verdict.BETTER if row["difference"] * METRICS[row["metric"]].sign > 0 else Verdict.WORSE
    return Verdict.EQUIVALENT if row["p_equivalent_holm"] < ALPHA else Verdict.OPEN


def _note(row: pd.Series, tests: float, networks: int) -> str:
    parts = [row["note"]]
    if row["role"] == Role.EXPLORATORY:
        parts.append("exploratory: described, not tested")
    if row["networks"] < networks:
        parts.append(f"{row['networks']} of {networks} networks")
    if row["verdict"] in (Verdict.BETTER, Verdict.WORSE) and row["p_equivalent_holm"] < ALPHA:
        parts.append(f"smaller than the margin of {write_value(row['metric'], row['margin'])}")
    if row["verdict"] == Verdict.OPEN and row["p"] < ALPHA:
        parts.append("p < 0.05 alone, not among all comparisons")
    if row["collapsed_first"] or row["collapsed_second"]:
        parts.append(_about_collapses(row))
    elif row["verdict"] == Verdict.OPEN:
        spreads = row["sd_subjects"], row["sd_networks"], row["sd_residual"]
        counts = row["seeds"], row["networks"], row["subjects"], int(tests)
        parts.append(what_would_settle(Evidence(row["difference"], row["margin"], *spreads, *counts)))
    return "; ".join(filter(None, parts))


def _about_collapses(row: pd.Series) -> str:
    sides = [(row[f"collapsed_{side}"], row[side]) for side in ("first", "second")]
    counts = " and ".join(f"{fallen} of {row['networks']} of {arm}" for fallen, arm in sides if fallen)
    if row["verdict"] in (Verdict.BETTER, Verdict.WORSE):
        return f"rests on networks that collapsed: {counts}"
    if row["verdict"] == Verdict.OPEN:
        return f"networks collapsed: {counts}; more seeds would show whether that is chance"
    return f"networks collapsed: {counts}"
