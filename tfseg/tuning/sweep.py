"""Search: propose batches of trials, train them, record them, and name the best."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tfseg.config.config import Config
from tfseg.core import files
from tfseg.core.errors import RunError
from tfseg.datasets.splits import Split
from tfseg.runs.cells import Cell
from tfseg.runs.folder import FAILURE, is_finished, read_failures, read_json
from tfseg.runs.folder import STOPPED as STOPPED_FILE
from tfseg.tuning.proposals import batch_size, make_proposer
from tfseg.tuning.search import HalvingConfig, SearchConfig
from tfseg.tuning.space import Space
from tfseg.tuning.trials import (
    FAILED,
    FINISHED,
    STOPPED,
    Trial,
    cells_of,
    epochs_of,
    make_trial,
    score_of,
    seconds_of,
)

TRIALS, CLOCK = "trials.csv", "clock.json"

# Trains cells, the second argument stopping all of them after so many epochs; returns the reasons of failures by name.
Train = Callable[[Sequence[Cell], int | None], Mapping[str, str]]


@dataclass(frozen=True)
class Sweep:
    """A search in a folder.

    Args:
        out: the folder.
        config: what is not searched.
        space: what is.
        search: how, with its method and number of trials.
        splits: of the inner folds, without test subjects.
    """

    out: Path
    config: Config
    space: Space
    search: SearchConfig
    splits: Sequence[Split]

    def run(self, train: Train) -> pd.DataFrame:
        """Run all trials that are not finished; return and write `trials.csv`.

        What is proposed follows from the space, the seed and the scores, so a search that was killed proposes the same
        again, and finds what is finished.

        Raises:
            RunError: if every trial failed, or there was time for none.
        """
        proposer = make_proposer(self.search, self.space, self.config, self.config.seed)
        rows: list[dict[str, Any]] = []
        total, size = self.search.trials or 0, batch_size(self.search)
        while len(rows) < total and not self._is_late():
            started = time.monotonic()
            proposed = proposer.ask(min(size, total - len(rows)))
            if not proposed:
                break
            begun, batch = len(rows), rows[-1]["batch"] + 1 if rows else 1
            trials = [
                make_trial(begun + place, values, self.config, self.space, self.search)
                for place, values in enumerate(proposed)
            ]
            scored = self._run_batch(trials, train)
            rows += [{"trial": row.pop("trial"), "batch": batch, **row} for row in scored]
            proposer.tell([row["score"] for row in rows[begun:]])
            table = pd.DataFrame(rows)
            files.write_text(self.out / TRIALS, table.to_csv(index=False))
            self._count(time.monotonic() - started)
        if not rows:
            raise RunError(f"{self.out}: its {self.search.hours} hours are over, and no trial is recorded")
        if all(row["status"] == FAILED for row in rows):
            raise RunError(f"every trial failed; the first: {rows[0]['reason']}")
        return table

    def trial(self, row: Mapping[str, Any]) -> Trial:
        """Return the trial of a row that `run` returned."""
        return make_trial(int(row["trial"]), json.loads(row["values"]), self.config, self.space, self.search)

    def _run_batch(self, trials: Sequence[Trial], train: Train) -> list[dict[str, Any]]:
        alive = list(trials)
        stopped: dict[int, int] = {}
        for epochs in rungs(self.search.halving, self.config.total_epochs):
            self._train(alive, train, epochs)
            scores = {trial.number: self._score(trial, epochs) for trial in alive}
            kept = survivors(scores, self.search.halving)
            stopped |= {number: epochs for number in scores if number not in kept}
            alive = [trial for trial in alive if trial.number in kept]
        self._train(alive, train, None)
        return [self._row(trial, stopped.get(trial.number)) for trial in trials]

    def _train(self, trials: Sequence[Trial], train: Train, epochs: int | None) -> None:
        cells = {cell.folder: cell for trial in trials for cell in cells_of(trial, self.splits, self.out)}
        train([cell for cell in cells.values() if not _is_trained(cell.folder, epochs)], epochs)

    def _score(self, trial: Trial, epochs: int) -> float | None:
        run, folds = trial.run(self.out), len(self.splits)
        is_whole = epochs == trial.training.total_epochs
        # A training that failed later still tells what fewer epochs reach.
        if read_failures(run) and (is_whole or epochs_of(run, folds) < epochs):
            return None
        return score_of(run, folds, self.search.watch, epochs)

    def _row(self, trial: Trial, stopped: int | None) -> dict[str, Any]:
        run, folds = trial.run(self.out), len(self.splits)
        epochs = stopped or trial.epochs
        score, failures = self._score(trial, epochs), read_failures(run)
        is_failed = score is None
        status = FAILED if is_failed else FINISHED if stopped is None else STOPPED
        reason = next(iter(failures.values()), "no epoch was scored") if is_failed else ""
        return {
            "trial": trial.number,
            "status": status,
            "score": score,
            "epochs": epochs,
            "seconds": round(seconds_of(run, folds, epochs), 1),
            "training": trial.name,
            "reason": reason,
            "values": json.dumps(trial.values),
            **{field: trial.values.get(field) for field in self.space.fields},
        }

    def _is_late(self) -> bool:
        hours = self.search.hours
        return hours is not None and elapsed_s(self.out) >= 3600 * hours

    def _count(self, seconds: float) -> None:
        files.write_text(self.out / CLOCK, json.dumps({"seconds": round(elapsed_s(self.out) + seconds, 1)}))


def elapsed_s(out: Path) -> float:
    """Return the seconds that the finished batches of a search took, over all its commands."""
    return float(read_json(out / CLOCK)["seconds"]) if (out / CLOCK).is_file() else 0.0


def rungs(halving: HalvingConfig | None, epochs: int) -> list[int]:
    """Return the epochs after which trials are compared.

    >>> rungs(HalvingConfig(epochs=2, factor=3), 20)
    [2, 6, 18]
    """
    rungs: list[int] = []
    if halving:
        rung = halving.epochs
        while rung < epochs:
            rungs.append(rung)
            rung *= halving.factor
    return rungs


def survivors(scores: Mapping[int, float | None], halving: HalvingConfig | None) -> set[int]:
    """Return the trials that are trained further: the best share, at least one; the first of equals.

    >>> survivors({0: 0.5, 1: None, 2: 0.7, 3: 0.6}, HalvingConfig(factor=2))
    {2, 3}
    """
    factor = halving.factor if halving else 1
    scored = {number: score for number, score in scores.items() if score is not None}
    ranked = sorted(scored, key=lambda number: (-scored[number], number))
    return set(ranked[: max(1, len(scores) // factor)])


def best_row(table: pd.DataFrame) -> dict[str, Any]:
    """Return the row of the best trial that was trained to its end; the first of equals."""
    finished = table[table["status"] == FINISHED].sort_values("score", ascending=False, kind="stable")
    return {str(name): value for name, value in finished.iloc[0].items()}


def _is_trained(cell: Path, epochs: int | None) -> bool:
    """Whether a cell is finished, has failed, or was stopped after so many epochs or more."""
    if is_finished(cell) or (cell / FAILURE).is_file():
        return True
    stopped = cell / STOPPED_FILE
    return epochs is not None and stopped.is_file() and int(read_json(stopped)["epochs"]) >= epochs
