"""Predict a prepared case slice by slice, and decide its labels on the scan's grid."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.clean_up import CleanUp
from tfseg.prediction.forward import Forward
from tfseg.prediction.predictor import Predictor
from tfseg.preparation.label_maps import to_values
from tfseg.preparation.slicing import SliceGrid
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.stored import Slices
from tfseg.prepared.targets import Targets


@dataclass(frozen=True)
class SlicePredictor:
    """Predict slices in batches, each slice by itself.

    Args:
        forward: the network.
        batch_size: slices per batch; each batch is a block, and the last one may be smaller.
    """

    forward: Forward
    batch_size: int

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the probabilities `[slice, h, w, classes]` of one batch after another."""
        for start in range(0, len(image), self.batch_size):
            yield self.forward(np.ascontiguousarray(image[start : start + self.batch_size]))


def label_volume(predictor: Predictor, case: PreparedCase, targets: Targets, clean: CleanUp | None = None) -> Array:
    """Predict a case, clean up if there are rules, and return label values on its scan's own grid, `[i, j, k]`."""
    classes = class_volume(predictor, case.image, case.grid, targets)
    return to_values(clean.apply(classes, targets.labels) if clean else classes, targets.labels)


def class_volume(
    predictor: Predictor, image: Slices, grid: SliceGrid, targets: Targets, probabilities: Array | None = None
) -> Array:
    """Predict a prepared image and return class indices uint8 on its scan's own grid, `[i, j, k]`.

    If the scan was resampled, probabilities are interpolated linearly before classes are decided. What was cropped
    off is background. Only one block of probabilities is in memory at a time.

    Args:
        predictor: yields probabilities in blocks.
        image: float32 `[slice, h, w, channels]`.
        grid: between the scan's voxels and the slices.
        targets: what the output channels mean.
        probabilities: an array `[i, j, k, classes]` to fill with them, float32, or uint8 for a scale of 0 to 255.
    """
    classes = np.zeros(grid.shape, np.uint8)
    if probabilities is not None:
        probabilities[...] = _as_type(targets.background, probabilities)
    for place, block in grid.slabs(predictor.blocks(image)):
        classes[place] = targets.decide(block)
        if probabilities is not None:
            probabilities[place] = _as_type(block, probabilities)
    return classes


def probability_volume(slices: Array, grid: SliceGrid, targets: Targets) -> Array:
    """Put probabilities `[slice, h, w, classes]` on the scan's own grid, float32 `[i, j, k, classes]`.

    If the scan was resampled, they are interpolated linearly. What was cropped off is certain background.
    """
    volume = np.empty((*grid.shape, targets.channels), np.float32)
    volume[...] = targets.background
    for place, part in grid.slabs([slices]):
        volume[place] = part
    return volume


def _as_type(values: Array, like: Array) -> Array:
    return np.rint(values * 255) if like.dtype == np.uint8 else values
