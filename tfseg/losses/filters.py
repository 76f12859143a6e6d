"""Filters along the axes of images; the samples of a batch become channels, which is faster."""

import math
from collections.abc import Sequence

from keras import ops

from tfseg.losses.registry import Tensor


def samples_as_channels(values: Tensor) -> Tensor:
    """`values` [batch, *spatial, classes] as `[1, *spatial, batch · classes]`, sample by sample."""
    moved = ops.moveaxis(values, 0, -2)
    return ops.reshape(moved, (1, *ops.shape(moved)[:-2], -1))


def filter_along(values: Tensor, axis: int, weights: Sequence[float] | Tensor, padding: str) -> Tensor:
    """Weighted sums of neighbours along a spatial axis, for each channel.

    Args:
        values: `[1, *spatial, channels]`.
        axis: the axis of the neighbours, 1 or more.
        weights: the weights of the neighbours, in order.
        padding: "same" centres an odd number of weights on each voxel, with 0 beyond the image; "valid" keeps only
            sums that are wholly inside.
    """
    weights = ops.convert_to_tensor(weights, dtype=values.dtype)
    shape, size = ops.shape(values), ops.shape(weights)[0]
    channels = shape[-1]
    # The other axes are merged, so that a 2D convolution also filters volumes.
    if axis == len(values.shape) - 2:
        rows, window = (-1, shape[axis - 1], shape[axis], channels), (1, size, 1, 1)
    else:
        rows, window = (-1, shape[axis], math.prod(shape[axis + 1 : -1]), channels), (size, 1, 1, 1)
    kernel = ops.broadcast_to(ops.reshape(weights, window), (*window[:2], channels, 1))
    sums = ops.depthwise_conv(ops.reshape(values, rows), kernel, padding=padding)
    length = shape[axis] if padding == "same" else shape[axis] - size + 1
    return ops.reshape(sums, (*shape[:axis], length, *shape[axis + 1 :]))
