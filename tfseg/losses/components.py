"""Connected components of masks, inside a graph."""

import numpy as np
from keras import ops

from tfseg.core import geometry
from tfseg.losses.host import on_host
from tfseg.losses.registry import Tensor


def components(mask: Tensor) -> Tensor:
    """Number the connected components of masks; voxels that share a face, an edge or a corner are connected.

    Under TensorFlow on a CPU a library numbers them in a host call; on a GPU, under XLA and on other backends, Keras
    operations do.

    Args:
        mask: boolean `[batch, *spatial, classes]` in 2D or 3D, one mask per sample and class.

    Returns:
        int32 of the mask's shape: 0 outside the mask, and for each component of a sample and class a number of its own
        from 1 to the number of voxels.

    Example:
        >>> import numpy as np
        >>> mask = np.array([1, 1, 0, 1]).reshape(1, 1, 4, 1) > 0
        >>> components(mask).numpy().ravel()
        array([1, 1, 0, 2], dtype=int32)
    """
    numbered = on_host(host_components, mask, "int32")
    return graph_components(mask) if numbered is None else numbered


def host_components(masks: np.ndarray) -> np.ndarray:
    """`components` of a NumPy array."""
    numbered = np.zeros(masks.shape, np.int32)
    for sample, each in enumerate(masks):
        for channel in range(masks.shape[-1]):
            numbered[sample, ..., channel], _ = geometry.components(np.ascontiguousarray(each[..., channel]))
    return numbered


def graph_components(mask: Tensor) -> Tensor:
    """`components` in Keras operations only: voxels take the largest number of their neighbours until none changes."""
    mask = ops.cast(mask, "int32")
    shape = ops.shape(mask)
    voxels = 1
    for side in shape[1:-1]:
        voxels = voxels * side
    numbers = ops.reshape(1 + ops.arange(voxels, dtype="int32"), (1, *shape[1:-1], 1)) * mask

    def grow(numbers: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        grown = numbers
        for axis in range(1, len(mask.shape) - 1):
            grown = largest_neighbour(grown, axis)
        grown = ops.reshape(grown * mask, shape)
        return grown, ops.any(grown != numbers)

    numbers, _ = ops.while_loop(lambda _, changed: changed, grow, (numbers, ops.any(mask > 0)))
    return numbers


def largest_neighbour(numbers: Tensor, axis: int) -> Tensor:
    """The maximum of each number ≥ 0 and its two neighbours along an axis."""
    sides = [(1, 1) if each == axis else (0, 0) for each in range(len(numbers.shape))]
    padded = ops.pad(numbers, sides)
    before, after = [slice(None)] * len(sides), [slice(None)] * len(sides)
    before[axis], after[axis] = slice(None, -2), slice(2, None)
    return ops.maximum(numbers, ops.maximum(padded[tuple(before)], padded[tuple(after)]))
