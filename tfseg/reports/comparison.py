"""Write the report of a comparison: which loss is better, by how much, with what certainty, and all evidence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfseg import metrics, statistics
from tfseg.comparison.folder import Comparison, read_comparison
from tfseg.core import colors, files
from tfseg.metrics import METRICS, write_value
from tfseg.metrics.summary import MEAN_LABEL
from tfseg.reports import figures_comparison
from tfseg.reports.cases import draw_cases
from tfseg.reports.run import by_label, facts, pages
from tfseg.reports.tables import Table, study_tables
from tfseg.statistics import VERDICT_COLUMNS, Question
from tfseg.statistics.quantities import write_p

QUESTIONS = statistics.SECONDARY_METRICS


def write_comparison(folder: Path) -> list[str]:
    """Write all tables and `report.html`; return the headline, one sentence each.

    Raises:
        RunError: as `read_comparison`.
    """
    comparison = read_comparison(folder)
    files.write_text(folder / "tests.csv", comparison.noted_tests.to_csv(index=False))
    files.write_text(folder / "verdicts.csv", comparison.noted_tests[list(VERDICT_COLUMNS)].to_csv(index=False))
    files.write_text(folder / "networks.csv", _networks(comparison.cells).to_csv(index=False))
    for table in _tables(comparison):
        table.write(folder / "tables")
    headline = [*statistics.headline(comparison.tests, comparison.prepared.unit), *comparison.caveat]
    files.write_text(folder / "report.html", _render(comparison, headline))
    return headline


def _tables(comparison: Comparison) -> list[Table]:
    first = comparison.scores[comparison.scores["seed"] == comparison.scores["seed"].min()]
    folds = {str(subject): int(fold) for subject, fold in first.groupby("subject")["fold"].first().items()}
    epochs = {str(loss): float(epoch) for loss, epoch in comparison.cells.groupby("loss")["best_epoch"].mean().items()}
    tolerance_mm = comparison.runs[0].config.scoring.tolerance_mm
    return study_tables(list(comparison.questions.values()), folds, epochs, tolerance_mm, comparison.prepared.unit)


def _networks(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row per network: the rate and epoch that were chosen, and the checks that it fails."""
    table = cells.rename(columns={"loss": "arm"}).assign(checks=["; ".join(checks) for checks in cells["checks"]])
    columns = ["arm", "seed", "fold", "learning_rate", "best_epoch", "epochs", "steps", "checks"]
    return table.reindex(columns=columns)


def _render(comparison: Comparison, headline: Sequence[str]) -> str:
    first = comparison.runs[0]
    summary = metrics.summarise(comparison.scores, comparison.diagonals)
    main = comparison.labels[-1]
    return (
        pages()
        .get_template("comparison.html")
        .render(
            dataset=comparison.environment.get("dataset", comparison.prepared.name),
            phantoms=bool(comparison.environment.get("phantoms")),
            losses=comparison.losses,
            labels=first.labels,
            rows=comparison.labels,
            main=main,
            primary=statistics.describe(*statistics.primary_question(list(comparison.questions.values()))),
            mean=MEAN_LABEL,
            subjects=comparison.scores["subject"].nunique(),
            seeds=sorted(comparison.cells["seed"].unique()),
            folds=len(first.splits),
            failed=comparison.failed,
            headline=headline,
            findings=statistics.secondary_findings(comparison.tests),
            summary={loss: by_label(summary[summary["loss"] == loss]) for loss in comparison.losses},
            table_means=_means(comparison),
            rankings={metric: _records(statistics.ranking(comparison.questions[main, metric])) for metric in QUESTIONS},
            pairs=_pairs(comparison, main),
            anova=[_anova(comparison.questions[main, metric]) for metric in QUESTIONS],
            anova_ignores=statistics.IGNORES,
            seed_means=_seed_means(comparison, main),
            conventions=_conventions(comparison),
            plots=_plots(comparison),
            cases=draw_cases(comparison),
            drawn=colors.label_colors(first.prepared.labels.values()),
            costs=_costs(comparison.cells),
            controls=_controls(comparison.cells),
            answers=comparison.answers,
            hashes={name: files.sha256(comparison.folder / name) for name in ("splits.json", "config.yaml")},
            axis=None if comparison.prepared.in_pixels else comparison.prepared.recipe["axis"],
            channels=comparison.prepared.channels,
            tolerance=f"{first.config.scoring.tolerance_mm:g}",
            config=first.config,
            facts=facts(comparison.environment),
            command=comparison.environment.get("command"),
            config_text=(comparison.folder / "config.yaml").read_text(encoding="utf-8"),
            study_text=(comparison.folder / "study.yaml").read_text(encoding="utf-8"),
            recipe_text=(comparison.prepared.folder / "recipe.yaml").read_text(encoding="utf-8"),
            unit=comparison.prepared.unit,
            write_p=write_p,
            write_value=write_value,
        )
    )


