"""Sums of an overlap loss and the logarithm of a Hausdorff loss."""

from typing import Any

from tfseg.losses.boundary import LogHausdorffDT
from tfseg.losses.checks import check_number, check_spacing
from tfseg.losses.compound import CompoundLoss
from tfseg.losses.distribution import Focal
from tfseg.losses.region import Dice, Tversky
from tfseg.losses.registry import registered


@registered
class TverskyHausdorff(CompoundLoss):
    """Tversky plus the logarithm of the Hausdorff loss: mostly overlap, and the farthest errors.

    `w_tversky · Tversky(α, β) + w_hausdorff · log(1 + HausdorffDT)`.

    Args:
        tversky_weight: w_tversky ≥ 0.
        hausdorff_weight: w_hausdorff ≥ 0.
        alpha: α ≥ 0, the weight of false positives.
        beta: β ≥ 0, the weight of false negatives; None: 1 - α, for α ≤ 1.
        spacing_mm: distance > 0 between voxel centres along each spatial axis, or one number for all; None: distances
            in voxels.
        **region: as `RegionOptions`; for the distances, ignored voxels are outside every structure, so that a boundary
            may run along them.

    Raises:
        ValueError: an argument is out of its range.

    Source: "Compound losses for hypoxic-ischaemic encephalopathy lesions", BONBID-HIE 2024.
    """

    def __init__(
        self,
        tversky_weight: float = 0.9,
        hausdorff_weight: float = 0.1,
        alpha: float = 0.3,
        beta: float | None = None,
        spacing_mm: list[float] | float | None = None,
        **region: Any,
    ) -> None:
        super().__init__(**region)
        self.tversky_weight = check_number("tversky_weight", tversky_weight, low=0)
        self.hausdorff_weight = check_number("hausdorff_weight", hausdorff_weight, low=0)
        self.spacing_mm = check_spacing(spacing_mm)
        tversky = Tversky(alpha, beta, **self.region_shared)
        self.alpha, self.beta = tversky.alpha, tversky.beta
        self.weighted_terms = ((self.tversky_weight, tversky), (self.hausdorff_weight, log_hausdorff(self)))


@registered
class DiceFocalHausdorff(CompoundLoss):
    """Dice and focal loss, half each, plus the logarithm of the Hausdorff loss.

    `w_dice · Dice + w_focal · Focal(γ, α) + w_hausdorff · log(1 + HausdorffDT)`.

    Args:
        dice_weight: w_dice ≥ 0.
        focal_weight: w_focal ≥ 0.
        hausdorff_weight: w_hausdorff ≥ 0.
        gamma: γ ≥ 0 of the focal loss.
        alpha: α in [0, 1] of the focal loss, or None.
        spacing_mm: distance > 0 between voxel centres along each spatial axis, or one number for all; None: distances
            in voxels.
        **region: as `RegionOptions`; the focal loss always includes the background. For the distances, ignored voxels
            are outside every structure, so that a boundary may run along them.

    Raises:
        ValueError: an argument is out of its range.

    Source: "Compound losses for hypoxic-ischaemic encephalopathy lesions", BONBID-HIE 2024.
    """

    def __init__(
        self,
        dice_weight: float = 0.45,
        focal_weight: float = 0.45,
        hausdorff_weight: float = 0.1,
        gamma: float = 2.0,
        alpha: float | None = 0.5,
        spacing_mm: list[float] | float | None = None,
        **region: Any,
    ) -> None:
        super().__init__(**region)
        self.dice_weight = check_number("dice_weight", dice_weight, low=0)
        self.focal_weight = check_number("focal_weight", focal_weight, low=0)
        self.hausdorff_weight = check_number("hausdorff_weight", hausdorff_weight, low=0)
        self.spacing_mm = check_spacing(spacing_mm)
        focal = Focal(gamma, alpha, **self.shared)
        self.gamma, self.alpha = focal.gamma, focal.alpha
        self.weighted_terms = (
            (self.dice_weight, Dice(**self.region_shared)),
            (self.focal_weight, focal),
            (self.hausdorff_weight, log_hausdorff(self)),
        )


def log_hausdorff(loss: TverskyHausdorff | DiceFocalHausdorff) -> LogHausdorffDT:
    """The distance term of a compound loss."""
    return LogHausdorffDT(spacing_mm=loss.spacing_mm, include_background=loss.include_background, **loss.shared)
