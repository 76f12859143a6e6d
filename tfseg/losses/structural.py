"""Losses on the local structure of the probability maps."""

import math
from typing import Any

import numpy as np
from keras import ops

from tfseg.losses.base import SegmentationLoss, Tensor, check_choice, registered, voxel_mean

WINDOW = 11
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2


def gaussian(size: int) -> np.ndarray:
    """`size` weights of a Gaussian window with sum 1."""
    offsets = np.arange(size) - (size - 1) / 2
    weights = np.exp(-((offsets / SIGMA) ** 2) / 2)
    return weights / weights.sum()


def blur(fields: Tensor) -> Tensor:
    """Gaussian window means of `[batch, *spatial, channels]` wherever the window fits, axis after axis.

    The window shrinks to an axis that is shorter; an axis whose length a graph does not know is taken to be
    longer.
    """
    channels = fields.shape[-1]
    last = len(fields.shape) - 2
    for axis in range(1, last + 1):
        size = min(WINDOW, fields.shape[axis] or WINDOW)
        shape = ops.shape(fields)
        # Two axes at a time around this one, so that a 2D convolution serves volumes too.
        if axis == last:
            rows, window = (-1, shape[axis - 1], shape[axis], channels), (1, size, 1, 1)
        else:
            rows, window = (-1, shape[axis], math.prod(shape[axis + 1 : -1]), channels), (size, 1, 1, 1)
        kernel = np.tile(gaussian(size).reshape(window), (1, 1, channels, 1))
        means = ops.depthwise_conv(ops.reshape(fields, rows), ops.cast(kernel, fields.dtype), padding="valid")
        fields = ops.reshape(means, (-1, *shape[1:axis], shape[axis] - size + 1, *shape[axis + 1 :]))
    return fields


def ssim_map(mean_t: Tensor, mean_p: Tensor, squares: Tensor, product: Tensor) -> Tensor:
    """SSIM of each window from its means of t, p, t² + p² and t p."""
    means_product = mean_t * mean_p
    means_squares = ops.square(mean_t) + ops.square(mean_p)
    luminance = (2 * means_product + C1) / (means_squares + C1)
    return luminance * (2 * (product - means_product) + C2) / (squares - means_squares + C2)


def dissimilarity(truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
    """One minus the mean SSIM of each sample and class, `[batch, classes]`.

    Both are `[batch, *spatial, classes]` in [0, 1]. With a mask a window's means are over its voxels that
    count, and windows weigh as much as they hold of them.
    """
    fields = (truth, prediction, ops.square(truth) + ops.square(prediction), truth * prediction)
    means = ops.split(blur(ops.concatenate(fields, axis=-1)), 4, axis=-1)
    if mask is None:
        return voxel_mean(1 - ssim_map(*means), None)
    coverage = blur(mask)
    similarity = ssim_map(*(ops.divide_no_nan(mean, coverage) for mean in means))
    return voxel_mean(1 - similarity, coverage)


@registered
class SSIM(SegmentationLoss):
    """SSIM loss: one minus the structural similarity of the probability map and the mask.

    `1 - mean((2 μ_t μ_p + C1)(2 σ_tp + C2) / ((μ_t² + μ_p² + C1)(σ_t² + σ_p² + C2)))` over windows that lie
    wholly inside, Gaussian 11×11 (11×11×11) with σ = 1.5 voxels, C1 = 0.01², C2 = 0.03². Along an axis
    shorter than 11 the window is as long as the axis.

    Args:
        include_background: count class 0 of a softmax too.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: `include_background` is no bool.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
    10.1109/TIP.2003.819861.
    """

    def __init__(self, *, include_background: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.include_background = check_choice("include_background", include_background, (True, False))

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        loss = dissimilarity(truth, prediction, mask)
        return self.class_mean(loss, include_background=self.include_background)
