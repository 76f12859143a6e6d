"""Train one more network on all subjects of a run; it has no score of its own."""

import json
import statistics
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfseg.config.config import Config, validate
from tfseg.core import files
from tfseg.core.claims import locked
from tfseg.core.folds import fold_folder
from tfseg.datasets.splits import Split
from tfseg.prepared.prepared import Prepared
from tfseg.runs.cell import network_seed, remove_checkpoints
from tfseg.runs.folder import FINAL, FINAL_DESCRIPTION, is_finished, read_fold
from tfseg.training.fit import train
from tfseg.training.progress import Progress, Stopped


def final_epochs(run: Path, folds: int) -> int:
    """Return the median best epoch of a run's finished folds, from 1."""
    return round(statistics.median(each["best_epoch"] for each in _finished(run, folds)))


def final_config(config: Config, run: Path, folds: int) -> Config:
    """Return the configuration with the learning rate that most of a run's finished folds chose."""
    chosen = statistics.mode(each.get("learning_rate") for each in _finished(run, folds))
    candidates = config.by_rate()
    return next((each for each in candidates if each.training.learning_rate == chosen), candidates[0])


def _finished(run: Path, folds: int) -> list[dict[str, Any]]:
    folders = (fold_folder(run, fold) for fold in range(folds))
    return [read_fold(folder) for folder in folders if is_finished(folder)]


def stopped_after(config: Config, epochs: int) -> Config:
    """Return the configuration with its whole schedule, whose only scored epoch is the one to stop after.

    Args:
        config: of a run.
        epochs: over all stages, at least one of them in the last stage.
    """
    *before, last = config.resolved_stages()
    only = {"validate_every": epochs - sum(stage.training.epochs for stage in before), "validate_every_steps": None}
    changed = {**last.training.model_dump(), **only, "patience": None}
    if not config.stages:
        return config.model_copy(update={"training": validate(type(config.training), changed, "final")})
    own = {**config.stages[-1].training, **only, "patience": None}
    final_stage = config.stages[-1].model_copy(update={"training": own})
    return config.model_copy(update={"stages": (*config.stages[:-1], final_stage)})


def train_final(
    config: Config,
    prepared: Prepared,
    epochs: int,
    folds: int,
    run: Path,
    strategy: tf.distribute.Strategy,
    progress: Progress,
) -> None:
    """Train a network on all subjects, and write it and `final.json` into `run/final`; a killed training resumes.

    It follows the schedule of the run's other networks and stops after `epochs`, without choosing by a score.

    Args:
        config: of the run, with one learning rate.
        prepared: the prepared folder.
        epochs: after which it stops.
        folds: of the run; the next number gives the network its start.
        run: the run folder.
        strategy: the devices.
        progress: follows the training.
    """
    out = run / FINAL
    everyone = tuple(prepared.subjects)

    def on_resume(trained: int) -> None:
        progress.on_resume(trained)
        if trained >= epochs:
            raise Stopped(trained)

    following = replace(progress, on_resume=on_resume, stop_after=lambda epoch, _: epoch + 1 >= epochs)
    # A scoring of validation subjects is part of every training; one subject, which is trained on, is the cheapest.
    split, seed = Split(everyone, everyone[:1], ()), network_seed(config.seed, folds)
    with locked(out):
        with suppress(Stopped):
            train(stopped_after(config, epochs), prepared, split, seed, out, strategy, following)
        files.write_text(out / FINAL_DESCRIPTION, json.dumps({"epochs": epochs, "subjects": len(everyone)}))
        remove_checkpoints(out)
