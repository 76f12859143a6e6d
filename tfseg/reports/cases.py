"""Draw the same subjects under every loss, side by side."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfseg.comparison.folder import Comparison
from tfseg.core.folds import fold_folder
from tfseg.reports.run import pick_cases
from tfseg.reports.slices import View, largest_and_worst, read_prediction, shown_classes


@dataclass(frozen=True)
class DrawnCase:
    """A case under every loss.

    `slices`: index, reason, truth as an image, and loss → outlines and wrong voxels; `scores`: loss → label → metric.
    """

    role: str
    name: str
    slices: list[tuple[int, str, str, dict[str, tuple[str, str]]]]
    scores: dict[str, dict[str, dict[str, float]]]


def draw_cases(comparison: Comparison) -> list[DrawnCase]:
    """Draw the best, the median and the worst case by the mean Dice over losses, under the first seed.

    If networks failed, they are among the cases that most losses have.
    """
    scores = comparison.scores
    dice = scores[(scores["metric"] == "dice") & (scores["seed"] == scores["seed"].min())]
    losses = dice.groupby("case")["loss"].nunique()
    compared = dice[dice["case"].isin(losses.index[losses == losses.max()])]
    means = compared.groupby("case")["value"].mean().rename("dice").reset_index()
    ranked = means.sort_values("dice", kind="stable", na_position="last", ignore_index=True)
    return [_draw(comparison, role, name) for role, name in pick_cases(ranked).items()]


def _draw(comparison: Comparison, role: str, name: str) -> DrawnCase:
    own = comparison.scores[comparison.scores["case"] == name]
    case = comparison.prepared.case(name)
    first = {str(loss): rows[rows["seed"] == rows["seed"].min()] for loss, rows in own.groupby("loss", sort=False)}
    runs = {(run.arm, run.config.seed): run.folder for run in comparison.runs}
    paths = [
        Path(comparison.contestants[loss][name])
        if loss in comparison.contestants
        else fold_folder(runs[loss, int(rows["seed"].iloc[0])], int(rows["fold"].iloc[0]))
        / "predictions"
        / f"{name}.nii.gz"
        for loss, rows in first.items()
    ]
    truth, *drawn = shown_classes(case, *(read_prediction(path, case, comparison.prepared.labels) for path in paths))
    predictions = dict(zip(first, drawn, strict=True))
    view = View.around(case, np.any([classes > 0 for classes in (truth, *drawn)], axis=(0, 1)))
    slices = [
        (
            index,
            reason,
            view.draw(index, truth, np.zeros_like(truth))[0],
            {loss: view.draw(index, truth, prediction) for loss, prediction in predictions.items()},
        )
        for index, reason in largest_and_worst(truth, *drawn).items()
    ]
    values = {loss: rows.set_index(["label", "metric"])["value"] for loss, rows in first.items()}
    scores = {
        loss: {
            label: {metric: float(of_loss[label, metric]) for metric in ("dice", "hd95")}
            for label in comparison.runs[0].labels
        }
        for loss, of_loss in values.items()
    }
    return DrawnCase(role, name, slices, scores)
