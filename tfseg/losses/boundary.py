"""Losses on the distance to the boundary of the structure."""

from typing import Any

from keras import ops

from tfseg.losses.base import ForegroundLoss, SegmentationLoss, voxel_mean
from tfseg.losses.checks import check_count, check_number, check_spacing
from tfseg.losses.distance import boundary_distance
from tfseg.losses.filters import filter_along, samples_as_channels
from tfseg.losses.registry import Tensor, registered
from tfseg.losses.voxelwise import binary_cross_entropy, categorical_cross_entropy


def spacing_of(values: Tensor, spacing_mm: list[float] | None) -> list[float]:
    """The spacing along each spatial axis of `values` [batch, *spatial, classes]; 1 if `spacing_mm` is None.

    Raises:
        ValueError: `spacing_mm` has neither one number nor one per spatial axis.
    """
    axes = len(values.shape) - 2
    steps = spacing_mm or [1.0]
    if len(steps) not in (1, axes):
        raise ValueError(f"spacing_mm must have {axes} numbers for y_pred of this rank, or one; received {spacing_mm}")
    return steps * axes if len(steps) == 1 else steps


def hausdorff(truth: Tensor, prediction: Tensor, alpha: float, spacing_mm: list[float] | None) -> Tensor:
    """`(p-y)² (d_p^α + d_y^α)` of each voxel and class, d_p being the distance of the mask p > ½."""
    spacing = spacing_of(truth, spacing_mm)
    masks = ops.concatenate([truth > 0.5, prediction > 0.5], axis=-1)
    reach = ops.cast(boundary_distance(masks, spacing), truth.dtype) ** alpha
    of_truth, of_prediction = ops.split(reach, 2, axis=-1)
    return ops.square(truth - prediction) * (of_truth + of_prediction)


def soft_erosion(values: Tensor) -> Tensor:
    """`max(2 (B * values) - 1, 0)` of `values` [1, *spatial, channels], B the mean of a voxel and its face neighbours.

    Values beyond the image are 0.
    """
    axes = range(1, len(values.shape) - 1)
    share = 2 / (2 * len(axes) + 1)
    means = (filter_along(values, axis, (share, share if axis == 1 else 0, share), "same") for axis in axes)
    return ops.relu(sum(means) - 1)


class BoundaryLoss(ForegroundLoss):
    """The mean over voxels, then over classes, of a cost that depends on distances; a subclass implements `cost`.

    Args:
        spacing_mm: distance > 0 between voxel centres along each spatial axis, or one number for all; None: distances
            in voxels.
        **foreground: as `ForegroundLoss`; for the distances, ignored voxels are outside every structure, so that a
            boundary may run along them.

    Raises:
        ValueError: an argument is out of its range; when called, `spacing_mm` does not match the rank.
    """

    def __init__(self, *, spacing_mm: list[float] | float | None = None, **foreground: Any) -> None:
        super().__init__(**foreground)
        self.spacing_mm = check_spacing(spacing_mm)

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        """The cost of each voxel and class, `[batch, *spatial, classes]`, from two tensors of that shape."""
        raise NotImplementedError

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        return self.foreground_mean(voxel_mean(self.cost(truth, prediction), mask))


@registered
class Boundary(BoundaryLoss):
    """Boundary loss: every wrong voxel costs its distance to the boundary of the truth.

    `mean(φ (p - y))`, φ the signed distance to the boundary of the truth, negative inside. Kervadec's `∫ φ p`
    differs by the constant `∫ φ y`; with it, a perfect prediction costs 0.

    Args:
        **boundary: as `BoundaryLoss`.

    Source: Kervadec et al. 2019, "Boundary loss for highly unbalanced segmentation", arXiv:1812.07032.
    """

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        inside = truth > 0.5
        distance = ops.cast(boundary_distance(inside, spacing_of(truth, self.spacing_mm)), truth.dtype)
        return ops.where(inside, -distance, distance) * (prediction - truth)


