"""Stop a training whose loss is no longer finite."""

import math
from collections.abc import Callable

import keras


class Diverged(FloatingPointError):
    """A loss is NaN or infinite; holds the epoch and step, from 1, and the slices."""

    def __init__(self, loss: float, epoch: int, step: int, slices: str, which: str = "loss") -> None:
        super().__init__(
            f"the {which} is {loss} in epoch {epoch}, step {step}, on {slices}; a lower learning rate may help"
        )
        self.epoch = epoch
        self.step = step
        self.slices = slices


class FiniteLoss(keras.callbacks.Callback):
    """Raise `Diverged` at the first step whose loss is not finite.

    Args:
        describe: returns the slices of an epoch and step, both from 0, as text.
        epochs_before: epochs of earlier stages.
    """

    def __init__(self, describe: Callable[[int, int], str], epochs_before: int = 0) -> None:
        super().__init__()
        self._describe = describe
        self._before = epochs_before
        self._epoch = 0
        self._step = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Store the epoch."""
        self._epoch = self._before + epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Check the mean loss of the epoch so far, which is finite if the loss of every step is."""
        self._step = batch
        self.check(float((logs or {}).get("loss", math.nan)))

    def check(self, loss: float, which: str = "loss") -> None:
        """Check a loss that was computed after the latest step; an error names the slices of that step.

        Raises:
            Diverged: if it is not finite.
        """
        if not math.isfinite(loss):
            raise Diverged(loss, self._epoch + 1, self._step + 1, self._describe(self._epoch, self._step), which)
