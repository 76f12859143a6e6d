"""Train one network, score its test subjects, and write everything into one folder."""

import errno
import json
import shutil
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from tfseg import losses
from tfseg.config.config import Config, validate
from tfseg.config.model import imported_functions
from tfseg.core import files, memory
from tfseg.core.claims import locked
from tfseg.core.errors import ConfigError, RunError
from tfseg.datasets.splits import Split
from tfseg.evaluation.networks import evaluate
from tfseg.evaluation.postprocess import choose_clean_up
from tfseg.models.imported import load_network
from tfseg.prediction.choice import make_predictor
from tfseg.prediction.forward import compiled_forward
from tfseg.prepared.prepared import Prepared
from tfseg.runs.folder import FAILURE, STOPPED
from tfseg.runs.trust import CURVES, check_uncertainty, fitted_temperature, measure_network
from tfseg.training.checks import check_training
from tfseg.training.fit import CHECKPOINTS
from tfseg.training.progress import QUIET, Progress, Stopped
from tfseg.training.rates import RATES, train_best_rate
from tfseg.training.strategy import open_strategy

OUT_OF_MEMORY = (MemoryError, tf.errors.ResourceExhaustedError)


class CellFailed(RunError):
    """A network that could not be trained or scored; its folder holds the reason."""


def run_cell_here(
    config: Mapping[str, Any],
    prepared: Path,
    split: Mapping[str, Sequence[str]],
    fold: int,
    seed: int,
    devices: str | None,
    threads: int | None,
    out: Path,
    *,
    arm: str | None = None,
    progress: Progress = QUIET,
) -> None:
    """Train and score one network in this process from plain values; `out` then holds all results.

    Devices and threads belong to the whole process: the first call sets them. A training that was stopped or killed
    resumes. While the function runs, it holds the lock of `out`.

    Args:
        config: what to train and how, as returned by `Config.model_dump`.
        prepared: a prepared folder.
        split: `train`, `val` and `test` subjects.
        fold: number of the fold, for the column `fold`.
        seed: determines initial weights, order of slices and dropout; for the column `seed`.
        devices: such as "GPU:0,GPU:1"; if None, all GPUs, or the CPU if there are none.
        threads: threads of an operation; if None, as many as there are cores.
        out: the cell's folder.
        arm: name of the arm in a comparison; the loss's title if None.
        progress: follows the training. If `progress.stop_after` returns true after an epoch, the training stops, and
            `stopped.json` marks the folder.

    Raises:
        ConfigError: if the configuration or a device cannot be used, or `out` was started under other conditions.
        CellFailed: if the loss diverges, memory runs out, or anything else fails; `failure.json` holds the reason
            and the traceback.
        OSError: if `out` cannot be written to.
        RunError: if another process works in `out`.
    """
    checked = validate(Config, config, "config").model_copy(update={"seed": seed})
    strategy = open_strategy(devices, threads)
    with locked(out):
        for mark in (FAILURE, STOPPED):
            (out / mark).unlink(missing_ok=True)
        name = arm or losses.title(checked.loss)
        try:
            run_cell(checked, Prepared(prepared), as_split(split), fold, name, out, strategy, progress)
        except Stopped as stop:
            files.write_text(out / STOPPED, json.dumps({"epochs": stop.epochs}))
        except ConfigError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno != errno.ENOMEM:
                raise
            reason = reason_of(error)
            failure = {"arm": name, "seed": seed, "fold": fold, "reason": reason, "traceback": traceback.format_exc()}
            files.write_text(out / FAILURE, json.dumps(failure, indent=1))
            raise CellFailed(reason) from error


def run_cell(
    config: Config,
    prepared: Prepared,
    split: Split,
    fold: int,
    arm: str,
    out: Path,
    strategy: tf.distribute.Strategy,
    progress: Progress = QUIET,
) -> pd.DataFrame:
    """Train one network under a strategy, score its test subjects and write both; return the scores.

    `scores.csv` is written last: a folder that has it is finished, and its checkpoints are removed.

    Raises:
        Diverged: if the loss is no longer finite, under every rate.
        Stopped: if `progress` asks for it.
        OSError: if `out` cannot be written to.
    """
    memory.reset_peak()
    check_uncertainty(config, prepared, split)
    seed = network_seed(config.seed, fold)
    chosen = train_best_rate(config, prepared, split, seed, out, strategy, progress)
    trained, training = chosen.trained, chosen.config.training
    best = load_network(trained.path, imported_functions(config.model))
    predictor = make_predictor(compiled_forward(best), config.training, prepared)
    cases = prepared.cases_of(split.test)
    cleaning = None
    if config.scoring.postprocess == "auto":
        cleaning = choose_clean_up(predictor, prepared, prepared.cases_of(split.val))
        for line in cleaning.lines:
            progress.say(f"clean-up: {line}")
    rules = cleaning.rules if cleaning else None
    scores = evaluate(predictor, prepared, cases, config.scoring, out / "predictions", rules)
    temperature = fitted_temperature(config, predictor, prepared, split)
    measured = measure_network(config, best, predictor, temperature, prepared, split, seed, out)
    if measured:
        scores = pd.concat([scores, measured.scores], ignore_index=True)
        files.write_text(out / CURVES, measured.curves.to_csv(index=False))
    for column, value in (("fold", fold), ("seed", config.seed), ("loss", losses.title(config.loss)), ("arm", arm)):
        scores.insert(0, column, value)
    history, last = pd.read_csv(out / "history.csv"), config.resolved_stages()[-1]
    summary = {
        "learning_rate": training.learning_rate,
        "rates": {str(rate): score for rate, score in chosen.scores.items()},
        "best_epoch": trained.best_epoch,
        "epochs": trained.epochs,
        "steps": int(history["steps"].sum()),
        "seconds_per_step": round(float((history["train_seconds"] / history["steps"]).median()), 6),
        **{name: round(float(history[name].sum()), 1) for name in ("train_seconds", "validation_seconds")},
        "peak_memory_bytes": memory.peak_bytes(),
        "checks": check_training(history, trained.best_epoch, config.total_epochs, last.training.select_by),
        **({"clean_up": str(cleaning.rules), "clean_up_tried": list(cleaning.lines)} if cleaning else {}),
        **({"temperature": list(temperature.values)} if temperature else {}),
        **json.loads((out / "controls.json").read_text(encoding="utf-8")),
    }
    files.write_text(out / "fold.json", json.dumps(summary, indent=1))
    files.write_text(out / "scores.csv", scores.to_csv(index=False))
    remove_checkpoints(out)
    return scores


def network_seed(seed: int, fold: int) -> int:
    """Return the seed of one network's initial weights, order and dropout: its own for every seed and fold.

    It is the same for every arm, so that arms are compared from the same starts.
    """
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0] >> 1)


def remove_checkpoints(cell: Path) -> None:
    """Remove what a finished cell needs no more, including what a kill at the very end left."""
    for folder in (CHECKPOINTS, RATES):
        shutil.rmtree(cell / folder, ignore_errors=True)


def reason_of(error: Exception) -> str:
    """Return in one line why a cell failed."""
    line = " ".join((str(error) or type(error).__name__).split())
    return f"out of memory: {line}" if isinstance(error, OUT_OF_MEMORY) or _is_no_memory(error) else line


def as_split(split: Mapping[str, Sequence[str]]) -> Split:
    """Turn plain lists of subjects into a split."""
    return Split(tuple(split["train"]), tuple(split["val"]), tuple(split["test"]))


def _is_no_memory(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOMEM
