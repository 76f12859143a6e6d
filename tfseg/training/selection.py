"""Keep the network of the best epoch, and stop if no better one follows."""

import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tfseg.core import files
from tfseg.models.imported import Imported, inference_network


class BestWeights(keras.callbacks.Callback):
    """Keep the network of the best epoch in a file, from the image to the full-size output, uncompiled, in float32.

    The networks of tfseg consist of standard layers: the file opens without tfseg.

    Args:
        path: the file, `best.keras`.
        monitor: the score that selects, `val_dice`, `val_iou` or `val_loss`.
        epochs_before: epochs of earlier stages. Their losses, and so their scores, may not be comparable: the first
            epoch of a stage replaces the network that they kept.
    """

    def __init__(self, path: Path, monitor: str, epochs_before: int = 0) -> None:
        super().__init__()
        self._path = path
        self._monitor = monitor
        self._sign = -1 if monitor == "val_loss" else 1
        self._before = epochs_before
        self._best = -math.inf
        self.best_epoch = -1

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the network if it is better than before."""
        self.consider(epoch, logs or {})

    def consider(self, epoch: int, scores: dict[str, float]) -> None:
        """Save the network if the monitored score is among these scores and better than before."""
        value = self._sign * scores.get(self._monitor, math.nan)
        if value > self._best:
            self._best, self.best_epoch = value, self._before + epoch
            # A new model around the same layers, so that the optimiser, the loss and other outputs are not saved.
            network = _in_float32(inference_network(self.model))
            with files.replacing(self._path) as temporary:
                network.save(temporary)

    @property
    def score(self) -> float:
        """The best value of the monitored score; infinite if there was none."""
        return self._sign * self._best

    def waited(self, epochs: int) -> int:
        """Return the epochs since the best one, or since the stage began, after `epochs` of the stage."""
        return self._before + epochs - 1 - max(self.best_epoch, self._before - 1)

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {"best": self._best, "best_epoch": self.best_epoch}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self._best, self.best_epoch = state["best"], state["best_epoch"]


def _in_float32(network: keras.Model) -> keras.Model:
    """Return a network that computes in float32 with the same weights; itself if it does so, or is imported.

    An imported network is rebuilt in float32 when it is loaded.
    """
    if isinstance(network, Imported) or all(layer.compute_dtype == "float32" for layer in network.layers):
        return network
    copy = keras.models.clone_model(
        network, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    )
    copy.set_weights(network.get_weights())
    return copy


def is_whole(path: Path) -> bool:
    """Return whether the file of a network exists and is undamaged, by the checksums of its archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error):
        return False


class EarlyStopping(keras.callbacks.Callback):
    """Stop a training, at an epoch that is scored, if the last `patience` epochs brought no better network.

    `is_scored`: returns whether the end of an epoch of the stage, from 0, is scored.
    """

    def __init__(self, best: BestWeights, patience: int, is_scored: Callable[[int], bool]) -> None:
        super().__init__()
        self._best = best
        self._patience = patience
        self._is_scored = is_scored

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop the training if it is over."""
        if self.is_over(epoch + 1):
            self.model.stop_training = True

    def is_over(self, epochs: int) -> bool:
        """Return whether the stage is over after so many epochs."""
        return self._is_scored(epochs - 1) and self._best.waited(epochs) >= self._patience
