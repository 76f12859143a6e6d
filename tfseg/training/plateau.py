"""Lowering the learning rate where a training no longer gains."""

import math
from typing import Any

import keras

from tfseg.config.training import ScheduleConfig
from tfseg.training.schedules import ScaledRate


class Plateau:
    """Says when a value has not gained more than `min_delta` for `patience` epochs, and then counts again.

    Args:
        sign: 1 where more is a gain, -1 where less is.
        average: what is looked at is this share of its last value plus the rest of the new one; 0 for the new one.
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
        """Look at an epoch's value; one that is not finite says nothing."""
        if not math.isfinite(value):
            return False
        before = value if self._average is None else self._average
        self._average = self._share * before + (1 - self._share) * value
        gained = self._sign * self._average
        if gained > self._best + self._min_delta:
            self._best, self._waited = gained, 0
            return False
        self._waited += 1
        if self._waited < self._patience:
            return False
        self._waited = 0
        return True

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"average": self._average, "best": self._best, "waited": self._waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._average, self._best, self._waited = state["average"], state["best"], state["waited"]


class PlateauRate(keras.callbacks.Callback):
    """Multiplies the rate by `factor` at every plateau of a validation score or of the training loss's average."""

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
        """Look at the epoch's value, where it has one."""
        value = (logs or {}).get(self._watched)
        if value is not None and self._plateau.reached(value):
            self._set(self._scale * self._factor)

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"scale": self._scale, "plateau": self._plateau.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._plateau.restore(state["plateau"])
        self._set(state["scale"])

    def _set(self, scale: float) -> None:
        self._scale = scale
        self._rate.scale.assign(scale)
