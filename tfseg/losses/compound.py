"""Weighted sums of losses under one name."""

from typing import Any

from tfseg.losses.base import SegmentationLoss, Tensor, check_number, registered
from tfseg.losses.distribution import BinaryCrossEntropy, CrossEntropy
from tfseg.losses.region import Dice, Jaccard, RegionOptions
from tfseg.losses.structural import SSIM


class CompoundLoss(RegionOptions):
    """A weighted sum of terms on one truth; a subclass gives `weighted_terms` in its constructor.

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
        **region: as `RegionOptions`; the cross-entropy sees the background in any case.

    Raises:
        ValueError: a weight is negative.

    Source: Isensee et al. 2021, "nnU-Net", 10.1038/s41592-020-01008-z.
    """

    def __init__(self, *, dice_weight: float = 1.0, ce_weight: float = 1.0, **region: Any) -> None:
        super().__init__(**region)
        self.dice_weight = check_number("dice_weight", dice_weight, low=0)
        self.ce_weight = check_number("ce_weight", ce_weight, low=0)
        self.weighted_terms = (
            (self.dice_weight, Dice(**self.region_shared)),
            (self.ce_weight, CrossEntropy(**self.shared)),
        )


@registered
class Hybrid(CompoundLoss):
    """Jaccard plus binary cross-entropy plus SSIM loss: region, voxel and structure at once.

    `w_jaccard · Jaccard + w_bce · BCE + w_ssim · (1 - SSIM)`.

    Args:
        jaccard_weight: w_jaccard ≥ 0.
        bce_weight: w_bce ≥ 0.
        ssim_weight: w_ssim ≥ 0.
        **region: as `RegionOptions`; `include_background` also holds for SSIM, not for the cross-entropy.

    Raises:
        ValueError: a weight is negative.

    Source: Kethavath et al. 2025, "Comparative analysis of loss functions for uncertainty quantification in
        medical
    image segmentation", 10.1088/2057-1976/ae2b73.
    """

    def __init__(
        self, *, jaccard_weight: float = 1.0, bce_weight: float = 1.0, ssim_weight: float = 1.0, **region: Any
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
