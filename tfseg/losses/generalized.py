"""Overlap losses in which small classes have as much weight as large ones."""

from typing import Any

from keras import ops

from tfseg.losses.checks import check_number
from tfseg.losses.overlap import RegionOptions, sums, volumes
from tfseg.losses.registry import Tensor, registered


@registered
class GeneralizedDice(RegionOptions):
    """Generalized Dice loss: one Dice index over all classes, each weighted by its inverse squared volume.

    `1 - (2 Σ_c w_c TP_c + s) / (Σ_c w_c (2 TP_c + FP_c + FN_c) + s)`, w_c = (n / Σ y_c)² with n the volume of the
    smallest class present. A class that is absent from the truth has weight 1, as the smallest one. One channel,
    and each of several regions, adds its background as the second class.

    Args:
        **region: as `RegionOptions`; `class_weights` multiply w_c.

    Source: Sudre et al. 2017, "Generalised Dice overlap as a deep learning loss function for highly unbalanced
        segmentations", arXiv:1707.03237.
    """

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        both, predicted, true = volumes(truth, prediction, self.overlap_over)
        if self.is_softmax(prediction):
            first = 0 if self.include_background else 1
            both, predicted, true = (volume[:, first:] for volume in (both, predicted, true))
            loss = self.index_loss(both, predicted, true, self.weights_from(first))
        else:
            counted = ops.ones_like(truth[..., :1]) if mask is None else mask
            (voxels,) = sums((counted,), self.overlap_over)
            pairs = ((both, voxels - predicted - true + both), (predicted, voxels - predicted), (true, voxels - true))
            both, predicted, true = (ops.stack(pair, axis=-1) for pair in pairs)
            loss = self.class_mean(self.index_loss(both, predicted, true, None))
        return ops.broadcast_to(loss, (ops.shape(prediction)[0],))

    def index_loss(self, both: Tensor, predicted: Tensor, true: Tensor, class_weights: Tensor | None) -> Tensor:
        """One minus the index over the last axis of soft volumes `[…, classes]`, as `[…]`."""
        present = true > 0
        smallest = ops.min(ops.where(present, true, float("inf")), axis=-1, keepdims=True)
        weights = ops.where(present, ops.square(smallest / ops.where(present, true, 1.0)), 1.0)
        if class_weights is not None:
            weights = weights * class_weights
        agreement = 2 * ops.sum(weights * both, axis=-1) + self.smoothing
        return 1 - agreement / (ops.sum(weights * (predicted + true), axis=-1) + self.smoothing)


@registered
class PenaltyGeneralizedDice(GeneralizedDice):
    """Generalized Dice loss with larger gradients for poor overlaps than for nearly good ones.

    `L / (1 + k (1 - L))`, L the generalized Dice loss.

    Args:
        k: k ≥ 0; 0 is the generalized Dice loss.
        **region: as `GeneralizedDice`.

    Raises:
        ValueError: `k` is negative.

    Source: Yang et al. 2019, "Major vessel segmentation on X-ray coronary angiography using deep networks with a
        novel penalty loss function", Medical Imaging with Deep Learning.
    """

    def __init__(self, k: float = 2.5, **region: Any) -> None:
        super().__init__(**region)
        self.k = check_number("k", k, low=0)

    def index_loss(self, both: Tensor, predicted: Tensor, true: Tensor, class_weights: Tensor | None) -> Tensor:
        loss = super().index_loss(both, predicted, true, class_weights)
        return loss / (1 + self.k * (1 - loss))
