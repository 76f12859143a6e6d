"""Exact Euclidean distances to the boundary of a mask, inside a graph."""

from collections.abc import Sequence

import edt
import numpy as np
from keras import ops

from tfseg.losses.host import on_host
from tfseg.losses.registry import Tensor

FAR = 1e12  # squared, in the largest step; no distance in an image comes near it


def boundary_distance(mask: Tensor, spacing: Sequence[float]) -> Tensor:
    """Distance of every voxel to the nearest voxel on the other side of the boundary of its mask.

    A mask without a boundary, empty or full, has distance 0 everywhere. The result has no gradient. Under
    TensorFlow on a CPU it is computed by an exact library in a host call; on a GPU, under XLA and on other
    backends, by Keras operations.

    Args:
        mask: boolean `[batch, *spatial, classes]` in 2D or 3D, one mask per sample and class.
        spacing: distance between voxel centres along each spatial axis.

    Returns:
        float32 of the mask's shape, in the unit of `spacing`.

    Example:
        >>> import numpy as np
        >>> mask = np.array([True, True, False, False, False]).reshape(1, 1, 5, 1)
        >>> boundary_distance(mask, spacing=[1.0, 0.5]).numpy().ravel()
        array([1. , 0.5, 0.5, 1. , 1.5], dtype=float32)

    Source: Felzenszwalb and Huttenlocher 2012, 10.4086/toc.2012.v008a019.
    """
    distance = on_host(lambda masks: host_distance(masks, spacing), mask, "float32")
    return graph_distance(mask, spacing) if distance is None else distance


def host_distance(masks: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """`boundary_distance` of a NumPy array."""
    distance = np.zeros(masks.shape, np.float32)
    for sample, each in enumerate(masks):
        for channel in range(masks.shape[-1]):
            mask = np.ascontiguousarray(each[..., channel])
            if mask.any() and not mask.all():
                # Two labels: edt measures the distance of each to the nearest voxel of the other.
                sides = mask.astype(np.uint8) + 1
                distance[sample, ..., channel] = edt.edt(sides, anisotropy=tuple(spacing), black_border=False)
    return distance


def graph_distance(mask: Tensor, spacing: Sequence[float]) -> Tensor:
    """`boundary_distance` in Keras operations only."""
    unit = max(spacing)
    steps = [step / unit for step in spacing]
    outside = _squared_distance(mask, steps)
    inside = _squared_distance(ops.logical_not(mask), steps)
    squared = ops.where(mask, inside, outside)
    return unit * ops.sqrt(ops.where(squared < FAR, squared, 0.0))


def _squared_distance(mask: Tensor, spacing: Sequence[float]) -> Tensor:
    """Squared distance to the nearest True voxel, `FAR` or more if there is none, one axis after another."""
    squared = ops.where(mask, 0.0, FAR)
    for axis, step in enumerate(spacing, start=1):
        squared = ops.moveaxis(_nearest_along(ops.moveaxis(squared, axis, 0), step), 0, axis)
    return squared


def _nearest_along(squared: Tensor, step: float) -> Tensor:
    """The minimum over all sources along the first axis of their value plus the squared distance to them."""
    length = ops.shape(squared)[0]
    index = ops.reshape(ops.arange(length, dtype="float32"), (-1, *[1] * (len(squared.shape) - 1)))

    def nearer(source: Tensor, best: Tensor) -> Tensor:
        away = ops.square(step * (index - ops.cast(source, "float32")))
        return ops.minimum(best, ops.expand_dims(squared[source], 0) + away)

    return ops.fori_loop(0, length, nearer, squared)
