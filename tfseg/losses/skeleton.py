"""Centrelines: an overlap of skeletons."""

import functools
from typing import Any

from keras import ops

from tfseg.losses.checks import check_count
from tfseg.losses.region import RegionOptions, sums
from tfseg.losses.registry import Tensor, registered


def largest_along(values: Tensor, axis: int) -> Tensor:
    """The largest of each voxel of `values` [batch, *spatial, classes] and its two neighbours along an axis.

    The pooling runs along the second axis of four, with all others behind it as channels, which is fastest.
    """
    moved = ops.moveaxis(values, axis, 1)
    shape = ops.shape(moved)
    pooled = ops.max_pool(ops.reshape(moved, (shape[0], shape[1], 1, -1)), (3, 1), strides=1, padding="same")
    return ops.moveaxis(ops.reshape(pooled, shape), 1, axis)


def erode(values: Tensor) -> Tensor:
    """The smallest of each voxel of `values` [batch, *spatial, classes] and its neighbours by a face."""
    minus = -values
    return -functools.reduce(ops.maximum, (largest_along(minus, axis) for axis in range(1, len(values.shape) - 1)))


def dilate(values: Tensor) -> Tensor:
    """The largest of each voxel of `values` [batch, *spatial, classes] and all its neighbours."""
    return functools.reduce(largest_along, range(1, len(values.shape) - 1), values)


def soft_skeleton(values: Tensor, iterations: int) -> Tensor:
    """What erosions, 0 to `iterations` of them, leave that an opening then removes: the skeleton of a soft mask.

    Source: Shit et al. 2021, "clDice", arXiv:2003.07311, algorithm 1.
    """
    rest = 1.0
    for _ in range(iterations + 1):
        eroded = erode(values)
        rest = rest * (1 - ops.relu(values - dilate(eroded)))
        values = eroded
    return 1 - rest


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
