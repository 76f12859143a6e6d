"""Predict a prepared case slice by slice, and decide its labels on the scan's grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.clean_up import CleanUp
from tfseg.prediction.forward import Forward
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.windows import WindowPredictor
from tfseg.preparation.label_maps import to_values
from tfseg.preparation.slicing import SliceGrid
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.stored import Neighbouring, Seen, Slices
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

    def blocks(self, image: Seen) -> Iterator[Array]:
        """Yield the probabilities `[slice, h, w, classes]` of one batch after another."""
        for start in range(0, len(image), self.batch_size):
            yield self.forward(np.ascontiguousarray(image[start : start + self.batch_size]))


@dataclass(frozen=True)
class NeighbourPredictor:
    """Predict slices that are seen with their neighbours.

    Args:
        predictor: of slices with the neighbours as further channels.
        count: neighbours on either side.
    """

    predictor: SlicePredictor | WindowPredictor
    count: int

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the probabilities `[slice, h, w, classes]` of consecutive blocks of slices."""
        return self.predictor.blocks(Neighbouring(image, self.count))


def label_volume(predictor: Predictor, case: PreparedCase, targets: Targets, clean: CleanUp | None = None) -> Array:
    """Predict a case, clean up if there are rules, and return label values on its scan's own grid, `[i, j, k]`."""
    classes = class_volume(predictor, case.image, case.grid, targets)
    return to_values(clean.apply(classes, targets.labels) if clean else classes, targets.labels)


# Called with a part of the scan's grid and its channels `[i, j, k, channels]`.
Record = Callable[[tuple[slice, ...], Array], None]


def class_volume(
    predictor: Predictor, image: Slices, grid: SliceGrid, targets: Targets, record: Record | None = None
) -> Array:
    """Predict a prepared image and return class indices uint8 on its scan's own grid, `[i, j, k]`.

    If the scan was resampled, probabilities are interpolated linearly before classes are decided. What was cropped
    off is background. Only one block of probabilities is in memory at a time.

    Args:
        predictor: yields blocks whose first channels are the probabilities.
        image: float32 `[slice, h, w, channels]`.
        grid: between the scan's voxels and the slices.
        targets: what the output channels mean.
        record: is called with every part of the grid that was not cropped off.
    """
    classes = np.zeros(grid.shape, np.uint8)
    for place, block in grid.slabs(predictor.blocks(image)):
        classes[place] = targets.decide(block[..., : targets.channels])
        if record is not None:
            record(place, block)
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
