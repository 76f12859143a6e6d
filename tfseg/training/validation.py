"""Score validation subjects as whole volumes while a network trains."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from tfseg.metrics import overlap
from tfseg.prediction.predictor import Predictor
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.targets import Targets


def score_volumes(
    cases: Sequence[PreparedCase],
    targets: Targets,
    predictor: Predictor,
    block_loss: Callable[[Any, Any], Any],
    check: Callable[[PreparedCase], None] = lambda case: None,
) -> dict[str, float]:
    """Predict and score validation cases, one block in memory at a time.

    Args:
        cases: the cases.
        targets: what the channels mean.
        predictor: yields blocks of probabilities.
        block_loss: loss of a truth and its probabilities.
        check: is called with a case whose loss is not finite, before it is scored.

    Returns:
        `val_dice` and `val_iou` (mean over subjects per label or region, then over those; one that is empty in truth
        and prediction counts nowhere), `val_dice_LABEL`, and `val_loss`, the mean of `block_loss` over all slices.
    """
    scores, slice_losses, slices = [], [], []
    for case in cases:
        classes = np.asarray(case.label)
        decided = np.empty_like(classes)
        summed, begin = 0.0, 0
        for probabilities in predictor.blocks(case.image):
            block = slice(begin, begin + len(probabilities))
            summed += float(block_loss(targets.encode(classes[block]), probabilities)) * len(probabilities)
            decided[block] = targets.decide(probabilities)
            begin = block.stop
        if not np.isfinite(summed):
            check(case)
        slice_losses.append(summed / len(classes))
        slices.append(len(classes))
        truth, prediction = case.grid.unpad(classes), case.grid.unpad(decided)
        counted = truth != IGNORED
        counts = overlap.union_counts(truth[counted], prediction[counted], targets.members)
        names = zip(targets.scored, counts, strict=True)
        scores += [(case.subject, name, overlap.dice(each), overlap.iou(each)) for name, each in names]
    table = pd.DataFrame(scores, columns=["subject", "label", "dice", "iou"])
    means = table.groupby(["label", "subject"])[["dice", "iou"]].mean().groupby("label").mean()
    # No structure anywhere and none predicted: nothing was wrong.
    dice, iou = means.mean().fillna(1.0).tolist()
    by_label = {f"val_dice_{label}": float(means["dice"][label]) for label in targets.scored}
    return {"val_dice": dice, "val_iou": iou, **by_label, "val_loss": float(np.average(slice_losses, weights=slices))}


# Scores the network after a step of an epoch, both from 0.
Score = Callable[[int, int], dict[str, float]]


class Validation(keras.callbacks.Callback):
    """Write scores of the validation subjects into the logs of epochs; comes before the callbacks that read them.

    Args:
        score: gives the scores, by their names in the logs.
        every: epochs between scorings; the last epoch is always scored.
        epochs: how many there will be.
        steps_per_epoch: steps of each.
    """

    def __init__(self, score: Score, every: int, epochs: int, steps_per_epoch: int) -> None:
        super().__init__()
        self._score = score
        self._every = every
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        self._epoch = 0
        self.seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the count of seconds."""
        self._epoch = epoch
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Score the end of an epoch, if it is due."""
        if logs is not None and self.is_scored(epoch):
            logs.update(self._timed_scores(self._steps_per_epoch - 1))

    def is_scored(self, epoch: int) -> bool:
        """Whether the end of an epoch is scored."""
        return (epoch + 1) % self._every == 0 or epoch + 1 == self._epochs

    def _timed_scores(self, step: int) -> dict[str, float]:
        started = time.perf_counter()
        scores = self._score(self._epoch, step)
        self.seconds += time.perf_counter() - started
        return scores


class ValidationWithin(Validation):
    """Score within epochs too, for which every step waits.

    Args:
        every_steps: score whenever the training has made as many steps.
        scored: receives the epoch and step, from 0, and the scores of each scoring within an epoch.
    """

    def __init__(
        self,
        score: Score,
        every: int,
        epochs: int,
        steps_per_epoch: int,
        every_steps: int,
        scored: Callable[[int, int, dict[str, float]], None],
    ) -> None:
        super().__init__(score, every, epochs, steps_per_epoch)
        self._every_steps = every_steps
        self._scored = scored

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Score within an epoch, if it is due and the epoch's end does not do so."""
        steps = self._epoch * self._steps_per_epoch + batch + 1
        last = batch + 1 == self._steps_per_epoch and self.is_scored(self._epoch)
        if steps % self._every_steps == 0 and not last:
            self._scored(self._epoch, batch, self._timed_scores(batch))
