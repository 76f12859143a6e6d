"""Stop a training whose loss is no longer a finite number."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class Diverged(FloatingPointError):
    """A loss that is NaN or infinite: in which epoch and step, from 1, on which slices, and why, if that is known."""

    def __init__(self, loss: float, epoch: int, step: int, slices: str, which: str = "loss", reason: str = "") -> None:
        why = reason or "a lower learning rate may help"
        super().__init__(f"the {which} is {loss} in epoch {epoch}, step {step}, on {slices}; {why}")
        self.epoch = epoch
        self.step = step
        self.slices = slices


class WatchedLoss(keras.losses.Loss):
    """A loss that remembers, on its device, the first step at which it was not finite, so that no step waits for it.

    Create it in the strategy's scope: every replica remembers its own.

    Args:
        loss: the loss.
        outputs: how many outputs of the network it is called for at every step.
    """

    def __init__(self, loss: keras.losses.Loss, outputs: int = 1) -> None:
        super().__init__(name=loss.name)
        self._loss = loss
        self._outputs = outputs
        self._calls = _per_replica(0, tf.int64)
        self._first_step = _per_replica(-1, tf.int64)
        self._first_value = _per_replica(0.0, tf.float32)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss, and count the call."""
        value = self._loss(y_true, y_pred, sample_weight)
        is_first = tf.logical_not(tf.math.is_finite(value)) & (self._first_step < 0)
        self._first_value.assign(tf.where(is_first, tf.cast(value, tf.float32), self._first_value))
        self._first_step.assign(tf.where(is_first, self._calls // self._outputs, self._first_step))
        self._calls.assign_add(1)
        return value

    def first_bad(self) -> tuple[int, float] | None:
        """Return the first step, from 0, at which a replica's loss was not finite, and the loss; None if none was."""
        steps, values = (
            [replica.numpy().item() for replica in tf.distribute.get_strategy().experimental_local_results(variable)]
            for variable in (self._first_step, self._first_value)
        )
        bad = [(step, value) for step, value in zip(steps, values, strict=True) if step >= 0]
        return min(bad) if bad else None


class FiniteLoss(keras.callbacks.Callback):
    """Raise `Diverged` at the end of an epoch in which the loss was not finite, for the first such step.

    Args:
        loss: what the network is compiled with.
        steps_per_epoch: steps of an epoch.
        describe: names the slices of an epoch's step, both from 0.
        explain: says what is wrong with their values; empty if nothing is.
        epochs_before: epochs of earlier stages.
        begin: epochs of this stage that were trained before, in another process.
    """

    def __init__(
        self,
        loss: WatchedLoss,
        steps_per_epoch: int,
        describe: Callable[[int, int], str],
        explain: Callable[[int, int], str] = lambda epoch, step: "",
        epochs_before: int = 0,
        begin: int = 0,
    ) -> None:
        super().__init__()
        self._loss = loss
        self._steps_per_epoch = steps_per_epoch
        self._describe = describe
        self._explain = explain
        self._before = epochs_before
        self._begin = begin

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Look at every step of the epoch, and at their mean, which holds penalties on weights too."""
        self.check(float((logs or {}).get("loss", math.nan)), epoch, self._steps_per_epoch - 1)

    def check(self, loss: float, epoch: int, step: int, which: str = "loss") -> None:
        """Look at every step until now, then at a loss that comes from the weights after the latest one.

        Args:
            loss: what is looked at.
            epoch: of this stage, from 0.
            step: the latest of the epoch, from 0.
            which: what messages call the loss.

        Raises:
            Diverged: if a loss is not finite.
        """
        if first := self._loss.first_bad():
            past, value = first
            self._fail(value, self._begin + past // self._steps_per_epoch, past % self._steps_per_epoch, "loss")
        if not math.isfinite(loss):
            self._fail(loss, epoch, step, which)

    def _fail(self, loss: float, epoch: int, step: int, which: str) -> None:
        place = self._before + epoch, step
        raise Diverged(loss, place[0] + 1, step + 1, self._describe(*place), which, self._explain(*place))


def _per_replica(value: float, dtype: tf.DType) -> tf.Variable:
    return tf.Variable(
        value,
        trainable=False,
        dtype=dtype,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
