"""Stopping a training whose loss is no longer a finite number, since nothing can be learned from there."""

import math
from collections.abc import Callable

import keras


class Diverged(FloatingPointError):
    """A loss that is NaN or infinite: in which epoch and step, from 1, and on which slices."""

    def __init__(self, loss: float, epoch: int, step: int, slices: str, which: str = "loss") -> None:
        super().__init__(
            f"the {which} is {loss} in epoch {epoch}, step {step}, on {slices}; a lower learning rate may help"
        )
        self.epoch = epoch
        self.step = step
        self.slices = slices


class FiniteLoss(keras.callbacks.Callback):
    """Raises `Diverged` at the first step whose loss is not finite.

    Args:
        describe: the slices of an epoch's step, both from 0, in words.
        epochs_before: epochs of earlier stages.
    """

    def __init__(self, describe: Callable[[int, int], str], epochs_before: int = 0) -> None:
        super().__init__()
        self._describe = describe
        self._before = epochs_before
        self._epoch = 0
        self._step = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remember the epoch."""
        self._epoch = self._before + epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the mean loss of the epoch's steps so far, which is finite while each of them is."""
        self._step = batch
        self.check(float((logs or {}).get("loss", math.nan)))

    def check(self, loss: float, which: str = "loss") -> None:
        """Look at a loss after the latest step, whose slices made the weights that it comes from.

        Raises:
            Diverged: where it is not finite.
        """
        if not math.isfinite(loss):
            raise Diverged(loss, self._epoch + 1, self._step + 1, self._describe(self._epoch, self._step), which)
