"""Train many networks one after another, in the loop that `fit` and `compare` share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from tfseg import metrics
from tfseg.config.config import Config
from tfseg.core import files
from tfseg.core.errors import RunError
from tfseg.core.folds import fold_folder
from tfseg.datasets.splits import Split
from tfseg.evaluation.networks import diagonals_mm
from tfseg.prepared.inputs import steps_per_epoch
from tfseg.prepared.prepared import Prepared
from tfseg.runs.cell import CellFailed, remove_checkpoints, run_cell_here
from tfseg.runs.folder import is_finished, read_scores
from tfseg.training.progress import Progress


@dataclass(frozen=True)
class Cell:
    """One network to train: an arm's configuration on one fold of the subjects, and the run folder it belongs to.

    `config.seed` is the network's seed; `name` is shown to the user, such as "fold 1/5".
    """

    name: str
    arm: str
    config: Config
    split: Split
    fold: int
    run: Path

    @property
    def folder(self) -> Path:
        """The folder that `run_cell_here` fills."""
        return fold_folder(self.run, self.fold)


class Listener(Protocol):
    """Follow the training of several networks."""

    def begin(self, name: str, steps: Sequence[int]) -> Progress:
        """Begin a network, given the steps of each epoch; return the listener to its training."""

    def skipped(self, name: str) -> None:
        """Note that a network is skipped because it is finished."""


def run_cells(cells: Sequence[Cell], prepared: Prepared, devices: str | None, listener: Listener) -> dict[str, str]:
    """Train and score every unfinished cell; return the reason for each failure by the cell's name.

    A cell that fails, or runs out of memory, does not keep the others from finishing. A wrong configuration or a
    folder that cannot be written to ends the loop, since every cell would fail.

    Raises:
        ConfigError: if a folder holds a training started under other conditions.
        OSError: if nothing can be written.
        RunError: if another process works in a cell's folder.
    """
    failed = {}
    for cell in skip_finished(cells, listener):
        progress = listener.begin(cell.name, epoch_steps(cell.config, prepared, cell.split))
        try:
            run_cell_here(
                cell.config.model_dump(mode="json"),
                prepared.folder,
                asdict(cell.split),
                cell.fold,
                cell.config.seed,
                devices,
                cell.config.training.threads,
                cell.folder,
                arm=cell.arm,
                progress=progress,
            )
        except CellFailed as error:
            failed[cell.name] = str(error)
            progress.say(f"{cell.name} failed: {error}")
    return failed


def skip_finished(cells: Iterable[Cell], listener: Listener) -> Iterator[Cell]:
    """Yield the unfinished cells; report the others, and remove what a kill at their very end left."""
    for cell in cells:
        if is_finished(cell.folder):
            remove_checkpoints(cell.folder)
            listener.skipped(cell.name)
        else:
            yield cell


def epoch_steps(config: Config, prepared: Prepared, split: Split) -> list[int]:
    """Return the steps of every epoch of a network's training, through all its rates and stages."""
    stages = [stage.training for each in config.by_rate() for stage in each.resolved_stages()]
    return [steps for each in stages for steps in [steps_per_epoch(each, prepared, split.train)] * each.epochs]


def collect(run: Path, prepared: Prepared, folds: Sequence[Split]) -> pd.DataFrame:
    """Write `scores.csv` and `summary.csv` of a run from its finished folds; return the summary.

    Raises:
        RunError: if no fold is finished.
    """
    finished = {fold: split for fold, split in enumerate(folds) if is_finished(fold_folder(run, fold))}
    if not finished:
        raise RunError(f"{run}: no fold is finished")
    scores = pd.concat([read_scores(fold_folder(run, fold) / "scores.csv") for fold in finished])
    tested = [subject for split in finished.values() for subject in split.test]
    return write_scores(run, scores, prepared, tested)


def write_scores(out: Path, scores: pd.DataFrame, prepared: Prepared, tested: Iterable[str]) -> pd.DataFrame:
    """Write `scores.csv` and `summary.csv` of tested subjects; return the summary."""
    summary = metrics.summarise(scores, diagonals_mm(prepared.cases_of(tested)))
    files.write_text(out / "scores.csv", scores.to_csv(index=False))
    files.write_text(out / "summary.csv", summary.to_csv(index=False))
    return summary
