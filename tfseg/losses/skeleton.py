"""Skeletons, the centreline Dice loss and skeleton recall."""

import functools
from typing import Any

from keras import ops

from tfseg.losses.checks import check_count
from tfseg.losses.overlap import RegionOptions, sums
from tfseg.losses.registry import Tensor, registered


def largest_along(values: Tensor, axis: int) -> Tensor:
    """The maximum of each voxel of `values` [batch, *spatial, classes] and its two neighbours along an axis.

    Pooling along the second of four axes, with all others as channels, is fastest.
    """
    moved = ops.moveaxis(values, axis, 1)
    shape = ops.shape(moved)
    pooled = ops.max_pool(ops.reshape(moved, (shape[0], shape[1], 1, -1)), (3, 1), strides=1, padding="same")
    return ops.moveaxis(ops.reshape(pooled, shape), 1, axis)


def erode(values: Tensor) -> Tensor:
    """The minimum of each voxel of `values` [batch, *spatial, classes] and its face neighbours."""
    minus = -values
    return -functools.reduce(ops.maximum, (largest_along(minus, axis) for axis in range(1, len(values.shape) - 1)))


def dilate(values: Tensor) -> Tensor:
    """The maximum of each voxel of `values` [batch, *spatial, classes] and all its neighbours."""
    return functools.reduce(largest_along, range(1, len(values.shape) - 1), values)


def soft_skeleton(values: Tensor, iterations: int) -> Tensor:
    """The skeleton of a soft mask: the voxels that an opening removes after 0 to `iterations` erosions.

    Source: Shit et al. 2021, "clDice", arXiv:2003.07311, algorithm 1.
    """
    rest = 1.0
    for _ in range(iterations + 1):
        eroded = erode(values)
        rest = rest * (1 - ops.relu(values - dilate(eroded)))
        values = eroded
    return 1 - rest


def skeleton(mask: Tensor) -> Tensor:
    """The morphological skeleton of masks of 0 and 1 `[batch, *spatial, classes]`; a full image is its own skeleton."""

    def thin(values: Tensor, rest: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eroded = ops.reshape(erode(values), shape)
        rest = ops.maximum(rest, ops.reshape(values - dilate(eroded), shape))
        return eroded, rest, ops.any(eroded != values)

    shape = ops.shape(mask)
    values, rest, _ = ops.while_loop(
        lambda values, rest, changed: changed, thin, (mask, ops.zeros_like(mask), ops.any(mask > 0))
    )
    return ops.maximum(rest, values)


def widened(skeleton: Tensor, mask: Tensor, radius: int) -> Tensor:
    """Dilate a skeleton `radius` times by its face neighbours, within the mask."""
    for _ in range(radius):
        skeleton = -erode(-skeleton)
    return skeleton * mask


@registered
class ClDice(RegionOptions):
    """Centreline Dice loss: the share of each soft skeleton that is inside the other mask.

    `1 - 2 P S / (P + S)`, `P = (Σ k(p) y + s) / (Σ k(p) + s)`, `S = (Σ k(y) p + s) / (Σ k(y) + s)`, k the soft
    skeleton.

    Args:
        iterations: erosions of the skeleton, at least 1, and no fewer than the largest radius of the structure in
            voxels.
        **region: as `RegionOptions`.

    Raises:
        ValueError: `iterations` is not a whole number of at least 1.

    Source: Shit et al. 2021, "clDice: a novel topology-preserving loss function for tubular structure
        segmentation", arXiv:2003.07311.
    """

    def __init__(self, iterations: int = 3, **region: Any) -> None:
        super().__init__(**region)
        self.iterations = check_count("iterations", iterations)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        predicted, true = (soft_skeleton(values, self.iterations) for values in (prediction, truth))
        fields = (predicted * truth, predicted, true * prediction, true)
        predicted_inside, predicted_length, true_inside, true_length = sums(fields, self.overlap_over)
        precision = (predicted_inside + self.smoothing) / (predicted_length + self.smoothing)
        sensitivity = (true_inside + self.smoothing) / (true_length + self.smoothing)
        return self.region_mean(1 - 2 * precision * sensitivity / (precision + sensitivity), prediction)


@registered
class SkeletonRecall(RegionOptions):
    """Skeleton recall: the share of the widened skeleton of the truth that is not predicted.

    `1 - (Σ t p + s) / (Σ t + s)`, t the skeleton of y > ½, dilated inside it.

    Args:
        radius: dilations of the skeleton by face neighbours, in voxels, at least 1.
        **region: as `RegionOptions`.

    Raises:
        ValueError: `radius` is not a whole number of at least 1.

    Source: Kirchhoff et al. 2024, "Skeleton recall loss for connectivity conserving and resource efficient segmentation
        of thin tubular structures", arXiv:2404.03010.
    """

    def __init__(self, radius: int = 2, **region: Any) -> None:
        super().__init__(**region)
        self.radius = check_count("radius", radius)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        structure = ops.cast(ops.stop_gradient(truth) > 0.5, truth.dtype)
        tube = widened(skeleton(structure), structure, self.radius)
        inside, length = sums((tube * prediction, tube), self.overlap_over)
        return self.region_mean(1 - (inside + self.smoothing) / (length + self.smoothing), prediction)
