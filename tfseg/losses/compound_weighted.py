"""Sums of Dice and a weighted or logarithmic cross-entropy."""

from typing import Any

from keras import ops

from tfseg.losses.base import power, voxel_mean
from tfseg.losses.checks import check_number
from tfseg.losses.overlap import RegionOptions, volumes
from tfseg.losses.region import Dice, LogDice
from tfseg.losses.registry import Tensor, registered
from tfseg.losses.voxelwise import kept_from_ends, weighted_binary_cross_entropy


@registered
class Combo(RegionOptions):
    """Combo loss: weighted binary cross-entropy plus Dice.

    `α · (-mean(β y log p + (1-β) (1-y) log(1-p))) + (1-α) · Dice`. The paper subtracts the Dice index instead of
    adding the Dice loss, which is 1-α less. On several channels the cross-entropy is one-against-rest.

    Args:
        alpha: α in [0, 1], the share of the cross-entropy.
        beta: β in [0, 1], the weight of the foreground in it; above ½ favours recall.
        **region: as `RegionOptions`; the cross-entropy always includes the background.

    Raises:
        ValueError: `alpha` or `beta` is out of its range.

    Source: Taghanaki et al. 2019, "Combo loss: handling input and output imbalance in multi-organ segmentation",
        10.1016/j.compmedimag.2019.04.005.
    """

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, **region: Any) -> None:
        super().__init__(**region)
        self.alpha = check_number("alpha", alpha, low=0, high=1)
        self.beta = check_number("beta", beta, low=0, high=1)
        self._dice = Dice(**self.region_shared)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        cost = weighted_binary_cross_entropy(truth, prediction, self.beta, 1 - self.beta)
        cross_entropy = self.class_mean(voxel_mean(cost, mask))
        return self.alpha * cross_entropy + (1 - self.alpha) * self._dice.per_sample(truth, prediction, mask)


@registered
class ExponentialLogarithmic(RegionOptions):
    """Exponential logarithmic loss: powers of the log-Dice loss and of the cross-entropy.

    `w_dice · mean_c((-log Dice_c)^γ_d) + w_ce · mean_voxels(Σ_c w_c y_c (-log p_c)^γ_c)`. A power below 1 of a
    base under 1e-7 counts as 0, which keeps the gradient finite. `class_weights` take the place of the paper's
    w_c, the root of the inverse frequency of a label in the training data.

    Args:
        dice_weight: w_dice ≥ 0.
        ce_weight: w_ce ≥ 0.
        dice_gamma: γ_d > 0; below 1 the gradient rises again near a perfect overlap.
        ce_gamma: γ_c > 0, likewise.
        **region: as `RegionOptions`; the cross-entropy always includes the background.

    Raises:
        ValueError: an argument is out of its range.

    Source: Wong et al. 2018, "3D segmentation with exponential logarithmic loss for highly unbalanced object
        sizes", arXiv:1809.00076.
    """

    def __init__(
        self,
        dice_weight: float = 0.8,
        ce_weight: float = 0.2,
        dice_gamma: float = 0.3,
        ce_gamma: float = 0.3,
        **region: Any,
    ) -> None:
        super().__init__(**region)
        self.dice_weight = check_number("dice_weight", dice_weight, low=0)
        self.ce_weight = check_number("ce_weight", ce_weight, low=0)
        self.dice_gamma = check_number("dice_gamma", dice_gamma, low=0, above=True)
        self.ce_gamma = check_number("ce_gamma", ce_gamma, low=0, above=True)
        self._log_dice = LogDice(**self.region_shared)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        log_dice = self._log_dice.cost(*volumes(truth, prediction, self.overlap_over))
        dice = self.region_mean(power(log_dice, self.dice_gamma), prediction)

        def cost(probability: Tensor) -> Tensor:
            return power(-ops.log(kept_from_ends(probability, high=1)), self.ce_gamma)

        if self.is_softmax(prediction):
            cross_entropy = self.class_mean(voxel_mean(truth * cost(prediction), mask)) * prediction.shape[-1]
        else:
            both = truth * cost(prediction) + (1 - truth) * cost(1 - prediction)
            cross_entropy = self.class_mean(voxel_mean(both, mask))
        return self.dice_weight * dice + self.ce_weight * cross_entropy
