"""Choose the learning rate of one network: train it under every rate, and keep the one that validates best."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import tensorflow as tf

from tfseg.config.config import Config
from tfseg.core import files
from tfseg.datasets.splits import Split
from tfseg.models.imported import RECORD
from tfseg.prepared.prepared import Prepared
from tfseg.training.divergence import Diverged
from tfseg.training.fit import Trained, train
from tfseg.training.progress import QUIET, Progress, Stopped

RATES = "rates"


@dataclass(frozen=True)
class Chosen:
    """The network that was kept, its configuration, and the best validation score under every rate.

    A rate under which the training diverged has no score.
    """

    trained: Trained
    config: Config
    scores: dict[float, float | None]


def train_best_rate(
    config: Config,
    prepared: Prepared,
    split: Split,
    seed: int,
    out: Path,
    strategy: tf.distribute.Strategy,
    progress: Progress = QUIET,
) -> Chosen:
    """Train one network under each of `training.rates`, or only once if there are none.

    Every rate gets the same seed, stages and epochs; the one with the best `training.select_by` on the validation
    subjects is kept, the first of equals. Test subjects play no part. Until the choice is made, every rate has a
    folder in `out/rates`, from which a training that was killed resumes.

    Args:
        config, prepared, split, seed, out, strategy, progress: as in `train`; epochs are counted over all rates.

    Raises:
        Diverged: if the training diverged under every rate.
        ConfigError, Stopped, FloatingPointError: as `train`.
    """
    candidates = config.by_rate()
    if len(candidates) == 1:
        return Chosen(train(config, prepared, split, seed, out, strategy, progress), config, {})
    trained: dict[float, Trained] = {}
    scores: dict[float, float | None] = {}
    failure: Diverged | None = None
    for number, candidate in enumerate(candidates):
        rate, before = candidate.training.learning_rate, number * config.total_epochs
        folder = out / RATES / str(rate)
        try:
            trained[rate] = train(candidate, prepared, split, seed, folder, strategy, _later(progress, before))
            scores[rate] = trained[rate].score
        except Diverged as error:
            progress.say(f"learning rate {rate:g}: {error}")
            scores[rate], failure = None, error
        except Stopped as stop:
            raise Stopped(before + stop.epochs) from stop
    if failure and not trained:
        raise failure
    sign = -1 if config.resolved_stages()[-1].training.select_by == "val_loss" else 1
    best = max(trained, key=lambda rate: sign * trained[rate].score)
    _copy(out / RATES / str(best), out)
    kept = next(each for each in candidates if each.training.learning_rate == best)
    return Chosen(replace(trained[best], path=out / trained[best].path.name), kept, scores)


def _copy(source: Path, out: Path) -> None:
    names = ("history.csv", "controls.json", RECORD, "best.keras")
    for name in filter(lambda name: (source / name).is_file(), names):
        with files.replacing(out / name) as temporary:
            shutil.copyfile(source / name, temporary)
    shutil.copytree(source / "logs", out / "logs", dirs_exist_ok=True)


def _later(progress: Progress, before: int) -> Progress:
    """Return the listeners of a training that follows so many epochs."""
    return replace(
        progress,
        on_epoch=lambda epoch, logs: progress.on_epoch(before + epoch, logs),
        on_resume=lambda epochs: progress.on_resume(before + epochs),
        stop_after=lambda epoch, logs: progress.stop_after(before + epoch, logs),
    )
