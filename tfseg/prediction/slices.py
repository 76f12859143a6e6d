"""Predict a prepared case slice by slice, and decide its labels on the scan's grid."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.forward import Forward
from tfseg.prediction.predictor import Predictor
from tfseg.preparation.label_maps import to_values
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


def label_volume(predictor: Predictor, case: PreparedCase, targets: Targets) -> Array:
    """Predict a case and return label values on its scan's own grid, `[i, j, k]`.

    If the scan was resampled, probabilities are interpolated linearly before classes are decided. What was cropped
    off is background. Only one block of probabilities is in memory at a time.
    """
    classes = np.zeros(case.grid.shape, np.uint8)
    for place, probabilities in case.grid.slabs(predictor.blocks(case.image)):
        classes[place] = targets.decide(probabilities)
    return to_values(classes, targets.labels)
