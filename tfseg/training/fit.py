"""Training one network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from tfseg import losses
from tfseg.config import Config
from tfseg.data.pipeline import SliceBatches
from tfseg.data.prepared import Prepared
from tfseg.data.splits import Split
from tfseg.models import MODELS
from tfseg.training.callbacks import BestWeights, EpochSeeds, FiniteLoss, History, LossRamps, Steps, VolumeValidation
from tfseg.training.schedules import learning_rate_schedule
from tfseg.training.strategy import compiled_forward


@dataclass(frozen=True)
class Progress:
    """Listeners to a training: after each step, and after each epoch with its number from 0 and its logs."""

    on_step: Callable[[], None] = lambda: None
    on_epoch: Callable[[int, Mapping[str, float]], None] = lambda epoch, logs: None


QUIET = Progress()


@dataclass(frozen=True)
class Trained:
    """What a training ended with: the file of its best network, and the epoch (from 1) that it comes from."""

    path: Path
    best_epoch: int
    epochs: int


def make_loss(config: Config) -> keras.losses.Loss:
    """Make the configured loss; `training.overlap_over` goes to every loss that measures overlap.

    Raises:
        ValueError: on an unknown loss or parameter, or a value out of its range.
    """
    return losses.make(config.loss, overlap_over=config.training.overlap_over)


def train(
    config: Config,
    prepared: Prepared,
    split: Split,
    seed: int,
    out: Path,
    strategy: tf.distribute.Strategy,
    progress: Progress = QUIET,
) -> Trained:
    """Train one network and keep its best weights, by validation subjects scored as volumes.

    Args:
        config: what to train and how.
        prepared: the prepared folder.
        split: subjects to train on and to validate with; `test` is not looked at.
        seed: decides initial weights, order of slices and dropout.
        out: folder for `best.keras` and `history.csv`.
        strategy: the devices.
        progress: listeners.

    Raises:
        FloatingPointError: where the loss is no longer a finite number.
    """
    training = config.training
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    batches = SliceBatches(prepared.cases_of(split.train), training.batch_size, seed)
    steps = batches.steps_per_epoch
    with strategy.scope():
        settings = config.model.model_dump(exclude={"name"})
        synchronized = strategy.num_replicas_in_sync > 1
        model = MODELS[config.model.name](prepared.image_shape, prepared.classes, synchronized=synchronized, **settings)
        loss = make_loss(config)
        optimizer = keras.optimizers.Adam(learning_rate_schedule(training, steps))
        # XLA trains this network several times slower on a CPU.
        model.compile(optimizer, loss, jit_compile=False)
    validation = VolumeValidation(
        prepared.cases_of(split.val),
        list(prepared.labels.values()),
        compiled_forward(model),
        tf.function(loss, reduce_retracing=True),
        training.batch_size,
    )
    best = BestWeights(out / "best.keras", training.select_by)
    history = History(out / "history.csv", validation)
    callbacks: list[keras.callbacks.Callback] = [
        EpochSeeds(seed),
        LossRamps(loss),
        FiniteLoss(),
        validation,
        best,
        history,
        Steps(progress.on_step, progress.on_epoch),
    ]
    if training.patience is not None:
        mode = "min" if training.select_by == "val_loss" else "max"
        callbacks.append(keras.callbacks.EarlyStopping(training.select_by, patience=training.patience, mode=mode))
    model.fit(
        batches.dataset(),
        epochs=training.epochs,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    return Trained(out / "best.keras", best.best_epoch + 1, len(history.rows))
