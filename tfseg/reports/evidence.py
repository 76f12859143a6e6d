"""Show the scores and conclusions of a comparison: tables, figures, ranks, pairs, conventions."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from tfseg import metrics, statistics
from tfseg.metrics import METRICS, write_value
from tfseg.metrics.summary import MEAN_LABEL
from tfseg.reports import figures_comparison
from tfseg.reports.figures_forest import forest
from tfseg.statistics import Question
from tfseg.statistics.quantities import write_p

QUESTIONS = statistics.SECONDARY_METRICS
_COLUMNS = ("dice", "nsd", "hd95", "assd")  # of the tables of means
_ARMS_IN_PAIRS = 3


class Scored(Protocol):
    """A comparison with scores: of trained networks, or of masks."""

    @property
    def scores(self) -> pd.DataFrame:
        """The table of scores; the column `loss` names the arms."""

    @property
    def diagonals(self) -> Mapping[str, float]:
        """Case → diagonal of its volume, in the unit of distances."""

    @property
    def losses(self) -> list[str]:
        """The names of the arms."""

    @property
    def labels(self) -> list[str]:
        """The names of the labels, followed by "mean" if there are several."""

    @property
    def means(self) -> pd.DataFrame:
        """Means and failures, as `tfseg.comparison.means` gives them."""

    @property
    def primary(self) -> tuple[str, str]:
        """Label and metric of the primary question."""

    @property
    def questions(self) -> dict[tuple[str, str], Question]:
        """Label and metric → the values of every arm on the same subjects."""


def evidence(compared: Scored, tests: pd.DataFrame, unit: str) -> dict[str, Any]:
    """Return what the templates of scores and conclusions need, apart from `kind`, `trained`, `masks` and `tolerance`.

    Args:
        compared: the comparison.
        tests: every pair, with its verdict.
        unit: of distances.
    """
    main, primary = compared.primary
    asked = list(dict.fromkeys([primary, *QUESTIONS]))
    own = tests[tests["label"] == main]
    return {
        "losses": compared.losses,
        "rows": compared.labels,
        "main": main,
        "mean": MEAN_LABEL,
        "unit": unit,
        "subjects": compared.scores["subject"].nunique(),
        "networks": compared.means["networks"].max(),
        "primary": statistics.describe(*compared.primary),
        "findings": statistics.secondary_findings(tests),
        "columns": list(dict.fromkeys([*_COLUMNS, primary])),
        "table_means": _means(compared),
        "rankings": {metric: records(statistics.ranking(compared.questions[main, metric])) for metric in asked},
        "pairs": {metric: records(own[own["metric"] == metric]) for metric in asked},
        "anova": [_anova(compared.questions[main, metric]) for metric in asked],
        "anova_ignores": statistics.IGNORES,
        "conventions": _conventions(compared),
        "plots": _plots(compared, unit),
        "forests": _forests(compared, tests, asked, unit),
        "write_p": write_p,
        "write_value": write_value,
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, each as column → value."""
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]


def named(label: str) -> str:
    """Return a label as figures name it."""
    return "mean over labels" if label == MEAN_LABEL else label


def _means(compared: Scored) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """Return label and metric → loss → mean, interval and SD, and whether the mean is the best as printed."""
    means = compared.means
    table: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for label, metric in compared.questions:
        rows = means[(means["label"] == label) & (means["metric"] == metric)]
        printed = (rows["mean"] * METRICS[metric].sign).round(METRICS[metric].digits)
        table[label, metric] = {record["arm"]: record for record in records(rows.assign(best=printed == printed.max()))}
    return table


def _anova(question: Question) -> tuple[str, statistics.Anova]:
    return METRICS[question.metric].name, statistics.one_way_anova(question.values)


def _conventions(compared: Scored) -> dict[str, Any]:
    """Rank the losses under every convention; `empty` counts the cases in which conventions differ."""
    table = statistics.rankings(compared.scores, compared.diagonals)
    described = {each.name: each.used_by for each in statistics.CONVENTIONS}
    names = list(table["convention"].unique())
    rows = [
        {
            "label": label,
            "metric": metric,
            "loss": arm,
            "cells": [part.set_index("convention").loc[name].to_dict() for name in names],
        }
        for (label, metric, arm), part in table.groupby(["label", "metric", "arm"], sort=False)
    ]
    counts = compared.means.query("metric == 'dice'")
    empty = int(counts.loc[counts["label"] != MEAN_LABEL, ["both_empty", "missed", "false_alarm"]].to_numpy().sum())
    return {"names": names, "described": described, "rows": rows, "empty": empty}


def _plots(compared: Scored, unit: str) -> dict[str, str]:
    values = {
        metric: {
            named(label): {loss: compared.questions[label, metric].values[loss].to_numpy() for loss in compared.losses}
            for label in compared.labels
        }
        for metric in ("dice", "hd95")
    }
    dice = [each for (_, metric), each in compared.questions.items() if metric == "dice"]
    sizes = statistics.scores_by_size(dice, statistics.truth_volumes_ml(compared.scores))
    plots = {
        "dice": figures_comparison.boxes(values["dice"], metrics.heading("dice"), best=1.0),
        "hd95": figures_comparison.boxes(values["hd95"], metrics.heading("hd95", unit)),
    }
    return plots if sizes.empty else plots | {"sizes": figures_comparison.by_size(sizes, "mean Dice")}


def _forests(compared: Scored, tests: pd.DataFrame, names: Sequence[str], unit: str) -> dict[str, str]:
    """Draw the differences on every label, a figure per metric: of all pairs, or of the best arm if these are many.

    The best arm is that of the primary question.
    """
    label, metric = compared.primary
    asked = tests[(tests["label"] == label) & (tests["metric"] == metric)]
    if asked.empty:
        return {}
    best = statistics.best_arm(asked)
    drawn = {}
    for name in names:
        of_metric = tests[tests["metric"] == name]
        groups = {
            f"{named(each)}{' (primary question)' * ((each, name) == compared.primary)}": pairs
            for each in reversed(compared.labels)
            if len(pairs := of_metric[of_metric["label"] == each])
        }
        if len(compared.losses) > _ARMS_IN_PAIRS:
            groups = {each: statistics.against(pairs, best) for each, pairs in groups.items()}
        margin = float(of_metric["margin"].iloc[0])
        drawn[name] = forest(groups, metrics.heading(name, unit), METRICS[name].sign, margin)
    return drawn
