"""Choose the predictor that fits what a network sees."""

import numpy as np

from tfseg.config.config import TrainingConfig
from tfseg.datasets.grids import Array
from tfseg.prediction.forward import Forward
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.slices import NeighbourPredictor, SlicePredictor
from tfseg.prediction.windows import WindowPredictor
from tfseg.prepared.inputs import input_shape
from tfseg.prepared.prepared import Prepared

# Overlap of the windows that cover slices which are larger than a network's input.
SLICE_OVERLAP = 0.5


def make_predictor(forward: Forward, training: TrainingConfig, prepared: Prepared) -> Predictor:
    """Return a predictor of slices for a network of slices, else of windows as large as the network's input."""
    shape = input_shape(training.input, prepared)[:-1]
    seen = training.input
    return predictor_of_shape(forward, shape, seen.overlap, training.batch_size, seen.neighbours)


def predictor_of_shape(
    forward: Forward, shape: tuple[int, ...], overlap: float, batch_size: int, neighbours: int = 0
) -> Predictor:
    """Return a predictor for a network whose input has the shape `(h, w)`, or `(d, h, w)` for windows of a volume.

    Args:
        forward: the network.
        shape: of its input, without batch and channels.
        overlap: least share of a window's side in common with the next.
        batch_size: slices or windows predicted at a time.
        neighbours: slices on either side of a slice that are seen with it.
    """
    if len(shape) == 2:
        return _with_neighbours(SlicePredictor(forward, batch_size), neighbours)
    slices, height, width = shape
    return WindowPredictor(forward, (slices, height, width), overlap, batch_size)


def predictor_of_large_slices(
    forward: Forward, shape: tuple[int, ...], batch_size: int, neighbours: int = 0
) -> Predictor:
    """Return a predictor that covers slices, larger than the `(h, w)` of a network's input, by windows of one slice."""
    height, width = shape

    def of_windows(images: Array) -> Array:
        return forward(images[:, 0])[:, np.newaxis]

    windows = WindowPredictor(of_windows, (1, height, width), SLICE_OVERLAP, batch_size)
    return _with_neighbours(windows, neighbours)


def _with_neighbours(predictor: SlicePredictor | WindowPredictor, count: int) -> Predictor:
    """Return a predictor of slices that are seen with as many neighbours on either side."""
    return NeighbourPredictor(predictor, count) if count else predictor
