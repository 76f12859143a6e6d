"""Losses on the overlap of regions."""

import math
from typing import Any

from keras import ops

from tfseg.losses.base import power
from tfseg.losses.checks import check_number
from tfseg.losses.overlap import RegionLoss, RegionOptions, dice_index, sums, tversky_index
from tfseg.losses.registry import Tensor, registered


@registered
class Dice(RegionLoss):
    """Dice loss: one minus the soft Dice index.

    `1 - (TP + s) / (TP + ½ FP + ½ FN + s)`, with TP = Σ p y, FP = Σ p (1-y), FN = Σ (1-p) y.

    Args:
        **region: as `RegionOptions`.

    Source: Drozdzal et al. 2016, "The importance of skip connections in biomedical image segmentation",
        arXiv:1608.04117.
    """

    def cost(self, both: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
        return 1 - dice_index(both, predicted, true, self.smoothing)


@registered
class Jaccard(RegionLoss):
    """Jaccard loss: one minus the soft intersection over union.

    `1 - (TP + s) / (TP + FP + FN + s)`.

    Args:
        **region: as `RegionOptions`.

    Source: Rahman and Wang 2016, "Optimizing intersection-over-union in deep neural networks for image
    segmentation", 10.1007/978-3-319-50835-1_22.
    """

    def cost(self, both: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
        return 1 - tversky_index(both, predicted, true, 1, 1, self.smoothing)


@registered
class Tversky(RegionLoss):
    """Tversky loss: Dice with separate weights for false positives and false negatives.

    `1 - (TP + s) / (TP + α FP + β FN + s)`. α = β = ½ is Dice, α = β = 1 is Jaccard.

    Args:
        alpha: α ≥ 0, the weight of false positives.
        beta: β ≥ 0, the weight of false negatives; None: 1 - α, for α ≤ 1.
        **region: as `RegionOptions`.

    Raises:
        ValueError: `alpha` or `beta` is negative, both are 0, or `alpha` is above 1 without `beta`.

    Source: Salehi et al. 2017, "Tversky loss function for image segmentation", arXiv:1706.05721.
    """

    def __init__(self, alpha: float = 0.3, beta: float | None = None, **region: Any) -> None:
        super().__init__(**region)
        self.alpha = check_number("alpha", alpha, low=0, high=1 if beta is None else math.inf)
        self.beta = check_number("beta", 1 - self.alpha if beta is None else beta, low=0)
        if self.alpha + self.beta == 0:
            raise ValueError("alpha and beta must not both be 0; received alpha=0, beta=0")

    def cost(self, both: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
        return 1 - tversky_index(both, predicted, true, self.alpha, self.beta, self.smoothing)


@registered
class FocalTversky(Tversky):
    """Focal Tversky loss: the Tversky loss to a power; for γ > 1 badly segmented classes have more weight.

    `(1 - TI)^γ` with the Tversky index TI; for γ < 1 a base under 1e-7 counts as 0, which keeps the gradient
    finite. The paper writes the exponent as 1/γ.

    Args:
        gamma: γ > 0; 1 is the Tversky loss.
        **tversky: as `Tversky`.

    Raises:
        ValueError: `gamma` is not above 0.

    Source: Abraham and Khan 2019, "A novel focal Tversky loss function with improved attention U-Net for lesion
        segmentation", arXiv:1810.07842.
    """

    def __init__(self, gamma: float = 4 / 3, **tversky: Any) -> None:
        super().__init__(**tversky)
        self.gamma = check_number("gamma", gamma, low=0, above=True)

    def cost(self, both: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
        return power(super().cost(both, predicted, true), self.gamma)


@registered
class LogDice(RegionLoss):
    """Log-Dice loss: minus the logarithm of the soft Dice index.

    `-log((TP + s) / (TP + ½ FP + ½ FN + s))`.

    Args:
        **region: as `RegionOptions`.

    Source: Wong et al. 2018, "3D segmentation with exponential logarithmic loss for highly unbalanced object
        sizes", arXiv:1809.00076 (its Dice term with exponent 1).
    """

    def cost(self, both: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
        return -ops.log(dice_index(both, predicted, true, self.smoothing))


@registered
class LogCoshDice(RegionLoss):
    """Log-cosh Dice loss: the Dice loss, quadratic near its minimum.

    `log cosh(1 - (TP + s) / (TP + ½ FP + ½ FN + s))`.

    Args:
        **region: as `RegionOptions`.

    Source: Jadon 2020, "A survey of loss functions for semantic segmentation",
        10.1109/CIBCB48159.2020.9277638.
    """

    def cost(self, both: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
        return ops.log(ops.cosh(1 - dice_index(both, predicted, true, self.smoothing)))


@registered
class AsymmetricSimilarity(RegionLoss):
    """Asymmetric similarity loss: one minus the soft F_β score, in which recall has β times the weight of precision.

    `1 - ((1+β²) TP + s') / ((1+β²) TP + FP + β² FN + s')`, that is, the Tversky loss with α = 1/(1+β²) and 1-α.

    Args:
        beta: β ≥ 0; 1 is Dice, above 1 favours recall.
        **region: as `RegionOptions`.

    Raises:
        ValueError: `beta` is negative.

    Source: Hashemi et al. 2018, "Asymmetric loss functions and deep densely-connected networks for highly-
        imbalanced medical image segmentation", arXiv:1803.11078.
    """

    def __init__(self, beta: float = 1.5, **region: Any) -> None:
        super().__init__(**region)
        self.beta = check_number("beta", beta, low=0)

    def cost(self, both: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
        alpha = 1 / (1 + self.beta**2)
        return 1 - tversky_index(both, predicted, true, alpha, 1 - alpha, self.smoothing)


@registered
class SquaredDice(RegionOptions):
    """Dice loss with squares in the denominator, so that uncertain voxels have less weight.

    `1 - (2 Σ p y + s) / (Σ p² + Σ y² + s)`.

    Args:
        **region: as `RegionOptions`.

    Source: Milletari et al. 2016, "V-Net", arXiv:1606.04797.
    """

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        both, squares = sums((truth * prediction, truth * truth + prediction * prediction), self.overlap_over)
        cost = 1 - (2 * both + self.smoothing) / (squares + self.smoothing)
        return self.region_mean(cost, prediction)


@registered
class SensitivitySpecificity(RegionOptions):
    """Sensitivity-specificity loss: a weighted sum of the squared errors inside and outside the structure.

    `r Σ (y-p)² y / (Σ y + s) + (1-r) Σ (y-p)² (1-y) / (Σ (1-y) + s)`.

    Args:
        sensitivity_weight: r in [0, 1], the weight of the error inside the structure.
        **region: as `RegionOptions`.

    Raises:
        ValueError: `sensitivity_weight` is out of its range.

    Source: Brosch et al. 2015, "Deep convolutional encoder networks for multiple sclerosis lesion segmentation",
        10.1007/978-3-319-24574-4_1.
    """

    def __init__(self, sensitivity_weight: float = 0.05, **region: Any) -> None:
        super().__init__(**region)
        self.sensitivity_weight = check_number("sensitivity_weight", sensitivity_weight, low=0, high=1)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        error = ops.square(truth - prediction)
        outside = (1.0 if mask is None else mask) - truth
        fields = (error * truth, truth, error * outside, outside)
        error_inside, inside, error_outside, outside = sums(fields, self.overlap_over)
        sensitivity = error_inside / (inside + self.smoothing)
        specificity = error_outside / (outside + self.smoothing)
        cost = self.sensitivity_weight * sensitivity + (1 - self.sensitivity_weight) * specificity
        return self.region_mean(cost, prediction)
