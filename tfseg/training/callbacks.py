"""What happens around the epochs of a training."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from tfseg import files, losses
from tfseg.data.prepared import PreparedCase
from tfseg.metrics import overlap
from tfseg.prediction import Forward, classes_of, predict_cases


class EpochSeeds(keras.callbacks.Callback):
    """Makes every dropout mask a function of (seed, epoch, layer, step), so that an epoch can be run again alone."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the state of each dropout layer."""
        for index, layer in enumerate(self.model.layers):
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
                state = np.random.SeedSequence([self._seed, epoch, index]).generate_state(2)
                layer.seed_generator.state.assign(state.astype(layer.seed_generator.state.dtype))


class LossRamps(keras.callbacks.Callback):
    """Gives the ramped weights of a sum of losses their values, epoch by epoch."""

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__()
        self._loss = loss

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the weights."""
        if isinstance(self._loss, losses.WeightedSum):
            self._loss.set_epoch(epoch)


class FiniteLoss(keras.callbacks.Callback):
    """Stops a training whose loss is no longer a finite number, since nothing can be learned from there."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Raise where the epoch's loss is NaN or infinite."""
        loss = (logs or {}).get("loss", math.nan)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} in epoch {epoch + 1}; a lower learning rate may help")


class VolumeValidation(keras.callbacks.Callback):
    """Scores validation subjects as whole volumes after each epoch.

    Writes `val_dice` and `val_iou` (mean over subjects per label, then over labels; a label empty in truth and
    prediction counts nowhere), `val_dice_LABEL`, and `val_loss`, the mean loss of the slices, into the epoch's logs.
    It must stand before the callbacks that read them.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        labels: Sequence[str],
        forward: Forward,
        slice_loss: Callable[[Any, Any], Any],
        batch_size: int,
    ) -> None:
        super().__init__()
        self._cases = cases
        self._labels = list(labels)
        self._forward = forward
        self._slice_loss = slice_loss
        self._batch_size = batch_size
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Predict, score and write into `logs`."""
        started = time.perf_counter()
        scores, slice_losses = [], []
        for case, probabilities in predict_cases(self._forward, self._cases, self._batch_size):
            slice_losses.append(self._loss_of(case, probabilities))
            truth, found = case.grid.unpad(case.label), case.grid.unpad(classes_of(probabilities))
            counts = overlap.confusion_counts(truth, found, len(self._labels), truth.size)
            scores += [
                (case.subject, label, overlap.dice(c), overlap.iou(c))
                for label, c in zip(self._labels, counts, strict=True)
            ]
        table = pd.DataFrame(scores, columns=["subject", "label", "dice", "iou"])
        means = table.groupby(["label", "subject"])[["dice", "iou"]].mean().groupby("label").mean()
        logs = {} if logs is None else logs
        # No structure anywhere and none predicted: nothing was wrong.
        logs["val_dice"], logs["val_iou"] = means.mean().fillna(1.0).tolist()
        by_label = means["dice"].to_dict()
        logs.update({f"val_dice_{label}": by_label[label] for label in self._labels})
        logs["val_loss"] = float(
            np.average([loss for loss, _ in slice_losses], weights=[slices for _, slices in slice_losses])
        )
        self.seconds = time.perf_counter() - started

    def _loss_of(self, case: PreparedCase, probabilities: np.ndarray) -> tuple[float, int]:
        """Mean loss over batches as large as those of training, so that batch-wise losses mean the same."""
        label = case.label[..., np.newaxis]
        starts = range(0, len(label), self._batch_size)
        batches = [slice(start, start + self._batch_size) for start in starts]
        sums = [float(self._slice_loss(label[b], probabilities[b])) * len(label[b]) for b in batches]
        return sum(sums) / len(label), len(label)


class BestWeights(keras.callbacks.Callback):
    """Keeps the network of the best epoch in a file: standard layers alone, uncompiled, so it opens without tfseg."""

    def __init__(self, path: Path, monitor: str) -> None:
        super().__init__()
        self._path = path
        self._monitor = monitor
        self._sign = -1 if monitor == "val_loss" else 1
        self.best = -math.inf
        self.best_epoch = -1

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the network where it is better than before."""
        value = self._sign * (logs or {})[self._monitor]
        if value > self.best:
            self.best, self.best_epoch = value, epoch
            # A new model around the same layers: what was compiled is not saved.
            uncompiled = keras.Model(self.model.input, self.model.output, name=self.model.name)
            with files.replacing(self._path) as temporary:
                uncompiled.save(temporary)


class History(keras.callbacks.Callback):
    """Writes one row per epoch to `history.csv`: losses, validation scores, learning rate, seconds."""

    def __init__(self, path: Path, validation: VolumeValidation) -> None:
        super().__init__()
        self._path = path
        self._validation = validation
        self._started = 0.0
        self.rows: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the row."""
        seconds = time.perf_counter() - self._started
        self.rows.append(
            {
                "epoch": epoch + 1,
                **(logs or {}),
                "learning_rate": float(self.model.optimizer.learning_rate),
                "train_seconds": round(seconds - self._validation.seconds, 3),
                "validation_seconds": round(self._validation.seconds, 3),
            }
        )
        files.write_text(self._path, pd.DataFrame(self.rows).to_csv(index=False))


class Steps(keras.callbacks.Callback):
    """Tells a listener about every step and every epoch."""

    def __init__(self, on_step: Callable[[], None], on_epoch: Callable[[int, dict[str, float]], None]) -> None:
        super().__init__()
        self._on_step = on_step
        self._on_epoch = on_epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Tell of a step."""
        self._on_step()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Tell of an epoch, with what it measured."""
        self._on_epoch(epoch, dict(logs or {}))
