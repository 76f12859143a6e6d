"""Losses on the overlap of regions, all from one Tversky index."""

from typing import Any

from keras import ops

from tfseg.losses.base import SegmentationLoss, Tensor, check_choice, check_number, registered


def confusion(truth: Tensor, prediction: Tensor, overlap_over: str) -> tuple[Tensor, Tensor, Tensor]:
    """Soft counts of true positives, false positives and false negatives per class.

    Args:
        truth: `[batch, *spatial, classes]` in [0, 1].
        prediction: the same shape.
        overlap_over: "sample" counts each sample alone, `[batch, classes]`; "batch" all together, `[1,
            classes]`.
    """
    space = tuple(range(1, len(prediction.shape) - 1))

    def count(voxels: Tensor) -> Tensor:
        counts = ops.sum(voxels, axis=space)
        return ops.sum(counts, axis=0, keepdims=True) if overlap_over == "batch" else counts

    both = truth * prediction
    return count(both), count(prediction - both), count(truth - both)


def tversky_index(tp: Tensor, fp: Tensor, fn: Tensor, alpha: float, beta: float, smoothing: float) -> Tensor:
    """`(TP + s) / (TP + α FP + β FN + s)`: Dice for α = β = ½, Jaccard for α = β = 1."""
    agreement = tp + smoothing
    return agreement / (agreement + alpha * fp + beta * fn)


class RegionOptions(SegmentationLoss):
    """The arguments of every loss with a region term.

    Args:
        smoothing: s > 0, in voxels, in numerator and denominator alike: an empty truth and an empty
            prediction cost 0.
        overlap_over: "sample" measures the overlap in each sample; "batch" over the batch (of the replica) as
            one volume, and gives every sample that value.
        include_background: count class 0 of a softmax as a region too.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        *,
        smoothing: float = 1e-5,
        overlap_over: str = "sample",
        include_background: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.smoothing = check_number("smoothing", smoothing, low=0, above=True)
        self.overlap_over = check_choice("overlap_over", overlap_over, ("sample", "batch"))
        self.include_background = check_choice("include_background", include_background, (True, False))

    @property
    def region_shared(self) -> dict[str, Any]:
        """The arguments that a region term of a compound loss has in common with it."""
        names = ("smoothing", "overlap_over", "include_background")
        return {**self.shared, **{name: getattr(self, name) for name in names}}


class RegionLoss(RegionOptions):
    """The mean over classes of a cost of their confusion counts; a subclass writes `cost`."""

    def cost(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        """The cost of each class from its soft counts, all `[batch, classes]` or `[1, classes]`."""
        raise NotImplementedError

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        cost = self.cost(*confusion(truth, prediction, self.overlap_over))
        mean = self.class_mean(cost, include_background=self.include_background)
        return ops.broadcast_to(mean, (ops.shape(prediction)[0],))


@registered
class Dice(RegionLoss):
    """Dice loss: one minus the soft Dice index.

    `1 - (TP + s) / (TP + ½ FP + ½ FN + s)`, with TP = Σ p y, FP = Σ p (1-y), FN = Σ (1-p) y.

    Args:
        **region: as `RegionOptions`.

    Source: Milletari et al. 2016, "V-Net", arXiv:1606.04797.
    """

    def cost(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        return 1 - tversky_index(tp, fp, fn, 0.5, 0.5, self.smoothing)


@registered
class Jaccard(RegionLoss):
    """Jaccard loss: one minus the soft intersection over union.

    `1 - (TP + s) / (TP + FP + FN + s)`.

    Args:
        **region: as `RegionOptions`.

    Source: Rahman and Wang 2016, "Optimizing intersection-over-union in deep neural networks for image
    segmentation", 10.1007/978-3-319-50835-1_22.
    """

    def cost(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        return 1 - tversky_index(tp, fp, fn, 1.0, 1.0, self.smoothing)


@registered
class Tversky(RegionLoss):
    """Tversky loss: Dice with separate weights for false positives and false negatives.

    `1 - (TP + s) / (TP + α FP + β FN + s)`. α = β = ½ is Dice, α = β = 1 is Jaccard.

    Args:
        alpha: α ≥ 0, the weight of false positives.
        beta: β ≥ 0, the weight of false negatives; None: 1 - α.
        **region: as `RegionOptions`.

    Raises:
        ValueError: `alpha` or `beta` is negative, or both are 0.

    Source: Salehi et al. 2017, "Tversky loss function for image segmentation", arXiv:1706.05721.
    """

    def __init__(self, *, alpha: float = 0.3, beta: float | None = None, **region: Any) -> None:
        super().__init__(**region)
        self.alpha = check_number("alpha", alpha, low=0)
        self.beta = check_number("beta", 1 - self.alpha if beta is None else beta, low=0)
        if self.alpha + self.beta == 0:
            raise ValueError("alpha and beta must not both be 0; received alpha=0, beta=0")

    def cost(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        return 1 - tversky_index(tp, fp, fn, self.alpha, self.beta, self.smoothing)


@registered
class FocalTversky(Tversky):
    """Focal Tversky loss: the Tversky loss to a power, so that badly segmented classes weigh more (γ > 1).

    `(1 - TI)^γ` with the Tversky index TI; for γ < 1 the base is kept at or above 1e-7. The paper writes the
    exponent 1/γ.

    Args:
        gamma: γ > 0; 1 is the Tversky loss.
        **tversky: as `Tversky`.

    Raises:
        ValueError: `gamma` is not above 0.

    Source: Abraham and Khan 2019, "A novel focal Tversky loss function with improved attention U-Net for lesion
        segmentation", arXiv:1810.07842.
    """

    def __init__(self, *, gamma: float = 4 / 3, **tversky: Any) -> None:
        super().__init__(**tversky)
        self.gamma = check_number("gamma", gamma, low=0, above=True)

    def cost(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        return ops.power(ops.maximum(super().cost(tp, fp, fn), 1e-7 if self.gamma < 1 else 0.0), self.gamma)


@registered
class LogDice(RegionLoss):
    """Log-Dice loss: minus the logarithm of the soft Dice index.

    `-log((TP + s) / (TP + ½ FP + ½ FN + s))`.

    Args:
        **region: as `RegionOptions`.

    Source: Wong et al. 2018, "3D segmentation with exponential logarithmic loss for highly unbalanced object
        sizes", arXiv:1809.00076 (its Dice term with exponent 1).
    """

    def cost(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        return -ops.log(tversky_index(tp, fp, fn, 0.5, 0.5, self.smoothing))
