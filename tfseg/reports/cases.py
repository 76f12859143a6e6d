"""The same subjects under every loss, side by side."""

from dataclasses import dataclass

import numpy as np

from tfseg.comparison.folder import Comparison
from tfseg.datasets.formats import read_label
from tfseg.datasets.grids import Array
from tfseg.preparation.prepare import prepare_label
from tfseg.reports.run import pick_cases
from tfseg.reports.slices import View, largest_and_worst
from tfseg.runs.folder import fold_folder, require


@dataclass(frozen=True)
class DrawnCase:
    """A subject's slice as every loss saw it: its truth, and loss → outlines, errors, and scores by label."""

    role: str
    name: str
    slices: list[tuple[int, str, str, dict[str, tuple[str, str]]]]
    scores: dict[str, list[tuple[str, float, float]]]


def draw_cases(comparison: Comparison) -> list[DrawnCase]:
    """Draw the cases that are best, median and worst in the mean over losses, under the first seed."""
    dice = comparison.scores[comparison.scores["metric"] == "dice"]
    means = dice.groupby("case")["value"].mean().rename("dice").reset_index()
    ranked = means.sort_values("dice", kind="stable", na_position="last", ignore_index=True)
    return [_draw(comparison, role, name) for role, name in pick_cases(ranked).items()]


def _draw(comparison: Comparison, role: str, name: str) -> DrawnCase:
    own = comparison.scores[comparison.scores["case"] == name]
    fold = int(own["fold"].iloc[0])
    case = comparison.prepared.case(name)
    truth = case.grid.unpad(np.asarray(case.label))
    shown = {run.arm: run for run in reversed(comparison.runs)}  # the first seed of each
    found: dict[str, Array] = {}
    for loss in comparison.losses:
        path = fold_folder(shown[loss].folder, fold) / "predictions" / f"{name}.nii.gz"
        require(path)
        found[loss] = case.grid.unpad(prepare_label(read_label(path).array, case.grid, comparison.prepared.labels))
    everything = np.any([truth > 0, *(each > 0 for each in found.values())], axis=0)
    view = View.around(case, everything.any(axis=0))
    slices = [
        (
            index,
            reason,
            view.draw(index, truth, np.zeros_like(truth))[0],
            {loss: view.draw(index, truth, each) for loss, each in found.items()},
        )
        for index, reason in largest_and_worst(truth, *found.values()).items()
    ]
    seeds = {loss: run.config.seed for loss, run in shown.items()}
    scores = {}
    for loss in comparison.losses:
        of_loss = own[(own["loss"] == loss) & (own["seed"] == seeds[loss])].set_index(["label", "metric"])["value"]
        scores[loss] = [
            (label, float(of_loss[label, "dice"]), float(of_loss[label, "hd95"])) for label in comparison.runs[0].labels
        ]
    return DrawnCase(role, name, slices, scores)
