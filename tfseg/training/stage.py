"""Train one stage: a network, a loss, an optimiser and a number of epochs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfseg import losses
from tfseg.config.config import Config
from tfseg.config.model import ImportedModelConfig
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split
from tfseg.losses.label_smoothing import SmoothedLabels
from tfseg.models.imported import inference_network
from tfseg.prediction.choice import make_predictor
from tfseg.prediction.forward import compiled_forward
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.inputs import input_shape, make_batches, unchanged_batches
from tfseg.prepared.pipeline import as_dataset
from tfseg.prepared.prepared import Prepared
from tfseg.training.checkpoint import Checkpoint, CheckpointFolder
from tfseg.training.controls import controls
from tfseg.training.divergence import FiniteLoss, WatchedLoss
from tfseg.training.epochs import EpochSeeds
from tfseg.training.graphs import released_graphs
from tfseg.training.history import History, Listening
from tfseg.training.impossible import check_case, impossible_values
from tfseg.training.logs import Logs
from tfseg.training.network import make_network, supervision_weights
from tfseg.training.optimizers import make_optimizer, penalise_weights
from tfseg.training.plateau import PlateauRate
from tfseg.training.prior import class_shares, start_at_shares
from tfseg.training.progress import Progress
from tfseg.training.resuming import Conditions, Saving, Stateful
from tfseg.training.schedules import Rate, ScaledRate, learning_rate_schedule
from tfseg.training.selection import BestWeights, EarlyStopping
from tfseg.training.strategy import precision
from tfseg.training.validation import Validation, ValidationWithin, score_volumes

Weights = list[np.ndarray]


@dataclass(frozen=True)
class Training:
    """Everything that the stages of one network's training share."""

    stages: Sequence[Config]
    prepared: Prepared
    split: Split
    seed: int
    out: Path
    strategy: tf.distribute.Strategy
    progress: Progress
    history: History
    checkpoints: CheckpointFolder
    conditions: Conditions


def make_loss(config: Config, regions: bool = False, ignore_label: int | None = None) -> keras.losses.Loss:
    """Make the configured loss; `training.overlap_over` is passed to every loss that measures overlap.

    Args:
        config: names the loss.
        regions: channels are regions that may overlap, unless the loss says otherwise.
        ignore_label: class whose voxels do not count in the loss, unless the loss says otherwise.

    Raises:
        ValueError: on an unknown loss or parameter, or a value out of its range.
    """
    settings = {"overlap_over": config.training.overlap_over, "regions": regions, "ignore_label": ignore_label}
    return losses.make(config.loss, **settings)


def compiled_model(config: Config, shared: Training, loss: keras.losses.Loss, rate: Rate) -> keras.Model:
    """Build the network with its optimiser, ready to train; call it in the strategy's scope."""
    synchronized = shared.strategy.num_replicas_in_sync > 1
    image_shape = input_shape(config.training.input, shared.prepared)
    model = make_network(config.model, image_shape, shared.prepared.targets, synchronized)
    penalise_weights(model, config.training.l1)
    outputs = len(model.outputs)
    several = {"loss": [loss] * outputs, "loss_weights": supervision_weights(outputs)}
    # XLA trains this network several times slower on a CPU.
    model.compile(
        make_optimizer(config.training, rate), **(several if outputs > 1 else {"loss": loss}), jit_compile=False
    )
    # A checkpoint can only be restored into variables that exist.
    model.optimizer.build(model.trainable_variables)
    return model


def start_from(model: keras.Model, weights: Weights) -> None:
    """Set the weights of the network; those of its inference network, if they come from a file.

    Raises:
        ConfigError: if they belong to another network.
    """
    inference = inference_network(model)
    try:
        (inference if len(weights) == len(inference.weights) else model).set_weights(weights)
    except ValueError as error:
        raise ConfigError(f"training.start_from: the weights do not fit this network: {error}") from error


