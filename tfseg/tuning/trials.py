"""Trials and the trainings that they are read from: one training serves every number of epochs, if it can."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfseg.config.config import Config
from tfseg.core.errors import ConfigError
from tfseg.core.folds import fold_folder
from tfseg.datasets.splits import Split
from tfseg.runs.cells import Cell
from tfseg.runs.folder import read_history
from tfseg.tuning.search import SearchConfig
from tfseg.tuning.space import Space, Values, with_values

EPOCHS = "training.epochs"
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
# The learning rate of these depends on how many epochs there will be.
BY_LENGTH = ("cosine", "polynomial")
TRAININGS = "trainings"


@dataclass(frozen=True)
class Trial:
    """Values to try, the configuration with them, and that of the training from which the score is read."""

    number: int
    values: Values
    config: Config
    training: Config

    @property
    def epochs(self) -> int:
        """The epochs of the trial; its training may have more."""
        return self.config.total_epochs

    @property
    def name(self) -> str:
        """The name of the training: a digest of its configuration."""
        return hashlib.sha256(json.dumps(self.training.decisive()).encode()).hexdigest()[:12]

    def run(self, out: Path) -> Path:
        """Return the folder of the training in a sweep."""
        return out / TRAININGS / self.name


def make_trial(number: int, values: Values, base: Config, space: Space, search: SearchConfig) -> Trial:
    """Return a trial.

    In a grid, the longest training of otherwise equal trials also gives the scores of the shorter ones, if the
    learning rate does not depend on the length and nothing happens at the end alone.

    Raises:
        ConfigError: if the values do not make a configuration.
    """
    config = with_values(base, values, f"trial {number}")
    lengths = [each.values for each in space.parameters if each.field == EPOCHS]
    training = untested(config)
    if lengths and search.method == "grid" and depends_on_length(config) is None:
        training = with_values(training, {EPOCHS: max(lengths[0])})
    return Trial(number, values, config, training)


def untested(config: Config) -> Config:
    """Return the configuration without what is measured on test subjects, of which a trial has none."""
    return config.model_copy(update={"uncertainty": None})


def depends_on_length(config: Config) -> str | None:
    """Return the setting because of which a training of more epochs does not begin with this one, score by score.

    >>> depends_on_length(Config())
    'training.schedule.name: cosine'
    """
    training = config.training
    settings = {
        f"training.schedule.name: {training.schedule.name}": training.schedule.name in BY_LENGTH,
        "stages": bool(config.stages),
        f"training.validate_every: {training.validate_every}": training.validate_every > 1,
        "training.rates": bool(training.rates),
    }
    return next((setting for setting, depends in settings.items() if depends), None)


def describe_lengths(space: Space, search: SearchConfig, config: Config) -> str | None:
    """Say whether every number of epochs of a grid is a training of its own, and why; None if there is no such grid."""
    if search.method != "grid" or EPOCHS not in space.fields:
        return None
    trials = [make_trial(number, values, config, space, search) for number, values in enumerate(space.points(config))]
    read = f"{len(trials)} trials are read from {len({trial.name for trial in trials})} trainings"
    reasons = sorted({reason for trial in trials if (reason := depends_on_length(trial.config))})
    if reasons:
        return f"{read}: every number of epochs is trained anew because of {', '.join(reasons)}."
    return f"{read}: the longest one also gives the scores of fewer epochs."


def inner_splits(split: Split, number: int, seed: int) -> list[Split]:
    """Split the training and validation subjects of a fold for trials; none of its test subjects is in them.

    Args:
        split: the fold.
        number: 1 for the fold's own parts; more divide all of these subjects into as many validation parts.
        seed: of the division.

    Raises:
        ConfigError: if there are fewer subjects than parts.
    """
    if number == 1:
        return [Split(split.train, split.val, ())]
    subjects = sorted((*split.train, *split.val))
    if len(subjects) < number:
        raise ConfigError(
            f"inner_folds: expected at most {len(subjects)}, the training and validation subjects of a fold; "
            f"received {number}"
        )
    random.Random(seed).shuffle(subjects)
    parts = [tuple(sorted(subjects[place::number])) for place in range(number)]
    return [Split(tuple(sorted(set(subjects) - set(part))), part, ()) for part in parts]


def cells_of(trial: Trial, splits: Sequence[Split], out: Path) -> list[Cell]:
    """Return the cells of a trial's training, one per inner fold."""
    several = len(splits) > 1
    return [
        Cell(
            f"trial {trial.number + 1}: {describe(trial.values)}" + (f", inner fold {fold + 1}" if several else ""),
            trial.name,
            trial.training,
            split,
            fold,
            trial.run(out),
        )
        for fold, split in enumerate(splits)
    ]


def describe(values: Mapping[str, object]) -> str:
    """Return values as a user writes them.

    >>> describe({"training.epochs": 5, "training.learning_rate": 0.0012345})
    'training.epochs=5, training.learning_rate=0.001234'
    """
    return ", ".join(
        f"{field}={value:.4g}" if isinstance(value, float) else f"{field}={value}" for field, value in values.items()
    )


def score_of(run: Path, folds: int, watch: str, epochs: int) -> float | None:
    """Return the best score within so many epochs, mean over inner folds; None if a fold has none.

    Raises:
        RunError: if a history is damaged.
    """
    best = []
    for fold in range(folds):
        path = fold_folder(run, fold) / "history.csv"
        history = read_history(path) if path.is_file() else pd.DataFrame({watch: [], "epoch": []})
        best.append(history.loc[history["epoch"] <= epochs, watch].max())
    mean = float(np.mean(best))
    return None if np.isnan(mean) else mean


def epochs_of(run: Path, folds: int) -> int:
    """Return the epochs that every inner fold has been trained for."""
    paths = [fold_folder(run, fold) / "history.csv" for fold in range(folds)]
    return min(len(read_history(path)) if path.is_file() else 0 for path in paths)


def seconds_of(run: Path, folds: int, epochs: int) -> float:
    """Return the seconds that so many epochs took, training and validation, over all inner folds."""
    paths = [fold_folder(run, fold) / "history.csv" for fold in range(folds)]
    histories = [read_history(path) for path in paths if path.is_file()]
    columns = ["train_seconds", "validation_seconds"]
    return float(sum(each.loc[each["epoch"] <= epochs, columns].to_numpy().sum() for each in histories))
