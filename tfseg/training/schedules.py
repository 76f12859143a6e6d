"""How the learning rate falls over a training."""

import keras

from tfseg.config import TrainingConfig


def learning_rate_schedule(
    training: TrainingConfig, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the configured schedule as a function of the optimiser's step.

    Cosine: Loshchilov 2017 (arXiv:1608.03983), one period without restart, after a linear warm-up.
    """
    schedule, rate = training.schedule, training.learning_rate
    if schedule.name == "step":
        return keras.optimizers.schedules.ExponentialDecay(
            rate, decay_steps=schedule.every * steps_per_epoch, decay_rate=schedule.factor, staircase=True
        )
    if schedule.name == "cosine":
        warmup = round(schedule.warmup_epochs * steps_per_epoch)
        decay = max(training.epochs * steps_per_epoch - warmup, 1)
        if warmup:
            return keras.optimizers.schedules.CosineDecay(0.0, decay, warmup_target=rate, warmup_steps=warmup)
        return keras.optimizers.schedules.CosineDecay(rate, decay)
    return rate
