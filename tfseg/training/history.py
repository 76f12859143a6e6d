"""Record one row per epoch in `history.csv`, and report it to a listener."""

import math
import time
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from tfseg.core import files
from tfseg.training.progress import Progress, Stopped
from tfseg.training.validation import Validation


class History(keras.callbacks.Callback):
    """Write one row per epoch to `history.csv`: losses, scores, learning rate at its first step, steps, seconds.

    The learning rate is added to the epoch's logs, for the callbacks that follow.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._started = 0.0
        self._rate = 0.0
        self.validation: Validation | None = None
        self.stage: int | None = None
        self.rows: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock and read the learning rate."""
        self._started = time.perf_counter()
        self._rate = float(self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the row."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = self._rate
        seconds = time.perf_counter() - self._started
        validation_seconds = self.validation.seconds if self.validation else 0.0
        self.rows.append(
            {
                "epoch": len(self.rows) + 1,
                **({} if self.stage is None else {"stage": self.stage}),
                **{name: float(value) for name, value in logs.items()},
                "steps": self.params["steps"],
                "train_seconds": round(seconds - validation_seconds, 3),
                "validation_seconds": round(validation_seconds, 3),
            }
        )
        files.write_text(self._path, pd.DataFrame(self.rows).to_csv(index=False))

    def latest(self) -> dict[str, float]:
        """Return the last known value of every column: an epoch that was not scored has no scores of its own."""
        latest: dict[str, float] = {}
        for row in self.rows:
            latest.update({name: value for name, value in row.items() if name not in latest or not math.isnan(value)})
        return latest

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {"rows": self.rows}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self.rows = state["rows"]


class Listening(keras.callbacks.Callback):
    """Report every step and every epoch to a listener."""

    async_safe = True  # Keras then calls it in a thread of its own, and no step waits for the numbers of the last

    def __init__(self, progress: Progress, history: History) -> None:
        super().__init__()
        self._progress = progress
        self._history = history

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Report a step."""
        self._progress.on_step()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Report an epoch, and stop the training if asked to."""
        number, scores = len(self._history.rows) - 1, self._history.latest()
        self._progress.on_epoch(number, scores)
        if self._progress.stop_after(number, scores):
            raise Stopped(number + 1)
