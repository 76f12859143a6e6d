"""A loss with a second term on the voxels that are segmented wrong."""

import itertools
from typing import Any

import numpy as np
from keras import ops

from tfseg.losses.checks import check_count, check_number
from tfseg.losses.compound import DiceCE
from tfseg.losses.overlap import RegionOptions
from tfseg.losses.registry import Tensor, registered


def ball(radius: int, axes: int) -> np.ndarray:
    """A mask `[2·radius + 1, …]` of the voxels within `radius` voxels of the centre."""
    offsets = np.array(list(itertools.product(range(-radius, radius + 1), repeat=axes)))
    return ((offsets**2).sum(axis=1) <= radius**2).reshape((2 * radius + 1,) * axes)


def dilate_by_ball(mask: Tensor, radius: int) -> Tensor:
    """1 within `radius` voxels of a voxel of the 0-1 `mask` [batch, *spatial, 1], else 0."""
    kernel = ops.cast(ball(radius, len(mask.shape) - 2)[..., np.newaxis, np.newaxis], mask.dtype)
    return ops.cast(ops.conv(mask, kernel, padding="same") > 0.5, mask.dtype)


@registered
class MisSegFocus(RegionOptions):
    """Mis-seg-focus loss: Dice plus cross-entropy, and the same again on the voxels that are segmented wrong.

    `w_global · (Dice + w_ce · CE) + λ · (Dice + w_ce · CE)(M y, M p)`, M the voxels whose most probable class is not
    the true one, dilated by a ball; no gradient flows through M. The mean of the second cross-entropy is over the
    voxels of M; if M is empty, the term is 0.

    Args:
        global_weight: w_global ≥ 0.
        focus_weight: λ ≥ 0.
        ce_weight: w_ce ≥ 0.
        radius: radius of the ball, in voxels, at least 1.
        **region: as `RegionOptions`; the cross-entropy always includes the background.

    Raises:
        ValueError: an argument is out of its range.

    Source: He et al. 2024, "A novel mis-seg-focus loss function based on a two-stage nnU-Net framework for accurate
        brain tissue segmentation", 10.3390/bioengineering11050427.
    """

    def __init__(
        self,
        global_weight: float = 1.0,
        focus_weight: float = 1.0,
        ce_weight: float = 1.0,
        radius: int = 2,
        **region: Any,
    ) -> None:
        super().__init__(**region)
        self.global_weight = check_number("global_weight", global_weight, low=0)
        self.focus_weight = check_number("focus_weight", focus_weight, low=0)
        self.ce_weight = check_number("ce_weight", ce_weight, low=0)
        self.radius = check_count("radius", radius)
        self._dice_ce = DiceCE(1.0, self.ce_weight, **self.region_shared)

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        whole = self._dice_ce.per_sample(truth, prediction, mask)
        focus = dilate_by_ball(self.wrong(truth, prediction, mask), self.radius)
        counted = focus if mask is None else focus * mask
        part = self._dice_ce.per_sample(truth * focus, prediction * focus, counted)
        return self.global_weight * whole + self.focus_weight * part

    def wrong(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        """1 for counted voxels that are segmented wrong in any channel, else 0; `[batch, *spatial, 1]`."""
        if self.is_softmax(prediction):
            differs = ops.expand_dims(ops.argmax(truth, axis=-1) != ops.argmax(prediction, axis=-1), -1)
        else:
            differs = (truth > 0.5) != (prediction > 0.5)
        differs = ops.cast(differs, prediction.dtype)
        return ops.max(differs if mask is None else differs * mask, axis=-1, keepdims=True)
