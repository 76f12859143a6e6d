"""Report how far probabilities can be trusted: tables, figures, and the best and worst subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from tfseg import statistics
from tfseg.core import files
from tfseg.core.folds import fold_folder
from tfseg.datasets.grids import Array
from tfseg.metrics.calibration import BINS
from tfseg.metrics.outcomes import arm_column
from tfseg.metrics.table import DROPOUT, PLAIN, SOURCES
from tfseg.prepared.targets import Targets
from tfseg.reports import figures_uncertainty
from tfseg.reports.slices import View, largest_and_worst, read_prediction, shown_classes
from tfseg.reports.tables import Table
from tfseg.runs.folder import Run, require
from tfseg.runs.trust import CURVES, MAPS

SOURCES_FILE, FLAGS_FILE = "sources.csv", "flags.csv"
SHOWN = ("ece_band", "ace_band", "brier_band", "nll_band", "ece_volume", "error_auroc", "error_aupr", "retention_dice")
COMPARED = ("ece_band", "nll_band", "error_auroc", "retention_dice")


@dataclass(frozen=True)
class Measured:
    """Measures of a report: the runs in order of their arms, their scores, and the source that figures show."""

    runs: Sequence[Run]
    scores: pd.DataFrame
    source: str

    @property
    def arms(self) -> list[str]:
        """The arms, in order."""
        return list(dict.fromkeys(run.arm for run in self.runs))

    def curves(self) -> pd.DataFrame:
        """Return the curves of all networks, with a column `arm`.

        Raises:
            RunError: if a file is missing or damaged.
        """
        tables = []
        for run in self.runs:
            for fold in run.numbers:
                path = fold_folder(run.folder, fold) / CURVES
                require(path)
                with files.reading(path):
                    tables.append(pd.read_csv(path).assign(arm=run.arm))
        return pd.concat(tables, ignore_index=True)


def measured_by(runs: Sequence[Run], scores: pd.DataFrame) -> Measured | None:
    """Return what the networks of some runs measured; None if they measured no probabilities.

    Args:
        runs: in the order of their arms.
        scores: columns `loss, seed, fold, subject, case, label, metric, value`; only those of the runs are used.
    """
    column = arm_column(scores)
    own = scores[scores[column].isin({run.arm for run in runs})]
    if not statistics.has_probabilities(own):
        return None
    has_dropout = own["metric"].str.endswith(DROPOUT).any()
    return Measured(runs, own, DROPOUT if has_dropout else PLAIN)


def trust(
    measured: Measured, tests: pd.DataFrame | None = None, label: str = "", means: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Return what the template of this part of a report needs.

    Args:
        measured: by the runs.
        tests: every pair of arms, as `tfseg.statistics.compare_arms` returns it; None without a comparison.
        label: whose pairs are put into sentences, and whose means have intervals.
        means: of the arms, as `tfseg.statistics.arm_means` returns them; None without a comparison.
    """
    asked = [f"{metric}{source}" for metric in COMPARED for source in SOURCES]
    differences = statistics.source_differences(measured.scores)
    return {
        "source": SOURCES[measured.source],
        "samples": measured.runs[0].config.uncertainty.samples if measured.runs[0].config.uncertainty else None,
        "band_mm": measured.runs[0].config.uncertainty.band_mm if measured.runs[0].config.uncertainty else 3,
        "compared": means is not None,
        "findings": [] if tests is None else statistics.described_findings(tests, label, asked),
        "shown": SHOWN,
        "rows": _means(measured, {} if means is None else _intervals(means[means["label"] == label])),
        "differences": _of_main_label(differences, label),
        "flags": statistics.flagging(measured.scores).to_dict("records"),
        "study_k": _study_k(measured),
        "plots": _plots(measured),
        "cases": [_draw(measured, arm, role, case) for arm in measured.arms for role, case in _extremes(measured, arm)],
    }


