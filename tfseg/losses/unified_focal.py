"""Unified focal losses: a focal and a focal Tversky term that share γ and δ."""

from typing import Any

from keras import ops

from tfseg.losses.base import power, voxel_mean
from tfseg.losses.checks import check_number
from tfseg.losses.overlap import RegionOptions, tversky_index, volumes
from tfseg.losses.registry import Tensor, registered
from tfseg.losses.voxelwise import Pair, binary_focal, categorical_focal


class UnifiedFocal(RegionOptions):
    """Base of both unified focal losses; a subclass sets the exponents.

    Args:
        focal_weight: λ in [0, 1], the share of the focal term.
        delta: δ in [0, 1], the weight of the foreground in the focal term and of false negatives in the Tversky
            index; the background and false positives have weight 1-δ.
        gamma: γ in [0, 1), how strongly easy voxels are down-weighted and hard classes up-weighted.
        **region: as `RegionOptions`; the focal term always includes the background.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, focal_weight: float = 0.5, delta: float = 0.6, gamma: float = 0.5, **region: Any) -> None:
        super().__init__(**region)
        self.focal_weight = check_number("focal_weight", focal_weight, low=0, high=1)
        self.delta = check_number("delta", delta, low=0, high=1)
        self.gamma = check_number("gamma", gamma, low=0, high=1, below=True)

    @property
    def focal_gammas(self) -> Pair:
        """Exponents of the focal term on foreground and background."""
        raise NotImplementedError

    @property
    def tversky_gammas(self) -> Pair:
        """Exponents of the Tversky term on foreground and background."""
        raise NotImplementedError

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        softmax = self.is_softmax(prediction)
        focal = categorical_focal if softmax else binary_focal
        cost = focal(truth, prediction, self.focal_gammas, (self.delta, 1 - self.delta))
        of_voxels = self.class_mean(voxel_mean(cost, mask)) * (prediction.shape[-1] if softmax else 1)

        index = tversky_index(
            *volumes(truth, prediction, self.overlap_over), 1 - self.delta, self.delta, self.smoothing
        )
        foreground, background = (power(1 - index, gamma) for gamma in self.tversky_gammas)
        if softmax:
            foreground = ops.concatenate([background[:, :1], foreground[:, 1:]], axis=-1)
        return self.focal_weight * of_voxels + (1 - self.focal_weight) * self.region_mean(foreground, prediction)


@registered
class SymmetricUnifiedFocal(UnifiedFocal):
    """Symmetric unified focal loss: the same focus on every class.

    `λ · mean(-Σ_c δ_c (1-p_c)^γ y_c log p_c) + (1-λ) · mean_c((1 - TI_c)^(1-γ))`, δ_c = δ on the foreground and 1-δ
    on the background, TI the Tversky index with δ on false negatives and 1-δ on false positives.

    Args:
        **unified: as `UnifiedFocal`.

    Source: Yeung et al. 2022, "Unified focal loss", 10.1016/j.compmedimag.2021.102026.
    """

    @property
    def focal_gammas(self) -> Pair:
        return self.gamma, self.gamma

    @property
    def tversky_gammas(self) -> Pair:
        return 1 - self.gamma, 1 - self.gamma


@registered
class AsymmetricUnifiedFocal(UnifiedFocal):
    """Asymmetric unified focal loss: easy background is down-weighted, hard foreground up-weighted.

    `λ · mean(-δ Σ_fg y_c log p_c - (1-δ) (1-p_bg)^γ y_bg log p_bg) + (1-λ) · mean_c(T_c)`, with
    `T_c = (1 - TI_c)^(1-γ)` on the foreground and `1 - TI` on the background if it is included.

    Args:
        **unified: as `UnifiedFocal`.

    Source: Yeung et al. 2022, "Unified focal loss", 10.1016/j.compmedimag.2021.102026.
    """

    @property
    def focal_gammas(self) -> Pair:
        return 0.0, self.gamma

    @property
    def tversky_gammas(self) -> Pair:
        return 1 - self.gamma, 1.0
