"""Lower the learning rate when training stops improving."""

import math
from typing import Any

import keras

from tfseg.config.training import ScheduleConfig
from tfseg.training.schedules import ScaledRate


class Plateau:
    """Detect that a value has not improved by more than `min_delta` for `patience` epochs, then count again.

    Args:
        sign: 1 if higher is better, -1 if lower is better.
        patience: epochs without improvement.
        min_delta: smallest change that counts as an improvement.
        average: watch the moving average `average·last + (1 - average)·new`; 0 to watch the value itself.
    """

    def __init__(self, sign: int, patience: int, min_delta: float, average: float = 0.0) -> None:
        self._sign = sign
        self._patience = patience
        self._min_delta = min_delta
        self._share = average
        self._average: float | None = None
        self._best = -math.inf
        self._waited = 0

    def reached(self, value: float) -> bool:
        """Return whether an epoch's value completes a plateau; a value that is not finite is skipped."""
        if not math.isfinite(value):
            return False
        before = value if self._average is None else self._average
        self._average = self._share * before + (1 - self._share) * value
        score = self._sign * self._average
        if score > self._best + self._min_delta:
            self._best, self._waited = score, 0
            return False
        self._waited += 1
        if self._waited < self._patience:
            return False
        self._waited = 0
        return True

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {"average": self._average, "best": self._best, "waited": self._waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self._average, self._best, self._waited = state["average"], state["best"], state["waited"]


class PlateauRate(keras.callbacks.Callback):
    """Multiply the learning rate by `factor` at each plateau of a validation score or the averaged training loss."""

    def __init__(self, schedule: ScheduleConfig, rate: ScaledRate) -> None:
        super().__init__()
        averaged = schedule.watch == "loss_average"
        self._watched = "loss" if averaged else schedule.watch
        self._factor = schedule.factor
        self._rate = rate
        self._plateau = Plateau(
            sign=-1 if self._watched in ("loss", "val_loss") else 1,
            patience=schedule.patience,
            min_delta=schedule.min_delta,
            average=schedule.average if averaged else 0.0,
        )
        self._scale = 1.0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Check the epoch's value, if it has one."""
        value = (logs or {}).get(self._watched)
        if value is not None and self._plateau.reached(value):
            self._set(self._scale * self._factor)

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {"scale": self._scale, "plateau": self._plateau.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self._plateau.restore(state["plateau"])
        self._set(state["scale"])

    def _set(self, scale: float) -> None:
        self._scale = scale
        self._rate.scale.assign(scale)
