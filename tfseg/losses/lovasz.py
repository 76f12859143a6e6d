"""The Lovász extension of the Jaccard loss."""

from typing import Any

from keras import ops

from tfseg.losses.base import ForegroundLoss
from tfseg.losses.checks import check_choice
from tfseg.losses.registry import Tensor, registered


def jaccard_steps(truth: Tensor) -> Tensor:
    """The increase of the Jaccard loss as the voxels of `truth` [..., voxels] become wrong one after another.

    With intersection I and union U after a voxel of truth t, and U' before it, `(t U + (1-t) I) / (U U')`. A
    difference of two Jaccard losses near 1 would lose this to rounding in large images.
    """
    total = ops.sum(truth, axis=-1, keepdims=True)
    wrong = ops.cumsum(truth, axis=-1)
    index = 1 + ops.arange(ops.shape(truth)[-1], dtype=truth.dtype)
    intersection = total - wrong
    union = total + index - wrong
    before = union - (1 - truth)
    steps = (truth * union + (1 - truth) * intersection) / (union * ops.where(before > 0, before, 1.0))
    return ops.where(before > 0, steps, 1.0)  # the first voxel of an empty truth


@registered
class Lovasz(ForegroundLoss):
    """Lovász loss: the Jaccard loss, extended from masks to probabilities by its convex closure.

    `Σ_i e_(i) g_i`, e the errors |y - p| in descending order and g_i the increase of the Jaccard loss when the
    i-th of them becomes wrong. A class that is absent from the truth costs its largest probability. If a class has more
    than 2^24 voxels in one sum (16.8 million), float32 cannot count them: use `dtype="float64"`.

    Args:
        overlap_over: "sample" sorts the errors of each sample; "batch" those of the whole batch (of the replica),
            and gives every sample that value.
        **foreground: as `ForegroundLoss`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Berman et al. 2018, "The Lovász-softmax loss", arXiv:1705.08790.
    """

    def __init__(self, *, overlap_over: str = "sample", **foreground: Any) -> None:
        super().__init__(**foreground)
        self.overlap_over = check_choice("overlap_over", overlap_over, ("sample", "batch"))

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        samples, classes = ops.shape(prediction)[0], prediction.shape[-1]
        groups = 1 if self.overlap_over == "batch" else samples

        def rows(values: Tensor) -> Tensor:
            return ops.transpose(ops.reshape(values, (groups, -1, classes)), (0, 2, 1))

        true, error = rows(truth), rows(ops.abs(truth - prediction))
        order = ops.argsort(-ops.stop_gradient(error), axis=-1)
        steps = jaccard_steps(ops.take_along_axis(true, order, axis=-1))
        cost = ops.sum(ops.take_along_axis(error, order, axis=-1) * steps, axis=-1)
        return ops.broadcast_to(self.foreground_mean(cost), (samples,))
