"""Write the report of a comparison: which loss is better, by how much, with what certainty, and all evidence."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tfseg import statistics
from tfseg.comparison.folder import Comparison, read_comparison
from tfseg.comparison.printed import reproduced
from tfseg.comparison.tuned import sentence
from tfseg.core import colors, files
from tfseg.reports import figures_comparison
from tfseg.reports.cases import draw_cases
from tfseg.reports.evidence import evidence, named, records
from tfseg.reports.run import facts, pages
from tfseg.reports.tables import Table, printed_table, study_tables, values_by_case
from tfseg.reports.trust import measured_by, trust, uncertainty_table, write_trust_tables
from tfseg.statistics import VERDICT_COLUMNS
from tfseg.tuning.trials import describe

SELECTED_ON_TEST = "The subjects that are scored also chose the epoch, so these scores flatter."


def write_comparison(folder: Path) -> list[str]:
    """Write all tables and `report.html` from the run folders; return the headline, one sentence each.

    Raises:
        ConfigError, RunError: as `read_comparison`.
    """
    comparison = read_comparison(folder)
    files.write_text(folder / "scores.csv", comparison.scores.to_csv(index=False))
    files.write_text(folder / "means.csv", comparison.means.to_csv(index=False))
    files.write_text(folder / "tests.csv", comparison.noted_tests.to_csv(index=False))
    files.write_text(folder / "verdicts.csv", comparison.noted_tests[list(VERDICT_COLUMNS)].to_csv(index=False))
    files.write_text(folder / "networks.csv", _networks(comparison.cells).to_csv(index=False))
    tables = _tables(comparison)
    for table in tables:
        table.write(folder / "tables")
    by_case = values_by_case(comparison.scores, comparison.diagonals)
    files.write_text(folder / "tables" / "by_case.csv", by_case.to_csv(index=False))
    write_trust_tables(comparison.scores, folder)
    said = statistics.headline(comparison.tests, comparison.prepared.unit)
    turned = [sentence(comparison.tuned)] if len(comparison.tuned) > 1 else []
    beside = None if comparison.environment.get("phantoms") else comparison.beside_printed
    printed = [] if beside is None else [reproduced(beside)]
    headline = [*said, *turned, *comparison.caveat, *comparison.caution, *printed]
    files.write_text(folder / "report.html", _render(comparison, headline, tables))
    return headline


def _tables(comparison: Comparison) -> list[Table]:
    first = comparison.scores[comparison.scores["seed"] == comparison.scores["seed"].min()]
    folds = {str(subject): int(fold) for subject, fold in first.groupby("subject")["fold"].first().items()}
    epochs = {str(loss): float(epoch) for loss, epoch in comparison.cells.groupby("loss")["epochs"].mean().items()}
    tolerance_mm = comparison.runs[0].config.scoring.tolerance_mm
    questions = list(comparison.questions.values())
    tables = study_tables(questions, folds, epochs, tolerance_mm, comparison.prepared.unit)
    if measured := measured_by(comparison.runs, comparison.scores):
        tables.append(uncertainty_table(measured))
    if comparison.beside_printed is not None:
        tables.append(printed_table(comparison.beside_printed, comparison.prepared.unit))
    marked = f" {SELECTED_ON_TEST}" if comparison.selects_on_test else ""
    return [replace(table, caption=f"{table.caption}{marked}") for table in tables]


def _networks(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row per network: the rate and epoch that were chosen, and the checks that it fails."""
    table = cells.rename(columns={"loss": "arm"}).assign(checks=["; ".join(checks) for checks in cells["checks"]])
    columns = ["arm", "seed", "fold", "learning_rate", "best_epoch", "epochs", "steps", "checks"]
    return table.reindex(columns=columns)


def _render(comparison: Comparison, headline: Sequence[str], tables: Sequence[Table]) -> str:
    first = comparison.runs[0]
    shown = evidence(comparison, comparison.noted_tests, comparison.prepared.unit)
    measured = measured_by(comparison.runs, comparison.scores)
    shown["plots"] |= {"learning": _learning(comparison), "networks": _networks_plot(comparison)}
    return (
        pages()
        .get_template("comparison.html")
        .render(
            **shown,
            kind="loss",
            trained=True,
            masks=comparison.mask_folders,
            dataset=comparison.environment.get("dataset", comparison.prepared.name),
            phantoms=bool(comparison.environment.get("phantoms")),
            labels=first.labels,
            seeds=sorted(comparison.cells["seed"].unique()),
            folds=len(first.splits),
            failed=comparison.failed,
            protocol=comparison.protocol,
            printed=next((table for table in tables if table.name == "printed"), None),
            selected_on_test=SELECTED_ON_TEST if comparison.selects_on_test else "",
            headline=headline,
            trust=measured and trust(measured, comparison.noted_tests, comparison.labels[-1], comparison.means),
            cases=draw_cases(comparison),
            drawn=colors.label_colors(first.prepared.labels.values()),
            tuned=records(comparison.tuned),
            budget=comparison.budget,
            choices=_choices(comparison),
            space_text="" if comparison.budget is None else yaml.safe_dump(comparison.budget.space, sort_keys=False),
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
        )
    )


def _choices(comparison: Comparison) -> list[dict[str, Any]]:
    return [{**row, "values": describe(row["values"])} for row in records(comparison.choices)]


def _learning(comparison: Comparison) -> str:
    histories: dict[str, list[pd.DataFrame]] = {}
    for run in comparison.runs:
        histories.setdefault(run.arm, []).extend(run.histories)
    return figures_comparison.learning(histories, "val_dice", "Dice on validation subjects")


def _networks_plot(comparison: Comparison) -> str:
    means = {label: statistics.network_means(comparison.questions[label, "dice"]) for label in comparison.labels}
    values = {
        named(label): {str(arm): own["mean"].to_numpy() for arm, own in table.groupby("arm", sort=False)}
        for label, table in means.items()
    }
    return figures_comparison.boxes(values, "mean Dice of a network over its test subjects", best=1.0)


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
    return records(table.reset_index())


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
