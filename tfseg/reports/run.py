"""Write the report of a run: one page that needs no other file, with the result first."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from tfseg import metrics
from tfseg.core import colors, files, geometry
from tfseg.core.folds import fold_folder
from tfseg.core.words import duration
from tfseg.metrics.outcomes import OUTCOMES, case_outcomes
from tfseg.metrics.summary import MEAN_LABEL
from tfseg.metrics.table import MINUS
from tfseg.reports import figures, slices
from tfseg.reports.trust import measured_by, trust, write_trust_tables
from tfseg.runs.folder import Run, read_run
from tfseg.statistics.headline import join
from tfseg.statistics.quantities import write_p

ROLES = ("Best", "Median", "Worst")


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder, from it and its prepared folder; return its path.

    Raises:
        RunError: as `read_run`.
    """
    finished = read_run(run)
    page = render(finished)
    write_trust_tables(finished.scores, run)
    files.write_text(run / "report.html", page)
    return run / "report.html"


def rank_cases(scores: pd.DataFrame) -> pd.DataFrame:
    """Order cases by the mean Dice over labels that have one, worst first; cases without any come last.

    Returns:
        Columns `case, subject, fold, dice`.
    """
    dice = scores[scores["metric"] == "dice"].rename(columns={"value": "dice"})
    means = dice.groupby(["case", "subject", "fold"])["dice"].mean().reset_index()
    return means.sort_values("dice", kind="stable", na_position="last", ignore_index=True)


