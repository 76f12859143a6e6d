"""Losses for calibrated probabilities."""

from typing import Any

from keras import ops

from tfseg.losses.base import SegmentationLoss, voxel_mean
from tfseg.losses.checks import check_count, check_number
from tfseg.losses.distribution import CrossEntropy
from tfseg.losses.filters import filter_along, samples_as_channels
from tfseg.losses.registry import Tensor, registered


def window_sums(values: Tensor, size: int) -> Tensor:
    """Sums of `values` [batch, *spatial, classes] over a window of `size` voxels per axis, 0 beyond the image."""
    sums = samples_as_channels(values)
    for axis in range(1, len(values.shape) - 1):
        sums = filter_along(sums, axis, [1.0] * size, "same")
    return ops.moveaxis(ops.reshape(sums, (*ops.shape(sums)[1:-1], -1, values.shape[-1])), -2, 0)


@registered
class NeighborAwareCalibration(SegmentationLoss):
    """Neighbour-aware calibration: cross-entropy plus a pull towards the class shares of the neighbourhood.

    `CE + α · mean(|p - τ| - |y - τ|)`, τ the share of the class among the counted voxels of the window. The constant
    |y - τ| makes a perfect prediction cost 0. One channel, and each of several regions, is the two classes p and 1 - p.

    Args:
        alpha: α in [0, 1], the weight of the penalty.
        window: odd number of voxels along each axis of the window, at least 3.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: `alpha` is out of its range, or `window` is not an odd number of at least 3.

    Source: Murugesan et al. 2023, "Trust your neighbours: penalty-based constraints for model calibration",
        arXiv:2303.06268.
    """

    def __init__(self, alpha: float = 0.1, window: int = 3, **common: Any) -> None:
        super().__init__(**common)
        self.alpha = check_number("alpha", alpha, low=0, high=1)
        self.window = check_count("window", window, low=3)
        if self.window % 2 == 0:
            raise ValueError(f"window must be an odd number of at least 3; received {window}")
        self._cross_entropy = CrossEntropy(**self.shared)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        counted = ops.ones_like(truth[..., :1]) if mask is None else mask
        share = ops.divide_no_nan(window_sums(truth, self.window), window_sums(counted, self.window))
        penalty = voxel_mean(ops.abs(prediction - share) - ops.abs(truth - share), mask)
        return self._cross_entropy.per_sample(truth, prediction, mask) + self.alpha * self.class_mean(penalty)


@registered
class MarginalACE(SegmentationLoss):
    """Marginal L1 average calibration error: the gap between probability and frequency, in bins of probability.

    `mean_b |Σ_b p - Σ_b y| / n_b` over the bins b that hold voxels, for each class against the rest, then the mean over
    classes. A voxel moves the probability within its bin; the bins themselves have no gradient (hard binning).

    Args:
        bins: of equal width in [0, 1], at least 1.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: `bins` is not a whole number of at least 1.

    Source: Barfoot et al. 2025, "Average calibration losses for reliable uncertainty in medical image segmentation",
        arXiv:2506.03942.
    """

    def __init__(self, bins: int = 20, **common: Any) -> None:
        super().__init__(**common)
        self.bins = check_count("bins", bins, low=1)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        axes = tuple(range(1, len(prediction.shape) - 1))
        place = ops.clip(ops.floor(prediction * self.bins), 0, self.bins - 1)
        gap = prediction - truth
        errors, filled = 0.0, 0.0
        for number in range(self.bins):
            inside = ops.cast(ops.equal(place, number), self.dtype)
            inside = inside if mask is None else inside * mask
            voxels = ops.sum(inside, axis=axes)
            errors += ops.divide_no_nan(ops.abs(ops.sum(gap * inside, axis=axes)), voxels)
            filled += ops.cast(voxels > 0, self.dtype)
        return self.class_mean(ops.divide_no_nan(errors, filled))