def write_trust_tables(scores: pd.DataFrame, folder: Path) -> None:
    """Write `sources.csv` and `flags.csv` if probabilities were measured.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, and `arm`.
        folder: of the run or the comparison.
    """
    if statistics.has_probabilities(scores):
        files.write_text(folder / SOURCES_FILE, statistics.source_differences(scores).to_csv(index=False))
        files.write_text(folder / FLAGS_FILE, statistics.flagging(scores).to_csv(index=False))


def uncertainty_table(measured: Measured) -> Table:
    """Return the table by loss that Kethavath 2025 (10.1088/2057-1976/ae2b73) prints."""
    names = {
        "dice": "Dice",
        "entropy_mean": "uncertainty, mean",
        "entropy_sd": "uncertainty, SD",
        "probability_mean": "prediction, mean",
        "probability_sd": "prediction, SD",
    }
    numbers = pd.DataFrame(_study_k(measured)["rows"]).rename(columns={"arm": "loss", **names})
    caption = (
        f"Dice, and mean and SD over voxels of the entropy (nats) and of the probability ({SOURCES[measured.source]}); "
        "means over subjects."
    )
    digits = {name: 4 if key == "dice" else 6 for key, name in names.items()}
    return Table("by_uncertainty", caption, numbers, digits)


def _intervals(means: pd.DataFrame) -> dict[tuple[str, str], tuple[float, float]]:
    """Arm and metric → the 95 % interval of the mean."""
    rows = means[["arm", "metric", "low", "high"]].to_numpy().tolist()
    return {(arm, metric): (low, high) for arm, metric, low, high in rows}


def _means(measured: Measured, intervals: Mapping[tuple[str, str], tuple[float, float]]) -> list[dict[str, Any]]:
    """A row per arm and source: the mean of each shown metric over subjects, then over labels, and its interval."""
    column = arm_column(measured.scores)
    by_subject = measured.scores.groupby([column, "metric", "label", "subject"], sort=False)["value"].mean()
    means = by_subject.groupby([column, "metric", "label"], sort=False).mean().groupby([column, "metric"]).mean()
    sources = [source for source in SOURCES if f"ece_band{source}" in means.index.get_level_values("metric")]
    return [
        {
            "arm": arm,
            "source": SOURCES[source],
            "values": {metric: float(means.get((arm, f"{metric}{source}"), np.nan)) for metric in SHOWN},
            "intervals": {metric: intervals.get((arm, f"{metric}{source}")) for metric in SHOWN},
        }
        for arm in measured.arms
        for source in sources
    ]


def _of_main_label(differences: pd.DataFrame, label: str) -> list[dict[str, Any]]:
    """The differences of the compared metrics, of one label."""
    own = differences[differences["metric"].isin(COMPARED) & (differences["label"] == label)]
    return [{str(key): value for key, value in row.items()} for row in own.to_dict("records")]


def _study_k(measured: Measured) -> dict[str, Any]:
    columns = statistics.study_k(measured.scores, measured.source)
    means = {name: table.mean().to_dict() for name, table in columns.items()}
    rows = [{"arm": arm, **{name: means[name].get(arm, np.nan) for name in means}} for arm in measured.arms]
    return {"rows": rows, "anova": statistics.one_way_anova(columns["entropy_mean"]), "ignores": statistics.IGNORES}


def _plots(measured: Measured) -> dict[str, str]:
    curves = measured.curves()
    main = curves[curves["source"] == SOURCES[measured.source]]

    def histogram(arm: str, *names: str) -> tuple[Array, ...]:
        own = main[main["arm"] == arm]
        counts = [own[own["curve"] == name].groupby("x")["voxels"].sum() for name in names]
        return (counts[0].index.to_numpy(float), *(each.to_numpy(float) for each in counts))

    def retained(arm: str) -> tuple[Array, Array]:
        own = main[(main["arm"] == arm) & (main["curve"] == "retention")]
        dice = own.groupby("x")["y"].mean()
        return dice.index.to_numpy(float), dice.to_numpy(float)

    entropy: dict[str, Any] = {arm: histogram(arm, "entropy") for arm in measured.arms}
    confidence: dict[str, Any] = {arm: histogram(arm, "right", "wrong") for arm in measured.arms}
    return {
        "violins": figures_uncertainty.violins(entropy, "entropy of voxels in the band (nats)"),
        "confidence": figures_uncertainty.confidence(confidence),
        "reliability": figures_uncertainty.reliability(_reliability(curves, measured.arms)),
        "retention": figures_uncertainty.retention({arm: retained(arm) for arm in measured.arms}),
    }


