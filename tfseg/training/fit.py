"""Train one network, through all its stages."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from tfseg import __version__
from tfseg.config.config import Config
from tfseg.config.model import imported_functions
from tfseg.core import files
from tfseg.core.errors import ConfigError, RunError
from tfseg.core.machine import processor_name
from tfseg.datasets.splits import Split
from tfseg.models.imported import RECORD, load_network
from tfseg.prepared.inputs import input_shape
from tfseg.prepared.prepared import Prepared
from tfseg.training.checkpoint import CheckpointFolder
from tfseg.training.history import History
from tfseg.training.network import record_of
from tfseg.training.progress import QUIET, Progress
from tfseg.training.resuming import Conditions, check_conditions, conditions_of
from tfseg.training.selection import is_whole
from tfseg.training.stage import Training, Weights, make_loss, train_stage
from tfseg.training.strategy import device_kinds, threads_used

__all__ = ["QUIET", "Progress", "Trained", "make_loss", "train"]

CHECKPOINTS = "checkpoint"


@dataclass(frozen=True)
class Trained:
    """The result of a training: the file of the best network, its epoch, from 1, and the number of epochs trained.

    `score`: what selected the epoch, on the validation subjects.
    """

    path: Path
    best_epoch: int
    epochs: int
    score: float


def train(
    config: Config,
    prepared: Prepared,
    split: Split,
    seed: int,
    out: Path,
    strategy: tf.distribute.Strategy,
    progress: Progress = QUIET,
) -> Trained:
    """Train one network and keep the weights that score best on the validation subjects, as whole volumes.

    A training that was killed resumes from its last checkpoint, with bit-identical results.

    Args:
        config: what to train and how.
        prepared: the prepared folder.
        split: subjects to train on and to validate with; `test` is not used.
        seed: determines initial weights, order of slices and dropout.
        out: folder for `best.keras`, `history.csv`, `checkpoint/` and `logs/`.
        strategy: the devices.
        progress: listeners.

    Raises:
        ConfigError: if `out` holds a training started under other conditions, or the weights to start from do not fit.
        Diverged: if the loss is no longer finite.
        Stopped: if `progress` asks for it after an epoch; the same call resumes.
        FloatingPointError: if the score that selects the best epoch was never finite.
    """
    machine: Conditions = {
        "training.threads": threads_used(),
        "devices": device_kinds(strategy),
        "processor": processor_name(),
        "tfseg": __version__,
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
    }
    record = record_of(config.model, input_shape(config.training.input, prepared), prepared.targets.channels)
    if record:
        machine["model.import"] = f"{record['import']}, SHA-256 {record['sha256'][:12]}"
    conditions = conditions_of(config, prepared, split, seed, machine)
    checkpoints = CheckpointFolder(out / CHECKPOINTS, progress.say)
    saved = checkpoints.newest()
    if saved:
        check_conditions(saved, conditions, out)
    if record:
        files.write_text(out / RECORD, json.dumps(record, indent=1))
    best = out / "best.keras"
    if saved and saved.state["parts"]["best"]["best_epoch"] >= 0 and not is_whole(best):
        progress.say(f"{best} is damaged; the network is trained again from the beginning")
        checkpoints.clear()
        saved = None
    history = History(out / "history.csv")
    stages = config.resolved_stages()
    shared = Training(stages, prepared, split, seed, out, strategy, progress, history, checkpoints, conditions)
    begin = saved.state["stage"] if saved else 0
    best_epoch, score = -1, math.nan
    weights = None if saved else given_weights(config)
    if saved:
        progress.on_resume(saved.state["epochs_before"] + saved.state["epochs"])
    for stage in range(begin, len(stages)):
        history.stage = stage + 1 if len(stages) > 1 else None
        weights, best_epoch, score = train_stage(shared, stage, weights, saved if stage == begin else None)
    if best_epoch < 0:
        raise FloatingPointError(f"{stages[-1].training.select_by} was never finite: no epoch is the best")
    return Trained(best, best_epoch + 1, len(history.rows), score)


def given_weights(config: Config) -> Weights | None:
    """Read the weights that a training starts from, if any are given.

    Raises:
        ConfigError: if they cannot be read.
    """
    path = config.training.start_from
    if path is None:
        return None
    try:
        return load_network(Path(path), imported_functions(config.model)).get_weights()
    except (OSError, RunError) as error:
        raise ConfigError(f"training.start_from: cannot read {path}: {error}") from error
