"""Losses that compare the prediction with the truth voxel by voxel, averaged over voxels."""

from typing import Any, ClassVar

from keras import ops

from tfseg.losses.base import SegmentationLoss, Tensor, check_number, registered, voxel_mean

EPSILON = 1e-7  # probabilities stay this far from 0 and 1, so that logarithms and their gradients are finite


def binary_cross_entropy(truth: Tensor, prediction: Tensor) -> Tensor:
    """`-y log p - (1-y) log(1-p)` of each voxel and channel."""
    p = ops.clip(prediction, EPSILON, 1 - EPSILON)
    return -(truth * ops.log(p) + (1 - truth) * ops.log(1 - p))


def categorical_cross_entropy(truth: Tensor, prediction: Tensor) -> Tensor:
    """`-y_c log p_c` of each voxel and class, to be summed over classes."""
    return -truth * ops.log(ops.clip(prediction, EPSILON, 1))


def binary_focal(truth: Tensor, prediction: Tensor, gamma: float, positive: float, negative: float) -> Tensor:
    """`-positive (1-p)^γ y log p - negative p^γ (1-y) log(1-p)` of each voxel and channel."""
    p = ops.clip(prediction, EPSILON, 1 - EPSILON)
    q = 1 - p
    found = positive * ops.power(q, gamma) * truth * ops.log(p)
    return -(found + negative * ops.power(p, gamma) * (1 - truth) * ops.log(q))


def categorical_focal(truth: Tensor, prediction: Tensor, gamma: float, positive: float, negative: float) -> Tensor:
    """`-a_c (1-p_c)^γ y_c log p_c` of each voxel and class, to be summed; a_0 = negative, a_c = positive."""
    p = ops.clip(prediction, EPSILON, 1 - EPSILON)
    weights = ops.convert_to_tensor([negative] + [positive] * (prediction.shape[-1] - 1), dtype=prediction.dtype)
    return -weights * ops.power(1 - p, gamma) * truth * ops.log(p)


def log_cosh(truth: Tensor, prediction: Tensor) -> Tensor:
    """`log cosh(p - y)` of each voxel and channel."""
    growth = ops.exp(prediction - truth)
    return ops.log((growth + 1 / growth) / 2)


class VoxelLoss(SegmentationLoss):
    """The mean over voxels, then over classes, of a cost per voxel and class; a subclass writes `cost`.

    With `sums_softmax` the classes of a softmax are summed: there the cost of a voxel is that of its own
    class.
    """

    sums_softmax: ClassVar[bool] = False

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        """The cost of each voxel and class, `[batch, *spatial, classes]`, from two tensors of that shape."""
        raise NotImplementedError

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        mean = self.class_mean(voxel_mean(self.cost(truth, prediction), mask))
        return mean * prediction.shape[-1] if self.sums_softmax and self.is_softmax(prediction) else mean


@registered
class BinaryCrossEntropy(VoxelLoss):
    """Binary cross-entropy; on several channels the mean of each against the rest.

    `-mean(y log p + (1-y) log(1-p))`, p kept within [1e-7, 1 - 1e-7].

    Args:
        **common: as `SegmentationLoss`.

    Source: Ma et al. 2021, "Loss odyssey in medical image segmentation", 10.1016/j.media.2021.102035.
    """

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return binary_cross_entropy(truth, prediction)


@registered
class CrossEntropy(VoxelLoss):
    """Cross-entropy over the classes, the background among them.

    Softmax: `-mean_voxels(Σ_c w_c y_c log p_c)`. One channel stands for two classes, p and 1 - p, and each of
    several regions does too, so that both give the binary cross-entropy. p is kept at or above 1e-7.

    Args:
        **common: as `SegmentationLoss`.

    Source: Ronneberger et al. 2015, "U-Net", arXiv:1505.04597.
    """

    sums_softmax = True

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        if self.is_softmax(prediction):
            return categorical_cross_entropy(truth, prediction)
        return binary_cross_entropy(truth, prediction)


@registered
class Focal(VoxelLoss):
    """Focal loss: cross-entropy in which voxels that are nearly right weigh little.

    One channel, and each of several regions: `-mean(α (1-p)^γ y log p + (1-α) p^γ (1-y) log(1-p))`.
    Softmax: `-mean_voxels(Σ_c a_c (1-p_c)^γ y_c log p_c)`, a_c = α on each foreground class, 1-α on the
        background.

    Args:
        gamma: γ ≥ 0, how strongly easy voxels are played down; 0 leaves the weighted cross-entropy.
        alpha: α in [0, 1], the weight of the foreground; None: both weights are 1.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: `gamma` or `alpha` is out of its range.

    Source: Lin et al. 2017, "Focal loss for dense object detection", arXiv:1708.02002.
    """

    sums_softmax = True

    def __init__(self, *, gamma: float = 2.0, alpha: float | None = 0.5, **common: Any) -> None:
        super().__init__(**common)
        self.gamma = check_number("gamma", gamma, low=0)
        self.alpha = None if alpha is None else check_number("alpha", alpha, low=0, high=1)

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        foreground, background = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        focal = categorical_focal if self.is_softmax(prediction) else binary_focal
        return focal(truth, prediction, self.gamma, foreground, background)


@registered
class LogCosh(VoxelLoss):
    """Log-cosh of the error: squared for small errors, absolute for large ones.

    `mean(log cosh(p - y))`.

    Args:
        **common: as `SegmentationLoss`.

    Source: Kethavath et al. 2025, "Comparative analysis of loss functions for uncertainty quantification in
        medical
    image segmentation", 10.1088/2057-1976/ae2b73.
    """

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return log_cosh(truth, prediction)
