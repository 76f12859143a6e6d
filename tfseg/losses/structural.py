"""Structural similarity losses."""

import math

import numpy as np
from keras import ops

from tfseg.losses.base import ForegroundLoss, power, voxel_mean
from tfseg.losses.filters import filter_along, samples_as_channels
from tfseg.losses.registry import Tensor, registered

WINDOW = 11
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def gaussian(size: int) -> np.ndarray:
    """`size` weights of a Gaussian window with sum 1."""
    offsets = np.arange(size) - (size - 1) / 2
    weights = np.exp(-((offsets / SIGMA) ** 2) / 2)
    return weights / weights.sum()


WINDOWS = np.stack([np.pad(gaussian(size), (0, WINDOW - size)) for size in range(1, WINDOW + 1)])


def window(side: int | Tensor, dtype: str) -> Tensor:
    """The window along an axis: 11 weights, or as many as the axis has voxels if it is shorter."""
    size = min(WINDOW, side) if isinstance(side, int) else ops.minimum(WINDOW, side)
    return ops.convert_to_tensor(WINDOWS, dtype=dtype)[size - 1, :size]


def blur(fields: Tensor) -> Tensor:
    """Gaussian window means of `[1, *spatial, channels]` wherever the window fits, one axis after another."""
    for axis in range(1, len(fields.shape) - 1):
        fields = filter_along(fields, axis, window(ops.shape(fields)[axis], fields.dtype), "valid")
    return fields


def as_channels(truth: Tensor, prediction: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Truth, prediction and mask, the last broadcast to their shape, as `samples_as_channels`."""
    if mask is not None:
        mask = samples_as_channels(ops.broadcast_to(mask, ops.shape(truth)))
    return samples_as_channels(truth), samples_as_channels(prediction), mask


def similarity(truth: Tensor, prediction: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Luminance, contrast-structure and weight of every window; the product of the first two is SSIM.

    Truth and prediction are `[1, *spatial, channels]` in [0, 1]. With a mask in [0, 1], the means of a window are
    over its counted voxels, and its weight is their share.
    """
    squares, product = ops.square(truth) + ops.square(prediction), truth * prediction
    fields = ops.concatenate((truth, prediction, squares, product), axis=-1)
    if mask is None:
        coverage = None
        means = ops.split(blur(fields), 4, axis=-1)
    else:
        coverage = blur(mask)
        counted = ops.concatenate([mask] * 4, axis=-1)
        means = [ops.divide_no_nan(mean, coverage) for mean in ops.split(blur(fields * counted), 4, axis=-1)]
    mean_t, mean_p, mean_squares, mean_product = means
    means_product, means_squares = mean_t * mean_p, ops.square(mean_t) + ops.square(mean_p)
    luminance = (2 * means_product + C1) / (means_squares + C1)
    contrast_structure = (2 * (mean_product - means_product) + C2) / (mean_squares - means_squares + C2)
    return luminance, contrast_structure, coverage


def halve(values: Tensor) -> Tensor:
    """`values` [1, *spatial, channels] at half the size: means of two voxels; if a side is odd, of ¼, ½, ¼."""
    for axis in range(1, len(values.shape) - 1):
        if values.shape[axis] % 2:
            before = (slice(None),) * axis
            values = (values[(*before, slice(None, -1))] + values[(*before, slice(1, None))]) / 2
        shape = ops.shape(values)
        pairs = ops.reshape(values, (*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :]))
        values = ops.mean(pairs, axis=axis + 1)
    return values


def halve_counted(truth: Tensor, prediction: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Truth, prediction and mask at half the size; a new voxel is the mean of its counted old ones."""
    if mask is None:
        return halve(truth), halve(prediction), None
    coverage = halve(mask)
    truth, prediction = (ops.divide_no_nan(halve(values * mask), coverage) for values in (truth, prediction))
    return truth, prediction, coverage


@registered
class SSIM(ForegroundLoss):
    """SSIM loss: one minus the structural similarity of the probability map and the mask.

    `1 - mean((2 μ_t μ_p + C1)(2 σ_tp + C2) / ((μ_t² + μ_p² + C1)(σ_t² + σ_p² + C2)))` over windows that are
    wholly inside, Gaussian 11×11 (11×11×11) with σ = 1.5 voxels, C1 = 0.01², C2 = 0.03². Along an axis
    shorter than 11 the window is as long as the axis.

    Args:
        **foreground: as `ForegroundLoss`.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
    10.1109/TIP.2003.819861.
    """

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        luminance, contrast_structure, coverage = similarity(*as_channels(truth, prediction, mask))
        mean = voxel_mean(1 - luminance * contrast_structure, coverage)
        return self.foreground_mean(ops.reshape(mean, (-1, prediction.shape[-1])))


@registered
class MultiScaleSSIM(ForegroundLoss):
    """Multi-scale SSIM loss: the structure of the probability map at up to five sizes.

    `1 - Π_j max(m_j, 0)^w_j`, m_j the mean contrast-structure term of SSIM at scale j, m_M the mean SSIM at the
    coarsest; each scale halves the image. w = 0.0448, 0.2856, 0.3001, 0.2363, 0.1333, rescaled to sum 1 over the
    scales whose every side has at least the 11 voxels of a window; the first scale is always used.

    Args:
        **foreground: as `ForegroundLoss`.

    Raises:
        ValueError: when called, the spatial size is unknown.

    Source: Wang et al. 2003, "Multiscale structural similarity for image quality assessment",
        10.1109/ACSSC.2003.1292216.
    """

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        sides = prediction.shape[1:-1]
        if None in sides:
            raise ValueError(f"y_pred must have a known size for ms_ssim; received {prediction.shape}")
        scales = min(len(SCALE_WEIGHTS), max(1, int(math.log2(min(sides) / WINDOW)) + 1)) if min(sides) >= WINDOW else 1
        classes = prediction.shape[-1]
        truth, prediction, mask = as_channels(truth, prediction, mask)
        product = 1.0
        for scale in range(scales):
            luminance, contrast_structure, coverage = similarity(truth, prediction, mask)
            last = scale == scales - 1
            term = luminance * contrast_structure if last else contrast_structure
            mean = 1 - voxel_mean(1 - term, coverage)
            product = product * power(mean, SCALE_WEIGHTS[scale] / sum(SCALE_WEIGHTS[:scales]))
            if not last:
                truth, prediction, mask = halve_counted(truth, prediction, mask)
        return self.foreground_mean(ops.reshape(1 - product, (-1, classes)))
