"""Make the grid of a comparison, every arm on the same folds under the same seeds, and its tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from tfseg import metrics
from tfseg.comparison.contestants import with_contestants
from tfseg.comparison.study import Study, folder_of
from tfseg.core import files
from tfseg.datasets.splits import Split
from tfseg.evaluation.networks import diagonals_mm
from tfseg.prepared.prepared import Prepared
from tfseg.runs.cells import Cell
from tfseg.runs.folder import read_scores


def make_grid(study: Study, folds: Mapping[int, Sequence[Split]], out: Path) -> list[Cell]:
    """List the cells of a study by seed, then fold, then arm, so that an unfinished grid still compares every arm.

    `folds`: seed → its folds.
    """
    planned = [
        (arm, config, split, fold)
        for seed in study.every_seed
        for fold, split in enumerate(folds[seed])
        for arm, config in study.configs(seed)
    ]
    return [
        Cell(
            f"{number}/{len(planned)} {arm.name}, seed {config.seed}, fold {fold}",
            arm.name,
            config,
            split,
            fold,
            out / "runs" / folder_of(arm, config.seed),
        )
        for number, (arm, config, split, fold) in enumerate(planned, start=1)
    ]


def write_tables(out: Path, runs: Iterable[Path], prepared: Prepared) -> pd.DataFrame:
    """Write `scores.csv`, with all runs and contestants; return the summary by arm."""
    scores = pd.concat([read_scores(run / "scores.csv") for run in runs], ignore_index=True)
    scores = with_contestants(scores, out)
    diagonals = diagonals_mm(prepared.cases_of(scores["subject"].unique()))
    files.write_text(out / "scores.csv", scores.to_csv(index=False))
    return metrics.summarise(by_arm(scores), diagonals)


def by_arm(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with the arm in the column `loss`, by which statistics group them."""
    return scores.assign(loss=scores["arm"])