def _means(comparison: Comparison) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """Return label and metric → loss → mean, interval and SD, and whether the mean is the best as printed."""
    means = statistics.arm_means(list(comparison.questions.values()))
    table: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for label, metric in comparison.questions:
        rows = means[(means["label"] == label) & (means["metric"] == metric)]
        printed = (rows["mean"] * METRICS[metric].sign).round(METRICS[metric].digits)
        records = _records(rows.assign(best=printed == printed.max()))
        table[label, metric] = {record["arm"]: record for record in records}
    return table


def _pairs(comparison: Comparison, label: str) -> dict[str, list[dict[str, Any]]]:
    own = comparison.noted_tests[comparison.noted_tests["label"] == label]
    return {metric: _records(own[own["metric"] == metric]) for metric in QUESTIONS}


def _anova(question: Question) -> tuple[str, statistics.Anova]:
    return METRICS[question.metric].name, statistics.one_way_anova(question.values)


def _seed_means(comparison: Comparison, label: str) -> dict[str, dict[int, float]]:
    networks = statistics.network_means(comparison.questions[label, "dice"])
    means: dict[str, dict[int, float]] = {}
    for arm in comparison.losses:
        for seed, rows in networks[networks["arm"] == arm].set_index("seed").groupby(level="seed"):
            mean = float(np.average(rows["mean"], weights=rows["subjects"]))
            means.setdefault(arm, {})[int(str(seed))] = mean
    return means


def _conventions(comparison: Comparison) -> dict[str, Any]:
    """Rank the losses under every convention; `empty` counts the cases in which conventions differ."""
    table = statistics.rankings(comparison.scores, comparison.diagonals)
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
    counts = metrics.summarise(comparison.scores, comparison.diagonals).query("metric == 'dice'")
    empty = int(counts.loc[counts["label"] != MEAN_LABEL, ["both_empty", "missed", "false_alarm"]].to_numpy().sum())
    return {"names": names, "described": described, "rows": rows, "empty": empty}


def _plots(comparison: Comparison) -> dict[str, str]:
    values = {
        metric: {
            label: {loss: comparison.questions[label, metric].values[loss].to_numpy() for loss in comparison.losses}
            for label in comparison.labels
        }
        for metric in ("dice", "hd95")
    }
    histories: dict[str, list[pd.DataFrame]] = {}
    for run in comparison.runs:
        histories.setdefault(run.arm, []).extend(run.histories)
    dice = [each for (_, metric), each in comparison.questions.items() if metric == "dice"]
    sizes = statistics.scores_by_size(dice, statistics.truth_volumes_ml(comparison.scores))
    plots = {
        "dice": figures_comparison.boxes(values["dice"], metrics.heading("dice"), best=1.0),
        "hd95": figures_comparison.boxes(values["hd95"], metrics.heading("hd95", comparison.prepared.unit)),
        "learning": figures_comparison.learning(histories, "val_dice", "Dice on validation subjects"),
    }
    return plots if sizes.empty else plots | {"sizes": figures_comparison.by_size(sizes, "mean Dice")}


def _costs(cells: pd.DataFrame) -> list[dict[str, Any]]:
    grouped = cells.groupby("loss", sort=False)
    table = grouped.agg(
        networks=("fold", "size"),
        seconds_per_step=("seconds_per_step", "median"),
        steps=("steps", "mean"),
        epochs=("epochs", "mean"),
        best_epoch=("best_epoch", "mean"),
        train_seconds=("train_seconds", "sum"),
        validation_seconds=("validation_seconds", "sum"),
        peak_memory_bytes=("peak_memory_bytes", "max"),
    )
    return _records(table.reset_index())


def _controls(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each seed and fold what all losses had in common; `different` names what differed."""
    held = {
        "initial_weights_sha256": "initial weights",
        "batches_sha256": "order of batches",
        "steps": "number of steps",
    }
    rows = []
    for (seed, fold), part in cells.groupby(["seed", "fold"]):
        different = [name for column, name in held.items() if part[column].nunique(dropna=False) > 1]
        rows.append(
            {"seed": seed, "fold": fold, "different": different, "losses": len(part), **part.iloc[0][list(held)]}
        )
    return rows


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]
