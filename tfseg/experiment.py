"""Cross-validation of one loss: a network trained and scored in each fold, and what they say together."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import keras
import pandas as pd
import tensorflow as tf

from tfseg import files, metrics
from tfseg.config import Config, ConfigError
from tfseg.data.prepared import Prepared
from tfseg.data.splits import Split
from tfseg.evaluation import diagonals_mm, evaluate, read_scores
from tfseg.training.fit import QUIET, Progress, train
from tfseg.training.strategy import compiled_forward

LIBRARIES = ("tfseg", "tensorflow", "keras", "numpy", "scipy", "nibabel", "opencv-python-headless", "edt")


class Listener(Protocol):
    """Is told how a run goes on."""

    def begin(self, name: str, steps: int, epochs: int) -> Progress:
        """The training of a network begins, of so many epochs of so many steps; what is returned listens to it."""

    def skipped(self, name: str) -> None:
        """A network was finished before."""


def run_cell(
    config: Config,
    prepared: Prepared,
    split: Split,
    fold: int,
    seed: int,
    out: Path,
    strategy: tf.distribute.Strategy,
    progress: Progress = QUIET,
) -> pd.DataFrame:
    """Train one network, score its test subjects and write it all into one folder; return the scores.

    `scores.csv` is written last: a folder that has it is finished.
    """
    trained = train(config, prepared, split, seed, out, strategy, progress)
    best = keras.saving.load_model(trained.path, compile=False)
    cases = prepared.cases_of(split.test)
    scores = evaluate(
        compiled_forward(best),
        prepared,
        cases,
        config.scoring.tolerance_mm,
        config.training.batch_size,
        out / "predictions",
    )
    for column, value in (("fold", fold), ("seed", seed), ("loss", loss_title(config))):
        scores.insert(0, column, value)
    history = pd.read_csv(out / "history.csv")
    seconds = {name: round(float(history[name].sum()), 1) for name in ("train_seconds", "validation_seconds")}
    summary = {"best_epoch": trained.best_epoch, "epochs": trained.epochs, **seconds}
    files.write_text(out / "fold.json", json.dumps(summary, indent=1))
    files.write_text(out / "scores.csv", scores.to_csv(index=False))
    return scores


def loss_title(config: Config) -> str:
    """Return the configured loss as it is written on a command line, `tversky:alpha=0.3`; a sum with its weights."""
    if "sum" in config.loss:
        return " + ".join(_weighted_title(part) for part in config.loss["sum"])
    return _title(config.loss)


def _title(loss: Mapping[str, object]) -> str:
    described = ",".join(f"{key}={value}" for key, value in loss.items() if key != "name")
    return f"{loss['name']}:{described}" if described else str(loss["name"])


def _weighted_title(part: str | Mapping[str, object]) -> str:
    if isinstance(part, str):
        return part
    weight = part.get("weight", 1)
    if isinstance(weight, Mapping):
        weight = f"({weight['from']}→{weight['to']})"
    return f"{weight}·{_title({key: value for key, value in part.items() if key != 'weight'})}"


def run_folds(
    config: Config,
    prepared: Prepared,
    folds: Sequence[Split],
    out: Path,
    strategy: tf.distribute.Strategy,
    listener: Listener,
) -> pd.DataFrame:
    """Cross-validate: every fold in its own folder, then `scores.csv` and `summary.csv` for all; return the summary.

    Folds that are finished are not trained again.
    """
    for fold, split in enumerate(folds):
        name = f"fold {fold + 1}/{len(folds)}"
        if is_finished(out / f"fold_{fold}"):
            listener.skipped(name)
            continue
        progress = listener.begin(name, steps_of(config, prepared, split), config.training.epochs)
        run_cell(config, prepared, split, fold, config.seed, out / f"fold_{fold}", strategy, progress)
    return collect(out, prepared, folds)


def is_finished(cell: Path) -> bool:
    """Whether the folder of a cell holds all that `run_cell` writes."""
    return (cell / "scores.csv").is_file()


def steps_of(config: Config, prepared: Prepared, split: Split) -> int:
    """Return the steps of one epoch of a fold's training."""
    return math.ceil(prepared.slices_of(split.train) / config.training.batch_size)


def collect(out: Path, prepared: Prepared, folds: Sequence[Split]) -> pd.DataFrame:
    """Write `scores.csv` and `summary.csv` of a run whose folds are finished; return the summary."""
    scores = pd.concat([read_scores(out / f"fold_{fold}" / "scores.csv") for fold in range(len(folds))])
    tested = [subject for split in folds for subject in split.test]
    summary = metrics.summarise(scores, diagonals_mm(prepared.cases_of(tested)))
    files.write_text(out / "scores.csv", scores.to_csv(index=False))
    files.write_text(out / "summary.csv", summary.to_csv(index=False))
    return summary


def claim(out: Path, made_by: Mapping[str, str]) -> None:
    """Take a folder for a run: write the files that say what makes it, or check that they say the same.

    Args:
        out: the run folder.
        made_by: names of files and their text, as `config.yaml`, `splits.json`.

    Raises:
        ConfigError: where `out` holds something else.
    """
    for name, text in made_by.items():
        path = out / name
        if path.is_file():
            if path.read_text(encoding="utf-8") != text:
                raise ConfigError(f"{out} holds a run with another {name}; choose another folder with --out")
        elif name == "config.yaml" and out.is_dir() and any(out.iterdir()):
            raise ConfigError(f"{out} holds files that are not a run's; choose another folder with --out")
        else:
            files.write_text(path, text)


def describe_environment(prepared: Prepared, devices: Sequence[str], **more: object) -> str:
    """Return the text of `environment.json`: versions, processor, devices, threads and hashes of the inputs."""
    described = {
        "dataset": prepared.name,
        "prepared": str(prepared.folder.resolve()),
        "prepared_sha256": prepared.digest,
        "devices": list(devices),
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "versions": {library: version(library) for library in LIBRARIES},
        **more,
    }
    return json.dumps(described, indent=1)
