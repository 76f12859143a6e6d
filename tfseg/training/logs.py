"""Write curves for TensorBoard, and images of the same validation slices every few epochs."""

import io
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import keras
import numpy as np
from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from tfseg.core import geometry
from tfseg.core.colors import LABEL_COLORS, rgb
from tfseg.datasets.grids import Array
from tfseg.prediction.predictor import Predictor
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.targets import Targets

DRAWN_CASES = 4
COLOURS = np.array([rgb(color) for color in LABEL_COLORS], np.float32)  # of labels 1, 2, …
OPACITY = 0.5


class EventFile:
    """A file of numbers and images that TensorBoard reads; it is open only while a record is written.

    Args:
        folder: the folder that `tensorboard --logdir` reads; a new file is made in it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{time.perf_counter_ns()}"
        self._path = folder / name
        self._append(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(
        self, step: int, scalars: Mapping[str, float], images: Mapping[str, Array] = MappingProxyType({})
    ) -> None:
        """Write numbers and images uint8 `[h, w, 3]` of a step, by their names."""
        values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        values += [summary_pb2.Summary.Value(tag=name, image=_encoded(image)) for name, image in images.items()]
        self._append(event_pb2.Event(wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=values)))

    def _append(self, event: event_pb2.Event) -> None:
        with self._path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())


class Logs(keras.callbacks.Callback):
    """Write every number of an epoch's logs for TensorBoard, and images: scan, truth and prediction side by side.

    Args:
        folder: the folder that `tensorboard --logdir` reads.
        cases: validation cases; of each of the first few, the slice with the most foreground is drawn.
        targets: what the network's channels mean.
        predictor: the network.
        depth: slices that a network sees at a time; as many around a drawn slice are predicted.
        every: epochs between images; no images if None.
        epochs_before: epochs of earlier stages.
    """

    def __init__(
        self,
        folder: Path,
        cases: Sequence[PreparedCase],
        targets: Targets,
        predictor: Predictor,
        depth: int,
        every: int | None,
        epochs_before: int = 0,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._slices = [fullest_slice(case, depth) for case in cases[:DRAWN_CASES]] if every else []
        self._targets = targets
        self._predictor = predictor
        self._every = every
        self._before = epochs_before

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Create the event file."""
        self._events = EventFile(self._folder)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch."""
        drawn = self._slices if self._every and epoch % self._every == 0 else []
        images = {
            f"validation/{index}": side_by_side(image[middle], truth, self._decided(image)[middle])
            for index, (image, middle, truth) in enumerate(drawn)
        }
        self._events.write(self._before + epoch + 1, logs or {}, images)

    def _decided(self, image: Array) -> Array:
        return self._targets.decide(np.concatenate(list(self._predictor.blocks(image))))

    def write_within(self, step: int, scores: Mapping[str, float]) -> None:
        """Write scores from within an epoch as `steps/NAME`; `step` counts the steps of the whole training."""
        self._events.write(step, {f"steps/{name}": value for name, value in scores.items()})


def fullest_slice(case: PreparedCase, depth: int = 1) -> tuple[Array, int, Array]:
    """Choose the slice with the most foreground; ignored voxels count as background.

    Returns:
        The image `[slice, h, w, channels]` of up to `depth` slices around it, its place among them, and its classes.
    """
    label = np.asarray(case.label)
    classes = np.where(label == IGNORED, 0, label)
    index = geometry.fullest_slice(classes != 0)
    first = min(max(index - depth // 2, 0), max(len(label) - depth, 0))
    return np.array(case.image[first : first + depth]), index - first, classes[index]


def side_by_side(image: Array, truth: Array, prediction: Array) -> Array:
    """Return uint8 `[h, 3 w, 3]`: the first channel in grey, then with the truth, then with the prediction over it.

    Args:
        image: `[h, w, channels]`.
        truth: classes `[h, w]`, 0 for background.
        prediction: as `truth`.
    """
    plane = image[..., 0].astype(np.float32)
    low, high = plane.min(), plane.max()
    grey = np.repeat(((plane - low) / max(high - low, 1e-6) * 255)[..., np.newaxis], 3, axis=-1)
    return np.concatenate([grey, _overlay(grey, truth), _overlay(grey, prediction)], axis=1).round().astype(np.uint8)


def _overlay(grey: Array, classes: Array) -> Array:
    colours = COLOURS[(classes.astype(int) - 1) % len(COLOURS)]
    return np.where(classes[..., np.newaxis] == 0, grey, (1 - OPACITY) * grey + OPACITY * colours)


def _encoded(image: Array) -> summary_pb2.Summary.Image:
    png = io.BytesIO()
    Image.fromarray(image).save(png, "png")
    height, width, _ = image.shape
    return summary_pb2.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png.getvalue())