def pick_cases(ranked: pd.DataFrame) -> dict[str, str]:
    """Pick the best, (lower) median and worst of ranked cases: role → case, no case twice."""
    cases = ranked.dropna(subset="dice")["case"].tolist()
    if not cases:
        return {}
    picked = dict(zip(ROLES, (cases[-1], cases[(len(cases) - 1) // 2], cases[0]), strict=True))
    if len(cases) < len(ROLES):
        del picked["Median"]
    return picked if len(cases) > 1 else {"Only": cases[0]}


def outcomes(scores: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return what empty masks mean: (case, label) → "missed", "false alarm" or "both empty"."""
    flags = case_outcomes(scores).melt(["case", "label"], OUTCOMES, var_name="outcome", value_name="is_so")
    rows = flags.loc[flags["is_so"], ["case", "label", "outcome"]].to_numpy().tolist()
    return {(case, label): outcome.replace("_", " ") for case, label, outcome in rows}


def failures(summary: pd.DataFrame, labels: list[str], cases: int) -> list[str]:
    """Say in how many cases each label was missed, a false alarm or absent; nothing if it never was."""
    words = {
        "missed": "missed",
        "false_alarm": "a false alarm",
        "both_empty": "absent from truth and prediction",
    }
    counts = summary[summary["metric"] == "dice"].set_index("label")[list(words)].to_dict("index")
    sentences = []
    for label in labels:
        parts = [f"{words[str(name)]} in {count}" for name, count in counts[label].items() if count]
        if parts:
            sentences.append(f"{label} was {', '.join(parts)} of {cases} cases.")
    return sentences


def fixed(value: float, digits: int) -> str:
    """Write a number with fixed decimals, NaN as a dash and infinity as ∞.

    >>> fixed(-0.12345, 3), fixed(math.nan, 3), fixed(math.inf, 3)
    ('−0.123', '–', '∞')
    """
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", MINUS) if math.isfinite(value) else "∞"


def score(value: float, metric: str, unit: str = "") -> str:
    """Write a score with the digits of its metric; a finite distance with its unit, if one is given."""
    text = fixed(value, metrics.metric_of(metric).digits)
    return f"{text} {unit}" if unit and math.isfinite(value) and metrics.metric_of(metric).is_distance else text


def signed(value: float, metric: str) -> str:
    """Write a difference of a metric with its sign, NaN as a dash.

    >>> signed(-0.01234, "ece_band"), signed(0.5, "error_auroc")
    ('−0.0123', '+0.500')
    """
    if math.isnan(value):
        return "–"
    return f"{value:+.{metrics.metric_of(metric).digits}f}".replace("-", MINUS)


def pages() -> jinja2.Environment:
    """Return the environment that renders templates; all text from the data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfseg.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        fixed=fixed, score=score, signed=signed, duration=duration, heading=metrics.heading, listed=join
    )
    environment.globals.update(colors=colors, metrics=metrics.METRICS)
    return environment


def render(run: Run) -> str:
    """Return the page as HTML."""
    ranked = rank_cases(run.scores)
    measured = measured_by([run], run.scores)
    by_case = run.scores.pivot(index="case", columns=["metric", "label"], values="value")
    return (
        pages()
        .get_template("report.html")
        .render(
            dataset=run.environment.get("dataset", run.prepared.name),
            loss=run.scores["loss" if run.scores["loss"].nunique() == 1 else "arm"].iloc[0],
            phantoms=bool(run.environment.get("phantoms")),
            subjects=run.scores["subject"].nunique(),
            labels=run.labels,
            selected_on_test=run.config.select_on == "test",
            mean=MEAN_LABEL,
            drawn=colors.label_colors(run.prepared.labels.values()),
            axis=None if run.prepared.in_pixels else run.prepared.recipe["axis"],
            unit=run.prepared.unit,
            planned=run.planned_folds,
            channels=run.prepared.channels,
            tolerance=f"{run.config.scoring.tolerance_mm:g}",
            config=run.config,
            summary=by_label(run.summary),
            extremes=_extremes(run.summary, run.labels),
            failed=run.failed,
            final=run.final,
            failures=failures(run.summary, run.labels, len(ranked)),
            plots=_plots(run),
            panels=_panels(run, ranked),
            folds=_fold_rows(run),
            trust=measured and trust(measured, label=run.labels[0] if len(run.labels) == 1 else MEAN_LABEL),
            write_p=write_p,
            ranked=ranked.to_dict("records"),
            by_case={str(case): row for case, row in by_case.to_dict("index").items()},
            outcomes=outcomes(run.scores),
            facts=facts(run.environment),
            command=run.environment.get("command"),
            config_text=(run.folder / "config.yaml").read_text(encoding="utf-8"),
            recipe_text=(run.prepared.folder / "recipe.yaml").read_text(encoding="utf-8"),
        )
    )


def by_label(summary: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the rows of one loss's summary as label → metric → statistics."""
    rows = summary.set_index(["label", "metric"])
    return {label: rows.loc[label].to_dict("index") for label in rows.index.unique("label")}


def _extremes(summary: pd.DataFrame, labels: list[str]) -> list[str]:
    """Return the labels with the lowest and the highest mean Dice."""
    means = summary[summary["metric"] == "dice"].set_index("label")["mean_finite"].loc[labels].dropna()
    return [str(means.idxmin()), str(means.idxmax())] if len(means) else []


def _plots(run: Run) -> dict[str, str]:
    subjects = run.scores.groupby(["metric", "label", "subject"])["value"].mean()
    values = {
        metric: {label: subjects[metric][label].to_numpy() for label in run.labels} for metric in ("dice", "hd95")
    }
    best = [fold["best_epoch"] for fold in run.folds]
    return {
        "dice": figures.distribution(values["dice"], metrics.heading("dice"), best=1.0),
        "hd95": figures.distribution(values["hd95"], metrics.heading("hd95", run.prepared.unit)),
        "loss": figures.curves(run.histories, best, ("val_loss", "loss"), "loss (training dashed)", run.numbers),
        "val_dice": figures.curves(run.histories, best, ("val_dice",), "Dice on validation subjects", run.numbers),
    }


def _panels(run: Run, ranked: pd.DataFrame) -> dict[str, tuple[str, int, list[slices.Panel]]]:
    """Draw the best, median and worst case: role → name, fold, slices."""
    folds = ranked.set_index("case")["fold"]
    drawn = {}
    for role, name in pick_cases(ranked).items():
        fold = int(folds[name])
        case = run.prepared.case(name)
        path = fold_folder(run.folder, fold) / "predictions" / f"{name}.nii.gz"
        prediction = slices.read_prediction(path, case, run.prepared.labels)
        drawn[role] = (name, fold, slices.draw_case(case, prediction))
    return drawn


def _fold_rows(run: Run) -> list[dict[str, Any]]:
    """Summarise each fold by itself, in the way of the whole run."""
    grids = {case.name: case.grid for case in run.prepared.cases_of(run.scores["subject"].unique())}
    diagonals = {name: geometry.diagonal_mm(grid.shape, grid.spacing_mm) for name, grid in grids.items()}
    rows = []
    for number, split, fold in zip(run.numbers, run.splits, run.folds, strict=True):
        summary = metrics.summarise(run.scores[run.scores["fold"] == number], diagonals)
        sizes = {part: len(split[part]) for part in ("train", "val", "test")}
        rows.append({"checks": {}, "rates": {}, **fold, **sizes, "fold": number, "summary": by_label(summary)})
    return rows


def facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List names and values of `environment.json`, without paths and what the page shows in other places."""
    listed = []
    for name, value in environment.items():
        if isinstance(value, Mapping):
            listed += facts(value)
        elif name not in ("command", "dataset", "phantoms", "prepared"):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            listed.append((name.replace("_sha256", " folder, SHA-256").replace("_", " "), text))
    return listed
