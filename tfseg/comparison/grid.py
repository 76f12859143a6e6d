"""Make the grid of a comparison: every arm on the same folds under the same seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from tfseg.comparison.study import Study, folder_of
from tfseg.datasets.splits import Split
from tfseg.runs.cells import Cell


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


def by_arm(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with the arm in the column `loss`, by which statistics group them."""
    return scores.assign(loss=scores["arm"])