@registered
class HausdorffDT(BoundaryLoss):
    """Hausdorff loss by distance transforms: squared errors weighted by their distance to both boundaries.

    `mean((p-y)² (d_p^α + d_y^α))`, d the distance to the boundary, from inside as from outside, of the truth
    and of p > ½. No gradient flows through d.

    Args:
        alpha: α in (0, 8]; larger values give the farthest errors more weight.
        **boundary: as `BoundaryLoss`.

    Raises:
        ValueError: `alpha` is out of its range.

    Source: Karimi and Salcudean 2019, "Reducing the Hausdorff distance in medical image segmentation with
        convolutional neural networks", arXiv:1904.10030.
    """

    def __init__(self, alpha: float = 2.0, **boundary: Any) -> None:
        super().__init__(**boundary)
        self.alpha = check_number("alpha", alpha, low=0, high=8, above=True)

    def cost(self, truth: Tensor, prediction: Tensor) -> Tensor:
        return hausdorff(truth, prediction, self.alpha, self.spacing_mm)


@registered
class LogHausdorffDT(HausdorffDT):
    """Logarithm of the Hausdorff loss by distance transforms, on the scale of an overlap loss.

    `log(1 + mean((p-y)² (d_p^α + d_y^α)))` of each sample and class.

    Args:
        **hausdorff: as `HausdorffDT`.

    Source: "Compound losses for hypoxic-ischaemic encephalopathy lesions", BONBID-HIE 2024; the distance is
        Karimi and Salcudean's, arXiv:1904.10030.
    """

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        return self.foreground_mean(ops.log1p(voxel_mean(self.cost(truth, prediction), mask)))


@registered
class HausdorffErosion(ForegroundLoss):
    """Hausdorff loss by erosion: errors cost more the more erosions they survive.

    `mean(Σ_k k^α E_k)` over k = 1 … K, with E_0 = (p-y)², `E_k = max(2 (B * E_{k-1}) - 1, 0)` and B the mean of a
    voxel and its face neighbours. Errors beyond the image are 0. An erosion is a step of one voxel.

    Args:
        alpha: α in (0, 8], how fast the cost grows with the number of erosions survived.
        erosions: K ≥ 1.
        **foreground: as `ForegroundLoss`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Karimi and Salcudean 2019, "Reducing the Hausdorff distance in medical image segmentation with
        convolutional neural networks", arXiv:1904.10030.
    """

    def __init__(self, alpha: float = 2.0, erosions: int = 10, **foreground: Any) -> None:
        super().__init__(**foreground)
        self.alpha = check_number("alpha", alpha, low=0, high=8, above=True)
        self.erosions = check_count("erosions", erosions)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        eroded = samples_as_channels(ops.square(truth - prediction))
        weights = None if mask is None else samples_as_channels(ops.broadcast_to(mask, ops.shape(truth)))
        cost = 0.0
        for step in range(1, self.erosions + 1):
            eroded = soft_erosion(eroded)
            cost = cost + step**self.alpha * voxel_mean(eroded, weights)
        return self.foreground_mean(ops.reshape(cost, (-1, truth.shape[-1])))


@registered
class DistancePenalizedCE(SegmentationLoss):
    """Cross-entropy that gives voxels near the boundary of the truth more weight.

    `mean((1 + Φ) CE)`, with Φ = d_min / d, d the distance to the boundary and d_min the smallest step of
    `spacing_mm`: 1 in voxels at that distance, less farther away. Φ = 0 if there is no boundary. Softmax: the
    boundary is that of the voxel's own class, the background included.

    Args:
        spacing_mm: distance > 0 between voxel centres along each spatial axis, or one number for all; None: distances
            in voxels.
        **common: as `SegmentationLoss`; for the distances, ignored voxels are outside every class, so that a boundary
            may run along them.

    Raises:
        ValueError: an argument is out of its range; when called, `spacing_mm` does not match the rank.

    Source: Caliva et al. 2019, "Distance map loss penalty term for semantic segmentation", arXiv:1908.03679.
    """

    def __init__(self, *, spacing_mm: list[float] | float | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.spacing_mm = check_spacing(spacing_mm)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        spacing = spacing_of(truth, self.spacing_mm)
        distance = ops.cast(boundary_distance(truth > 0.5, spacing), truth.dtype)
        weight = 1 + ops.divide_no_nan(ops.full_like(distance, min(spacing)), distance)
        if self.is_softmax(prediction):
            cost = weight * categorical_cross_entropy(truth, prediction)
            return self.class_mean(voxel_mean(cost, mask)) * prediction.shape[-1]
        return self.class_mean(voxel_mean(weight * binary_cross_entropy(truth, prediction), mask))