def _reliability(curves: pd.DataFrame, arms: Sequence[str]) -> Mapping[str, Mapping[str, tuple[Array, Array]]]:
    """Pool the bins of all cases and labels: arm → source → mean probability and frequency."""
    own = curves[(curves["curve"] == "reliability") & (curves["voxels"] > 0)]
    own = own.assign(
        bin=np.minimum((own["x"] * BINS).astype(int), BINS - 1),
        confident=own["x"] * own["voxels"],
        true=own["y"] * own["voxels"],
    )
    sums = own.groupby(["arm", "source", "bin"])[["confident", "true", "voxels"]].sum().reset_index()
    points: dict[str, dict[str, tuple[Array, Array]]] = {}
    for arm in arms:
        parts = {source: sums[(sums["arm"] == arm) & (sums["source"] == source)] for source in SOURCES.values()}
        points[arm] = {
            source: (
                (part["confident"] / part["voxels"]).to_numpy(float),
                (part["true"] / part["voxels"]).to_numpy(float),
            )
            for source, part in parts.items()
            if len(part)
        }
    return points


def _extremes(measured: Measured, arm: str) -> list[tuple[str, str]]:
    """The cases of the best and the worst subject of an arm by the mean Dice over labels, under its first seed."""
    scores = measured.scores
    first = next(run for run in measured.runs if run.arm == arm).config.seed
    own = scores[(scores[arm_column(scores)] == arm) & (scores["metric"] == "dice") & (scores["seed"] == first)]
    ranked = own.groupby("case")["value"].mean().dropna().sort_values(kind="stable")
    return [("Best", str(ranked.index[-1])), ("Worst", str(ranked.index[0]))] if len(ranked) > 1 else []


def _draw(measured: Measured, arm: str, role: str, name: str) -> dict[str, Any]:
    """Draw the slice with the most wrong voxels: image, truth, prediction, errors and entropy."""
    run = next(run for run in measured.runs if run.arm == arm)
    own = run.scores[run.scores["case"] == name]
    folder = fold_folder(run.folder, int(own["fold"].iloc[0]))
    case = run.prepared.case(name)
    prediction = read_prediction(folder / "predictions" / f"{name}.nii.gz", case, run.prepared.labels)
    truth, shown = shown_classes(case, prediction)
    path = folder / MAPS / f"{name}.nii.gz"
    require(path)
    with files.reading(path):
        entropy = case.grid.unpad(case.grid.to_slices(np.asarray(nib.load(path).dataobj, np.float32)))
    view = View.around(case, np.any((truth > 0) | (shown > 0), axis=0))
    index = next(reversed(sorted(largest_and_worst(truth, shown).items(), key=lambda each: "wrong" in each[1])))[0]
    nothing = np.zeros_like(truth)
    images = {
        "image": view.draw_image(index),
        "truth": view.draw(index, truth, nothing)[0],
        "prediction": view.draw(index, nothing, shown)[0],
        "wrong voxels": view.draw(index, truth, shown)[1],
        "entropy": view.draw_heat(index, entropy, _largest_entropy(run.prepared.targets)),
    }
    dice = float(own.loc[own["metric"] == "dice", "value"].mean())
    return {"arm": arm, "role": role, "case": name, "slice": index + 1, "dice": dice, "images": images}


def _largest_entropy(targets: Targets) -> float:
    return float(np.log(targets.channels) if targets.activation == "softmax" else targets.channels * np.log(2))
