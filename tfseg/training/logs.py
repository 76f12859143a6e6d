"""TensorBoard: curves, and a picture of the same validation slices every few epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfseg.datasets.grids import Array
from tfseg.prediction.forward import Forward
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.targets import Targets
from tfseg.training.writing import tensorflow_writes

PICTURED = 4
# Of labels 1, 2, …, and again from the first: blue, orange, green, red, violet, brown.
COLOURS = np.array(
    [[31, 119, 180], [255, 127, 14], [44, 160, 44], [214, 39, 40], [148, 103, 189], [140, 86, 75]], np.float32
)
OPACITY = 0.5


class Logs(keras.callbacks.Callback):
    """Writes every number of an epoch's logs, and pictures: image, truth and prediction side by side.

    Args:
        folder: the folder that `tensorboard --logdir` reads.
        cases: validation cases, of which the slice with the most foreground of each of the first few is pictured.
        targets: what the network's channels mean.
        forward: the network.
        every: epochs between pictures; None: no pictures.
        epochs_before: epochs of earlier stages.
    """

    def __init__(
        self,
        folder: Path,
        cases: Sequence[PreparedCase],
        targets: Targets,
        forward: Forward,
        every: int | None,
        epochs_before: int = 0,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._slices = [fullest_slice(case) for case in cases[:PICTURED]] if every else []
        self._targets = targets
        self._forward = forward
        self._every = every
        self._before = epochs_before

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Open the file."""
        with tensorflow_writes():
            self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch."""
        number = self._before + epoch + 1
        with tensorflow_writes(), self._writer.as_default(step=number):
            for name, value in (logs or {}).items():
                _write(name, "scalars", tf.constant(value, tf.float32))
            if self._every and epoch % self._every == 0:
                for index, (image, truth) in enumerate(self._slices):
                    found = self._targets.decide(self._forward(image[np.newaxis]))[0]
                    _write(f"validation/{index}", "images", _encoded(side_by_side(image, truth, found)))
            self._writer.flush()

    def write_within(self, step: int, scores: Mapping[str, float]) -> None:
        """Write scores that were made within an epoch, after so many steps of the whole training, as `steps/NAME`."""
        with tensorflow_writes(), self._writer.as_default(step=step):
            for name, value in scores.items():
                _write(f"steps/{name}", "scalars", tf.constant(value, tf.float32))

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the file."""
        with tensorflow_writes():
            self._writer.close()


def fullest_slice(case: PreparedCase) -> tuple[Array, Array]:
    """Return the image and the classes of the slice with the most foreground; what is ignored counts as background."""
    label = np.asarray(case.label)
    classes = np.where(label == IGNORED, 0, label)
    index = int(np.argmax((classes != 0).sum(axis=(1, 2))))
    return np.asarray(case.image[index]), classes[index]


def side_by_side(image: Array, truth: Array, found: Array) -> Array:
    """Return uint8 `[h, 3 w, 3]`: the first channel of an image in grey, under the truth, under what was found.

    Args:
        image: `[h, w, channels]`.
        truth: classes `[h, w]`, 0 for background.
        found: as `truth`.
    """
    plane = image[..., 0].astype(np.float32)
    low, high = plane.min(), plane.max()
    grey = np.repeat(((plane - low) / max(high - low, 1e-6) * 255)[..., np.newaxis], 3, axis=-1)
    return np.concatenate([grey, _overlay(grey, truth), _overlay(grey, found)], axis=1).round().astype(np.uint8)


def _overlay(grey: Array, classes: Array) -> Array:
    colours = COLOURS[(classes.astype(int) - 1) % len(COLOURS)]
    return np.where(classes[..., np.newaxis] == 0, grey, (1 - OPACITY) * grey + OPACITY * colours)


def _encoded(picture: Array) -> tf.Tensor:
    """Width, height and a PNG, as TensorBoard's pictures are stored."""
    height, width, _ = picture.shape
    return tf.stack([str(width), str(height), tf.io.encode_png(picture)])


def _write(name: str, plugin: str, value: tf.Tensor) -> None:
    """Write a value without tensorboard itself, which is needed to look at it alone."""
    kind = "DATA_CLASS_SCALAR" if plugin == "scalars" else "DATA_CLASS_BLOB_SEQUENCE"
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin),
        data_class=kind,
    )
    tf.summary.write(name, value, metadata=metadata)
