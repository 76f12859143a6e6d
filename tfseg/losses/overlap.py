"""Soft volumes, overlap indices and the base classes of losses with a region term."""

from collections.abc import Callable, Iterable
from typing import Any

from keras import ops

from tfseg.losses.base import ForegroundLoss
from tfseg.losses.checks import check_choice, check_number
from tfseg.losses.gradients import with_gradient
from tfseg.losses.registry import Tensor


def sums(fields: Iterable[Tensor], overlap_over: str) -> list[Tensor]:
    """Sums over space of fields `[batch, *spatial, classes]`.

    Args:
        fields: tensors of one shape.
        overlap_over: "sample" sums over each sample, `[batch, classes]`; "batch" over the whole batch, `[1, classes]`.
    """
    totals = [ops.sum(field, axis=tuple(range(1, len(field.shape) - 1))) for field in fields]
    return [ops.sum(total, axis=0, keepdims=True) for total in totals] if overlap_over == "batch" else totals


def volumes(truth: Tensor, prediction: Tensor, overlap_over: str) -> tuple[Tensor, Tensor, Tensor]:
    """Soft volumes per class, in voxels, of the shape of `sums`: intersection `Σ p y`, prediction `Σ p`, truth `Σ y`.

    Args:
        truth: `[batch, *spatial, classes]` in [0, 1].
        prediction: the same shape.
        overlap_over: as for `sums`.
    """

    @with_gradient  # two passes over the image instead of four
    def summed(prediction: Tensor) -> tuple[tuple[Tensor, ...], Callable[..., Tensor]]:
        def gradient(*upstream: Tensor) -> Tensor:
            of_both, of_predicted = (
                ops.reshape(one, (-1, *[1] * (len(truth.shape) - 2), truth.shape[-1])) for one in upstream
            )
            return ops.broadcast_to(of_both * truth + of_predicted, ops.shape(prediction))

        return tuple(sums((truth * prediction, prediction), overlap_over)), gradient

    both, predicted = summed(prediction)
    (true,) = sums((truth,), overlap_over)
    return both, predicted, true


def dice_index(both: Tensor, predicted: Tensor, true: Tensor, smoothing: float) -> Tensor:
    """`(TP + s) / (TP + ½ FP + ½ FN + s)` of volumes: TP + ½ FP + ½ FN is half of predicted and true together."""
    return (both + smoothing) / (0.5 * (predicted + true) + smoothing)


def tversky_index(both: Tensor, predicted: Tensor, true: Tensor, alpha: float, beta: float, smoothing: float) -> Tensor:
    """`(TP + s) / (TP + α FP + β FN + s)` of volumes: Dice for α = β = ½, Jaccard for α = β = 1."""
    agreement = both + smoothing
    return agreement / (agreement + alpha * (predicted - both) + beta * (true - both))


class RegionOptions(ForegroundLoss):
    """The arguments of every loss with a region term.

    Args:
        smoothing: s > 0, in voxels, is added to numerator and denominator, so that an empty prediction of an
            empty truth costs 0.
        overlap_over: "sample" measures the overlap in each sample; "batch" in the whole batch (of the replica) as
            one volume, and gives every sample that value.
        **foreground: as `ForegroundLoss`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        *,
        smoothing: float = 1e-5,
        overlap_over: str = "sample",
        **foreground: Any,
    ) -> None:
        super().__init__(**foreground)
        self.smoothing = check_number("smoothing", smoothing, low=0, above=True)
        self.overlap_over = check_choice("overlap_over", overlap_over, ("sample", "batch"))

    @property
    def region_shared(self) -> dict[str, Any]:
        """The arguments that a compound loss passes to its region terms."""
        names = ("smoothing", "overlap_over", "include_background")
        return {**self.shared, **{name: getattr(self, name) for name in names}}

    def region_mean(self, cost: Tensor, prediction: Tensor) -> Tensor:
        """The mean over classes of `cost`, `[batch, classes]` or `[1, classes]`, for each sample."""
        return ops.broadcast_to(self.foreground_mean(cost), (ops.shape(prediction)[0],))


class RegionLoss(RegionOptions):
    """The mean over classes of a cost of their volumes; a subclass implements `cost`."""

    def cost(self, both: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
        """The cost of each class from its soft volumes, all `[batch, classes]` or `[1, classes]`."""
        raise NotImplementedError

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        return self.region_mean(self.cost(*volumes(truth, prediction, self.overlap_over)), prediction)
