"""Schedule the learning rate over a training."""

from typing import Any, TypeAlias

import keras
from keras import ops
from keras.optimizers.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule, PolynomialDecay

from tfseg.config.config import TrainingConfig
from tfseg.config.training import ScheduleConfig

Rate: TypeAlias = float | LearningRateSchedule


class WarmUp(LearningRateSchedule):
    """Rise linearly to `rate`, reached at the last of `steps`; then follow another schedule, or stay at `rate`."""

    def __init__(self, rate: float, steps: int, after: LearningRateSchedule | None) -> None:
        self.rate = rate
        self.steps = steps
        self.after = after

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rising = self.rate * (step + 1) / self.steps
        after = self.rate if self.after is None else self.after(ops.maximum(step - self.steps, 0.0))
        return ops.where(step < self.steps, rising, after)


class ScaledRate(LearningRateSchedule):
    """Multiply a constant rate or a schedule by `scale`, a variable."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.scale = keras.Variable(1.0, trainable=False, name="rate_scale")

    def __call__(self, step: Any) -> Any:
        rate = self.rate(step) if callable(self.rate) else self.rate
        return rate * self.scale.value


def learning_rate_schedule(training: TrainingConfig, steps_per_epoch: int) -> Rate:
    """Return the configured schedule as a function of the optimiser's step.

    Cosine: Loshchilov 2017 (arXiv:1608.03983), one period without restart. Polynomial: `rate (1 - t)^power`,
    t from 0 to 1 over the training, as Liu 2015 (arXiv:1506.04579).
    """
    schedule = training.schedule
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    steps = max(training.epochs * steps_per_epoch - warmup, 1)
    after = _without_warm_up(schedule, training.learning_rate, steps, steps_per_epoch)
    rate = after or training.learning_rate
    if warmup:
        rate = WarmUp(training.learning_rate, warmup, after)
    return ScaledRate(rate) if schedule.name == "plateau" else rate


def _without_warm_up(
    schedule: ScheduleConfig, rate: float, steps: int, steps_per_epoch: int
) -> LearningRateSchedule | None:
    if schedule.name in ("constant", "plateau"):
        return None
    if schedule.name == "cosine":
        return CosineDecay(rate, steps)
    if schedule.name == "polynomial":
        return PolynomialDecay(rate, steps, end_learning_rate=0.0, power=schedule.power)
    return ExponentialDecay(rate, schedule.every * steps_per_epoch, schedule.factor, staircase=schedule.name == "step")
