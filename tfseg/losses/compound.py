"""Named sums of an overlap loss and others."""

from typing import Any

from tfseg.losses.base import SegmentationLoss
from tfseg.losses.checks import check_number
from tfseg.losses.distribution import BinaryCrossEntropy, CrossEntropy, Focal, TopK
from tfseg.losses.overlap import RegionOptions
from tfseg.losses.region import Dice, Jaccard
from tfseg.losses.registry import Tensor, registered
from tfseg.losses.structural import SSIM


class CompoundLoss(RegionOptions):
    """A weighted sum of losses; a subclass sets `weighted_terms` in its constructor.

    Its region terms share `smoothing`, `overlap_over` and `include_background`; `class_weights` act on all
    terms.
    """

    weighted_terms: tuple[tuple[float, SegmentationLoss], ...]

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        return sum(weight * term.per_sample(truth, prediction, mask) for weight, term in self.weighted_terms)


@registered
class DiceCE(CompoundLoss):
    """Dice plus cross-entropy.

    `w_dice · Dice + w_ce · CE`. On one channel, and on independent regions, CE is the binary cross-entropy.

    Args:
        dice_weight: w_dice ≥ 0.
        ce_weight: w_ce ≥ 0.
        **region: as `RegionOptions`; the cross-entropy always includes the background.

    Raises:
        ValueError: a weight is negative.

    Source: Isensee et al. 2021, "nnU-Net", 10.1038/s41592-020-01008-z.
    """

    def __init__(self, dice_weight: float = 1.0, ce_weight: float = 1.0, **region: Any) -> None:
        super().__init__(**region)
        self.dice_weight = check_number("dice_weight", dice_weight, low=0)
        self.ce_weight = check_number("ce_weight", ce_weight, low=0)
        self.weighted_terms = (
            (self.dice_weight, Dice(**self.region_shared)),
            (self.ce_weight, CrossEntropy(**self.shared)),
        )


@registered
class DiceBCE(CompoundLoss):
    """Dice plus binary cross-entropy, one-against-rest on several channels.

    `w_dice · Dice + w_bce · BCE`.

    Args:
        dice_weight: w_dice ≥ 0.
        bce_weight: w_bce ≥ 0.
        **region: as `RegionOptions`; the cross-entropy always includes the background.

    Raises:
        ValueError: a weight is negative.

    Source: Ma et al. 2021, "Loss odyssey in medical image segmentation", 10.1016/j.media.2021.102035.
    """

    def __init__(self, dice_weight: float = 1.0, bce_weight: float = 1.0, **region: Any) -> None:
        super().__init__(**region)
        self.dice_weight = check_number("dice_weight", dice_weight, low=0)
        self.bce_weight = check_number("bce_weight", bce_weight, low=0)
        self.weighted_terms = (
            (self.dice_weight, Dice(**self.region_shared)),
            (self.bce_weight, BinaryCrossEntropy(**self.shared)),
        )


@registered
class DiceFocal(CompoundLoss):
    """Dice plus focal loss.

    `w_dice · Dice + w_focal · Focal(γ, α)`.

    Args:
        dice_weight: w_dice ≥ 0.
        focal_weight: w_focal ≥ 0.
        gamma: γ ≥ 0 of the focal loss.
        alpha: α in [0, 1] of the focal loss, or None.
        **region: as `RegionOptions`; the focal loss always includes the background.

    Raises:
        ValueError: an argument is out of its range.

    Source: Zhu et al. 2019, "AnatomyNet", 10.1002/mp.13300.
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        focal_weight: float = 1.0,
        gamma: float = 2.0,
        alpha: float | None = 0.5,
        **region: Any,
    ) -> None:
        super().__init__(**region)
        self.dice_weight = check_number("dice_weight", dice_weight, low=0)
        self.focal_weight = check_number("focal_weight", focal_weight, low=0)
        focal = Focal(gamma, alpha, **self.shared)
        self.gamma, self.alpha = focal.gamma, focal.alpha
        self.weighted_terms = ((self.dice_weight, Dice(**self.region_shared)), (self.focal_weight, focal))


@registered
class DiceTopK(CompoundLoss):
    """Dice plus the cross-entropy of the worst voxels.

    `w_dice · Dice + w_top_k · TopK(fraction)`.

    Args:
        dice_weight: w_dice ≥ 0.
        top_k_weight: w_top_k ≥ 0.
        fraction: share of the voxels in (0, 1] whose cross-entropy counts.
        **region: as `RegionOptions`; the cross-entropy always includes the background.

    Raises:
        ValueError: an argument is out of its range.

    Source: Ma et al. 2021, "Loss odyssey in medical image segmentation", 10.1016/j.media.2021.102035.
    """

    def __init__(
        self, dice_weight: float = 1.0, top_k_weight: float = 1.0, fraction: float = 0.1, **region: Any
    ) -> None:
        super().__init__(**region)
        self.dice_weight = check_number("dice_weight", dice_weight, low=0)
        self.top_k_weight = check_number("top_k_weight", top_k_weight, low=0)
        top_k = TopK(fraction, **self.shared)
        self.fraction = top_k.fraction
        self.weighted_terms = ((self.dice_weight, Dice(**self.region_shared)), (self.top_k_weight, top_k))


@registered
class Hybrid(CompoundLoss):
    """Jaccard plus binary cross-entropy plus SSIM loss: overlap, voxels and local structure.

    `w_jaccard · Jaccard + w_bce · BCE + w_ssim · (1 - SSIM)`.

    Args:
        jaccard_weight: w_jaccard ≥ 0.
        bce_weight: w_bce ≥ 0.
        ssim_weight: w_ssim ≥ 0.
        **region: as `RegionOptions`; `include_background` also applies to SSIM, not to the cross-entropy.

    Raises:
        ValueError: a weight is negative.

    Source: Kethavath et al. 2025, "Comparative analysis of loss functions for uncertainty quantification in
        medical image segmentation", 10.1088/2057-1976/ae2b73.
    """

    def __init__(
        self, jaccard_weight: float = 1.0, bce_weight: float = 1.0, ssim_weight: float = 1.0, **region: Any
    ) -> None:
        super().__init__(**region)
        self.jaccard_weight = check_number("jaccard_weight", jaccard_weight, low=0)
        self.bce_weight = check_number("bce_weight", bce_weight, low=0)
        self.ssim_weight = check_number("ssim_weight", ssim_weight, low=0)
        self.weighted_terms = (
            (self.jaccard_weight, Jaccard(**self.region_shared)),
            (self.bce_weight, BinaryCrossEntropy(**self.shared)),
            (self.ssim_weight, SSIM(include_background=self.include_background, **self.shared)),
        )
