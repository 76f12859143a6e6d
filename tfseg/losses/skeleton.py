"""Centrelines: an overlap of skeletons."""

from typing import Any

from keras import ops

from tfseg.losses.checks import check_count
from tfseg.losses.region import RegionOptions, sums
from tfseg.losses.registry import Tensor, registered


def neighbour_extreme(values: Tensor, axis: int, extreme: Any) -> Tensor:
    """`extreme` (maximum or minimum) of each voxel and its two neighbours along an axis, as far as the image goes."""

    def part(start: int | None, stop: int | None) -> Tensor:
        return values[(slice(None),) * axis + (slice(start, stop),)]

    if values.shape[axis] == 1:
        return values
    pairs = extreme(part(None, -1), part(1, None))  # one fewer than voxels
    first, last = pairs[(slice(None),) * axis + (slice(None, 1),)], pairs[(slice(None),) * axis + (slice(-1, None),)]
    return extreme(ops.concatenate([first, pairs], axis=axis), ops.concatenate([pairs, last], axis=axis))


def erode(values: Tensor) -> Tensor:
    """The smallest of each voxel of `values` [batch, *spatial, classes] and its neighbours by a face."""
    least = values
    for axis in range(1, len(values.shape) - 1):
        least = ops.minimum(least, neighbour_extreme(values, axis, ops.minimum))
    return least


def dilate(values: Tensor) -> Tensor:
    """The largest of each voxel of `values` [batch, *spatial, classes] and all its neighbours."""
    for axis in range(1, len(values.shape) - 1):
        values = neighbour_extreme(values, axis, ops.maximum)
    return values


def soft_skeleton(values: Tensor, iterations: int) -> Tensor:
    """What erosions, 0 to `iterations` of them, leave that an opening then removes: the skeleton of a soft mask.

    Source: Shit et al. 2021, "clDice", arXiv:2003.07311, algorithm 1.
    """
    skeleton = ops.zeros_like(values)
    for _ in range(iterations + 1):
        eroded = erode(values)
        thin = ops.relu(values - dilate(eroded))
        skeleton = skeleton + ops.relu(thin - skeleton * thin)
        values = eroded
    return skeleton


@registered
class ClDice(RegionOptions):
    """Centreline Dice loss: how much of each soft skeleton lies inside the other mask.

    `1 - 2 P S / (P + S)`, `P = (Σ k(p) y + s) / (Σ k(p) + s)`, `S = (Σ k(y) p + s) / (Σ k(y) + s)`, k the soft
    skeleton.

    Args:
        iterations: erosions of the skeleton, at least 1, and no fewer than the largest radius of the structure in
            voxels.
        **region: as `RegionOptions`.

    Raises:
        ValueError: `iterations` is no whole number of at least 1.

    Source: Shit et al. 2021, "clDice: a novel topology-preserving loss function for tubular structure
        segmentation", arXiv:2003.07311.
    """

    def __init__(self, iterations: int = 3, **region: Any) -> None:
        super().__init__(**region)
        self.iterations = check_count("iterations", iterations)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        predicted, true = (soft_skeleton(values, self.iterations) for values in (prediction, truth))
        inside, length, found, whole = sums((predicted * truth, predicted, true * prediction, true), self.overlap_over)
        precision = (inside + self.smoothing) / (length + self.smoothing)
        sensitivity = (found + self.smoothing) / (whole + self.smoothing)
        return self.region_mean(1 - 2 * precision * sensitivity / (precision + sensitivity), prediction)
