"""Losses that compare prediction and truth voxel by voxel."""

from typing import Any, ClassVar

from keras import ops

from tfseg.losses.base import SegmentationLoss, voxel_mean
from tfseg.losses.checks import check_number
from tfseg.losses.registry import Tensor, registered
from tfseg.losses.voxelwise import (
    binary_cross_entropy,
    binary_focal,
    categorical_cross_entropy,
    categorical_focal,
    log_cosh,
    mean_binary_cross_entropy,
    present_mean,
    weighted_binary_cross_entropy,
    worst_mean,
)


class VoxelLoss(SegmentationLoss):
    """The mean over voxels, then classes, of a cost per voxel and class; a subclass implements `cost` or `mean_cost`.

    With `sums_softmax` the classes of a softmax are summed, as the cost of a voxel is that of its own class.
    """

    sums_softmax: ClassVar[bool] = False

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        """The cost of each voxel and class, `[batch, *spatial, classes]`, from two tensors of that shape."""
        raise NotImplementedError

    def mean_cost(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        """The mean over the voxels that count, `[batch, classes]`."""
        return voxel_mean(self.cost(truth, prediction), mask)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        mean = self.class_mean(self.mean_cost(truth, prediction, mask))
        return mean * prediction.shape[-1] if self.sums_softmax and self.is_softmax(prediction) else mean


@registered
class BinaryCrossEntropy(VoxelLoss):
    """Binary cross-entropy; on several channels the mean of the one-against-rest values.

    `-mean(y log p + (1-y) log(1-p))`, p clipped to [1e-7, 1 - 1e-7].

    Args:
        **common: as `SegmentationLoss`.

    Source: Ma et al. 2021, "Loss odyssey in medical image segmentation", 10.1016/j.media.2021.102035.
    """

    def mean_cost(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        return mean_binary_cross_entropy(truth, prediction, mask)


@registered
class CrossEntropy(VoxelLoss):
    """Cross-entropy over all classes, the background included.

    Softmax: `-mean_voxels(Σ_c w_c y_c log p_c)`, p at least 1e-7. One channel, and each of several regions, is the
    two classes p and 1 - p: the binary cross-entropy.

    Args:
        **common: as `SegmentationLoss`.

    Source: Ronneberger et al. 2015, "U-Net", arXiv:1505.04597.
    """

    sums_softmax = True

    def mean_cost(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        if self.is_softmax(prediction):
            return voxel_mean(categorical_cross_entropy(truth, prediction), mask)
        return mean_binary_cross_entropy(truth, prediction, mask)


@registered
class Focal(VoxelLoss):
    """Focal loss: cross-entropy in which voxels that are nearly right have little weight.

    One channel, and each of several regions: `-mean(α (1-p)^γ y log p + (1-α) p^γ (1-y) log(1-p))`.
    Softmax: `-mean_voxels(Σ_c a_c (1-p_c)^γ y_c log p_c)`, a_c = α on each foreground class, 1-α on the
        background.

    Args:
        gamma: γ ≥ 0, how strongly easy voxels are down-weighted; 0 is the weighted cross-entropy.
        alpha: α in [0, 1], the weight of the foreground; None: both weights are 1.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: `gamma` or `alpha` is out of its range.

    Source: Lin et al. 2017, "Focal loss for dense object detection", arXiv:1708.02002.
    """

    sums_softmax = True

    def __init__(self, gamma: float = 2.0, alpha: float | None = 0.5, **common: Any) -> None:
        super().__init__(**common)
        self.gamma = check_number("gamma", gamma, low=0)
        self.alpha = None if alpha is None else check_number("alpha", alpha, low=0, high=1)

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        weights = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        focal = categorical_focal if self.is_softmax(prediction) else binary_focal
        return focal(truth, prediction, (self.gamma, self.gamma), weights)


@registered
class LogCosh(VoxelLoss):
    """Log-cosh of the error: squared for small errors, absolute for large ones.

    `mean(log cosh(p - y))`.

    Args:
        **common: as `SegmentationLoss`.

    Source: Kethavath et al. 2025, "Comparative analysis of loss functions for uncertainty quantification in
        medical image segmentation", 10.1088/2057-1976/ae2b73.
    """

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return log_cosh(truth, prediction)


@registered
class WeightedBinaryCrossEntropy(VoxelLoss):
    """Binary cross-entropy with a weight on the foreground; one-against-rest on several channels.

    `-mean(w y log p + (1-y) log(1-p))`.

    Args:
        positive_weight: w ≥ 0, the weight of a foreground voxel relative to a background voxel.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: `positive_weight` is negative.

    Source: Ma et al. 2021, "Loss odyssey in medical image segmentation", 10.1016/j.media.2021.102035.
    """

    def __init__(self, positive_weight: float = 2.0, **common: Any) -> None:
        super().__init__(**common)
        self.positive_weight = check_number("positive_weight", positive_weight, low=0)

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return weighted_binary_cross_entropy(truth, prediction, self.positive_weight, 1.0)


@registered
class WeightedCrossEntropy(SegmentationLoss):
    """Cross-entropy in which every class of a sample has the same weight, however few its voxels.

    `mean_c(Σ -y_c log p_c / Σ y_c)` over the classes present in the sample, the background included: weights
    inverse to class frequency. One channel, and each of several regions, is the two classes p and 1 - p.
    `class_weights` multiply the means of the classes.

    Args:
        **common: as `SegmentationLoss`.

    Source: Ma et al. 2021, "Loss odyssey in medical image segmentation", 10.1016/j.media.2021.102035.
    """

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        space = tuple(range(1, len(truth.shape) - 1))
        if self.is_softmax(prediction):
            costs = ops.sum(categorical_cross_entropy(truth, prediction), axis=space)
            weights = self.class_weights or [1.0] * prediction.shape[-1]
            return present_mean(costs, ops.sum(truth, axis=space), weights)
        others = (1.0 if mask is None else mask) - truth
        pairs = ((truth, prediction), (others, 1 - prediction))
        costs = ops.stack([ops.sum(categorical_cross_entropy(*pair), axis=space) for pair in pairs], axis=-1)
        counts = ops.stack([ops.sum(part, axis=space) for part, _ in pairs], axis=-1)
        return self.class_mean(present_mean(costs, counts, [1.0, 1.0]))


@registered
class TopK(SegmentationLoss):
    """Cross-entropy of only the worst voxels of each sample.

    The mean of the largest `fraction` of the cross-entropies of a sample's voxels, at least one. One channel uses
    the binary cross-entropy; each of several regions selects its own voxels.

    Args:
        fraction: share of the voxels in (0, 1]; 1 is the cross-entropy.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: `fraction` is out of its range.

    Source: Wu et al. 2016, "Bridging category-level and instance-level semantic image segmentation",
        arXiv:1605.06885.
    """

    def __init__(self, fraction: float = 0.1, **common: Any) -> None:
        super().__init__(**common)
        self.fraction = check_number("fraction", fraction, low=0, high=1, above=True)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        if not self.is_softmax(prediction):
            return self.class_mean(worst_mean(binary_cross_entropy(truth, prediction), mask, self.fraction))
        cost = categorical_cross_entropy(truth, prediction)
        weights = self.weights_from(0)
        if weights is not None:
            cost = cost * weights
        return worst_mean(ops.sum(cost, axis=-1, keepdims=True), mask, self.fraction)[:, 0]