@released_graphs()
def train_stage(
    shared: Training, stage: int, weights: Weights | None, checkpoint: Checkpoint | None
) -> tuple[Weights, int, float]:
    """Train one stage; return the weights of its last epoch, its best epoch (from 0, over all stages) and that score.

    Args:
        shared: what all stages share.
        stage: its number from 0.
        weights: initial weights; drawn from the seed if None.
        checkpoint: where to resume; start from the beginning if None.
    """
    config, history, targets = shared.stages[stage], shared.history, shared.prepared.targets
    training = config.training
    keras.backend.clear_session()
    keras.utils.set_random_seed(shared.seed)
    prepared, trained = shared.prepared, shared.split.train
    batches = make_batches(training, prepared, trained, shared.seed)
    steps = batches.steps_per_epoch
    with shared.strategy.scope(), precision(training.precision):
        ignored = None if prepared.ignore_label is None else IGNORED
        loss = make_loss(config, bool(targets.regions), ignored)
        trained_on = loss
        if training.label_smoothing:
            trained_on = SmoothedLabels(loss, training.label_smoothing, bool(targets.regions), ignored)
        rate = learning_rate_schedule(training, steps)
        watched = WatchedLoss(trained_on, config.model.deep_supervision)
        model = compiled_model(config, shared, watched, rate)
    is_ours = not isinstance(config.model, ImportedModelConfig)
    if training.class_prior and is_ours and weights is None and checkpoint is None:
        unchanged = unchanged_batches(training, prepared, prepared.cases_of(trained), shared.seed)
        start_at_shares(model, class_shares(unchanged, targets), targets)
    if weights is not None:
        start_from(model, weights)

    before = checkpoint.state["epochs_before"] if checkpoint else len(history.rows)
    done = checkpoint.state["epochs"] if checkpoint else 0
    if stage == 0 and not checkpoint:
        later = [make_batches(each.training, prepared, trained, shared.seed) for each in shared.stages[1:]]
        planned = [(each, of.training.epochs) for each, of in zip([batches, *later], shared.stages, strict=True)]
        files.write_text(shared.out / "controls.json", json.dumps(controls(model, planned)))

    predictor = make_predictor(compiled_forward(inference_network(model)), training, prepared)
    validated = prepared.cases_of(shared.split.val)
    depth = 1 if training.input.kind == "slices" else model.input_shape[1]
    # A slice is a sample of its own; so is a block of a volume.
    sampled = loss if depth == 1 else lambda truth, probability: loss(truth[tf.newaxis], probability[tf.newaxis])
    block_loss = tf.function(sampled, reduce_retracing=True)

    def explain(epoch: int, step: int) -> str:
        images, truth = batches.load(batches.plan(epoch)[step])
        return impossible_values(images, truth, targets, ignored is not None)

    finite = FiniteLoss(watched, steps, batches.describe, explain, before, done)

    def score(epoch: int, step: int) -> dict[str, float]:
        check = partial(check_case, targets=targets, ignores=ignored is not None)
        scores = score_volumes(validated, targets, predictor, block_loss, check)
        # NaN weights after the last step predict nothing, which gives an ordinary Dice: check the loss.
        finite.check(scores["val_loss"], epoch, step, "validation loss")
        return scores

    best = BestWeights(shared.out / "best.keras", training.select_by, before)
    every, every_steps = training.validate_every, training.validate_every_steps
    logs = Logs(shared.out / "logs", validated, targets, predictor, depth, training.picture_every, before)

    def scored(epoch: int, step: int, scores: dict[str, float]) -> None:
        best.consider(epoch, scores)
        logs.write_within(int(sum(row["steps"] for row in history.rows)) + step + 1, scores)

    validation = Validation(score, every, training.epochs, steps)
    if every_steps is not None:
        validation = ValidationWithin(score, every, training.epochs, steps, every_steps, scored)
    history.validation = validation
    parts: dict[str, Stateful] = {"best": best, "history": history}
    plateaus = []
    if isinstance(rate, ScaledRate):
        parts["plateau"] = plateau = PlateauRate(training.schedule, rate)
        plateaus.append(plateau)
    saving = Saving(shared.checkpoints, shared.conditions, stage, before, parts)
    patience = training.patience
    stopping = [] if patience is None else [EarlyStopping(best, patience, validation.is_scored)]
    callbacks: Sequence[keras.callbacks.Callback] = [
        EpochSeeds(shared.seed, before),
        losses.RampCallback(loss),
        finite,
        validation,
        best,
        *plateaus,
        history,
        logs,
        saving,
        Listening(shared.progress, history),
        *stopping,
    ]
    for callback in callbacks:
        callback.set_model(model)
    if checkpoint:
        saving.restore(checkpoint)
    sizes = [output.shape[1:-1] for output in model.outputs]
    if done < training.epochs and not any(rule.is_over(done) for rule in stopping):
        model.fit(
            as_dataset(batches, before + done, sizes if len(sizes) > 1 else None),
            initial_epoch=done,
            epochs=training.epochs,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )
    return model.get_weights(), best.best_epoch, best.score
