"""A loss in which every connected structure counts the same, whatever its size."""

import math
from typing import Any

from keras import ops

from tfseg.losses.checks import check_number
from tfseg.losses.components import components
from tfseg.losses.overlap import RegionOptions, dice_index
from tfseg.losses.region import Dice
from tfseg.losses.registry import Tensor, registered


@registered
class BlobDice(RegionOptions):
    """Blob loss: Dice, plus the mean Dice of each connected component of the truth.

    `w_global · Dice + w_blob · mean_n(Dice_n)`, the Dice loss of the n-th component being that of the image without the
    other components. Without any component the second term is 0. Components are those of y > ½; voxels that share a
    face, an edge or a corner are connected.

    Args:
        global_weight: w_global ≥ 0.
        blob_weight: w_blob ≥ 0.
        **region: as `RegionOptions`; `overlap_over` applies to the first term, as each component is in one sample.

    Raises:
        ValueError: a weight is negative.

    Source: Kofler et al. 2023, "blob loss: instance imbalance aware loss functions for semantic segmentation",
        arXiv:2205.08209.
    """

    def __init__(self, global_weight: float = 2.0, blob_weight: float = 1.0, **region: Any) -> None:
        super().__init__(**region)
        self.global_weight = check_number("global_weight", global_weight, low=0)
        self.blob_weight = check_number("blob_weight", blob_weight, low=0)
        self._dice = Dice(**self.region_shared)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        whole = self._dice.per_sample(truth, prediction, mask)
        return self.global_weight * whole + self.blob_weight * self.foreground_mean(self.blobs(truth, prediction))

    def blobs(self, truth: Tensor, prediction: Tensor) -> Tensor:
        """The mean Dice loss of the components of each sample and class, `[batch, classes]`."""
        numbers = components(truth > 0.5)
        volume, predicted = (
            sums_by_number(values, numbers) for values in (ops.cast(numbers > 0, truth.dtype), prediction)
        )
        outside, inside, volume = predicted[..., :1], predicted[..., 1:], volume[..., 1:]
        present = ops.cast(volume > 0, truth.dtype)
        costs = 1 - dice_index(inside, inside + outside, volume, self.smoothing)
        return ops.divide_no_nan(ops.sum(present * costs, axis=-1), ops.sum(present, axis=-1))


def sums_by_number(values: Tensor, numbers: Tensor) -> Tensor:
    """Sums of the values with each number, `[batch, classes, 1 + voxels]`.

    Args:
        values: `[batch, *spatial, classes]`.
        numbers: int32 of the same shape, from 0 to the number of voxels.
    """
    batch, *space, classes = ops.shape(values)
    slots = 1 + math.prod(space)
    groups = ops.reshape(ops.arange(batch * classes, dtype="int32"), (batch, *[1] * len(space), classes))
    sums = ops.segment_sum(
        ops.reshape(values, (-1,)), ops.reshape(numbers + slots * groups, (-1,)), batch * classes * slots
    )
    return ops.reshape(sums, (batch, classes, slots))
