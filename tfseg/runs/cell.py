"""Cross-validation of one loss: a network trained and scored in each fold, and what they say together."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import keras
import pandas as pd
import tensorflow as tf

from tfseg import losses, metrics
from tfseg.config.config import Config, parse_config
from tfseg.core import files, memory
from tfseg.core.errors import ConfigError, RunError
from tfseg.datasets.splits import Split
from tfseg.evaluation.networks import diagonals_mm, evaluate
from tfseg.prediction.forward import compiled_forward
from tfseg.prepared.prepared import Prepared
from tfseg.runs.folder import FAILURES, is_finished, read_scores
from tfseg.training.fit import CHECKPOINTS, QUIET, Progress, train


class Listener(Protocol):
    """Is told how a run goes on."""

    def begin(self, name: str, steps: Sequence[int]) -> Progress:
        """The training of a network begins, whose epochs have so many steps; what is returned listens to it."""

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

    `scores.csv` is written last: a folder that has it is finished, and its checkpoints are removed.

    Raises:
        Diverged: where the loss is no longer a finite number; `best.keras` is what was best until then.
        OSError: where `out` cannot be written to.
    """
    memory.reset_peak()
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
    for column, value in (("fold", fold), ("seed", seed), ("loss", losses.title(config.loss))):
        scores.insert(0, column, value)
    history = pd.read_csv(out / "history.csv")
    summary = {
        "best_epoch": trained.best_epoch,
        "epochs": trained.epochs,
        "steps": int(history["steps"].sum()),
        "seconds_per_step": round(float((history["train_seconds"] / history["steps"]).median()), 6),
        **{name: round(float(history[name].sum()), 1) for name in ("train_seconds", "validation_seconds")},
        "peak_memory_bytes": memory.peak_bytes(),
        **json.loads((out / "controls.json").read_text(encoding="utf-8")),
    }
    files.write_text(out / "fold.json", json.dumps(summary, indent=1))
    files.write_text(out / "scores.csv", scores.to_csv(index=False))
    remove_checkpoints(out)
    return scores


def run_folds(
    config: Config,
    prepared: Prepared,
    folds: Sequence[Split],
    out: Path,
    strategy: tf.distribute.Strategy,
    listener: Listener,
) -> pd.DataFrame:
    """Cross-validate: every fold in its own folder, then `scores.csv` and `summary.csv` for all; return the summary.

    Folds that are finished are not trained again. One whose loss becomes NaN does not keep the others from their
    work: `failures.csv` says which and why, and scores and summary are those of the others.

    Raises:
        RunError: if every fold failed.
        OSError: where `out` cannot be written to.
    """
    failures = {}
    for fold, split in enumerate(folds):
        name = f"fold {fold + 1}/{len(folds)}"
        if is_finished(out / f"fold_{fold}"):
            remove_checkpoints(out / f"fold_{fold}")
            listener.skipped(name)
            continue
        progress = listener.begin(name, epoch_steps(config, prepared, split))
        try:
            run_cell(config, prepared, split, fold, config.seed, out / f"fold_{fold}", strategy, progress)
        except FloatingPointError as error:
            failures[fold] = str(error)
            progress.say(f"{name} failed: {error}")
    if len(failures) == len(folds):
        raise RunError(f"every fold failed; the first: {failures[0]}")
    if failures:
        table = pd.DataFrame(failures.items(), columns=["fold", "reason"])
        files.write_text(out / FAILURES, table.to_csv(index=False))
    summary = collect(out, prepared, folds)
    if not failures:
        (out / FAILURES).unlink(missing_ok=True)
    return summary


def remove_checkpoints(cell: Path) -> None:
    """Remove what a finished cell needs no more, or what one that was killed at its very end left."""
    shutil.rmtree(cell / CHECKPOINTS, ignore_errors=True)


def epoch_steps(config: Config, prepared: Prepared, split: Split) -> list[int]:
    """Return the steps of every epoch of a fold's training, through all its stages."""
    slices = prepared.slices_of(split.train)
    stages = [stage.training for stage in config.resolved_stages()]
    return [each.steps_per_epoch or -(-slices // each.batch_size) for each in stages for _ in range(each.epochs)]


def collect(out: Path, prepared: Prepared, folds: Sequence[Split]) -> pd.DataFrame:
    """Write `scores.csv` and `summary.csv` of a run, from its finished folds; return the summary."""
    finished = {fold: split for fold, split in enumerate(folds) if is_finished(out / f"fold_{fold}")}
    scores = pd.concat([read_scores(out / f"fold_{fold}" / "scores.csv") for fold in finished])
    tested = [subject for split in finished.values() for subject in split.test]
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
            if _means(path.read_text(encoding="utf-8"), path) != _means(text, path):
                raise ConfigError(f"{out} holds a run with another {name}; choose another folder with --out")
        elif name == "config.yaml" and out.is_dir() and any(not files.is_unfinished(path) for path in out.iterdir()):
            raise ConfigError(f"{out} holds files that are not a run's; choose another folder with --out")
        else:
            files.write_text(path, text)


def _means(text: str, path: Path) -> object:
    """What a file of a run folder must not say otherwise."""
    return parse_config(text, str(path)).decisive() if path.name == "config.yaml" else text
