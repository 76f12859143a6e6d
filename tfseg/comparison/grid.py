"""A comparison: every loss on the same folds under the same seeds, each cell of the grid one network in a folder."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tensorflow as tf

from tfseg import losses, metrics
from tfseg.comparison.study import Study
from tfseg.config.config import Config
from tfseg.core import files
from tfseg.datasets.splits import Split
from tfseg.evaluation.networks import diagonals_mm
from tfseg.prepared.prepared import Prepared
from tfseg.runs.cell import Listener, epoch_steps, remove_checkpoints, run_cell
from tfseg.runs.folder import is_finished, read_scores
from tfseg.statistics import paired_values, pairs_table

FAILURE = "failure.json"
TEST_METRICS = ("dice", "iou", "precision", "recall", "nsd", "hd", "hd95", "assd")


@dataclass(frozen=True)
class Cell:
    """One network: a loss under a seed, trained, validated and tested on the subjects of one fold."""

    config: Config
    split: Split
    fold: int
    run: Path

    @property
    def folder(self) -> Path:
        """Where `run_cell` writes."""
        return self.run / f"fold_{self.fold}"

    @property
    def name(self) -> str:
        """The cell as a person reads it: "dice, seed 0, fold 1"."""
        return f"{losses.title(self.config.loss)}, seed {self.config.seed}, fold {self.fold}"


def make_grid(study: Study, folds: Sequence[Split], out: Path) -> list[Cell]:
    """List the cells of a study: seeds, then folds, then losses, so that a part of them still compares every loss."""
    runs = study.runs()
    seeds = dict.fromkeys(config.seed for config in runs.values())
    return [
        Cell(config, split, fold, out / "runs" / folder)
        for seed in seeds
        for fold, split in enumerate(folds)
        for folder, config in runs.items()
        if config.seed == seed
    ]


def run_grid(
    cells: Sequence[Cell], prepared: Prepared, strategy: tf.distribute.Strategy, listener: Listener
) -> dict[str, str]:
    """Train and score every cell that is not finished; return those that failed, with the reason, by name.

    A cell that fails leaves `failure.json` and does not keep the others from their work; a folder that cannot be
    written does, since it would fail them all.

    Raises:
        OSError: where nothing can be written.
    """
    failed = {}
    for number, cell in enumerate(cells, start=1):
        name = f"{number}/{len(cells)} {cell.name}"
        if is_finished(cell.folder):
            remove_checkpoints(cell.folder)
            listener.skipped(name)
            continue
        (cell.folder / FAILURE).unlink(missing_ok=True)
        progress = listener.begin(name, epoch_steps(cell.config, prepared, cell.split))
        try:
            run_cell(cell.config, prepared, cell.split, cell.fold, cell.config.seed, cell.folder, strategy, progress)
        except OSError:
            raise
        except Exception as error:
            failed[cell.name] = " ".join((str(error) or type(error).__name__).split())
            told = {"name": cell.name, "reason": failed[cell.name]}
            files.write_text(cell.folder / FAILURE, json.dumps(told, indent=1))
    return failed


def write_tables(out: Path, runs: Iterable[Path], prepared: Prepared) -> pd.DataFrame:
    """Write `scores.csv`, every run in one table, and `tests.csv`, every pair of losses; return the summary."""
    scores = pd.concat([read_scores(run / "scores.csv") for run in runs], ignore_index=True)
    diagonals = diagonals_mm(prepared.cases_of(scores["subject"].unique()))
    compared = [each for each in paired_values(scores, diagonals) if each.metric in TEST_METRICS]
    tests = pairs_table(compared, prepared.unit)
    files.write_text(out / "scores.csv", scores.to_csv(index=False))
    files.write_text(out / "tests.csv", tests.to_csv(index=False))
    return metrics.summarise(scores, diagonals)
