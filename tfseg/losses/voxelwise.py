"""Costs of each voxel, and means of them; the gradients of clipped probabilities are finite."""

import math
from collections.abc import Callable

from keras import ops

from tfseg.losses.base import voxel_mean
from tfseg.losses.gradients import with_gradient
from tfseg.losses.registry import Tensor

Pair = tuple[float, float]

EPSILON = 1e-7  # probabilities are clipped this far from 0 and 1, so that logarithms and their gradients are finite


def kept_from_ends(prediction: Tensor, high: float = 1 - EPSILON) -> Tensor:
    """Probabilities clipped to [1e-7, high], with the gradient at the limit, so that clipped voxels still learn."""

    @with_gradient
    def kept(prediction: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return ops.clip(prediction, EPSILON, high), lambda upstream: upstream

    return kept(prediction)


def binary_cross_entropy(truth: Tensor, prediction: Tensor) -> Tensor:
    """`-y log p - (1-y) log(1-p)` of each voxel and channel.

    The gradient, `(p-y) / (p (1-p))`, is written out; for clipped p it is the one at the limit.
    """

    @with_gradient
    def cost(prediction: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        p = ops.clip(prediction, EPSILON, 1 - EPSILON)
        q = 1 - p
        value = (truth - 1) * ops.log(q) - truth * ops.log(p)
        return value, lambda upstream: upstream * ((p - truth) / (p * q))

    return cost(prediction)


def mean_binary_cross_entropy(truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over space of `binary_cross_entropy`, `[batch, classes]`; without a mask in fewer passes."""
    if mask is not None:
        return voxel_mean(binary_cross_entropy(truth, prediction), mask)
    space = ops.shape(prediction)[1:-1]

    @with_gradient
    def mean(prediction: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        p = ops.clip(prediction, EPSILON, 1 - EPSILON)
        q = 1 - p

        def gradient(upstream: Tensor) -> Tensor:
            each = ops.reshape(upstream / ops.cast(math.prod(space), p.dtype), (-1, *[1] * len(space), p.shape[-1]))
            return each * ((p - truth) / (p * q))

        return voxel_mean((truth - 1) * ops.log(q), None) - voxel_mean(truth * ops.log(p), None), gradient

    return mean(prediction)


def weighted_binary_cross_entropy(truth: Tensor, prediction: Tensor, positive: float, negative: float) -> Tensor:
    """`-positive y log p - negative (1-y) log(1-p)` of each voxel and channel.

    The gradient is written out, which takes half the time; for clipped p it is the one at the limit.
    """

    @with_gradient
    def cost(prediction: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        p = ops.clip(prediction, EPSILON, 1 - EPSILON)
        q = 1 - p
        inside, outside = positive * truth, negative * (1 - truth)
        return -(inside * ops.log(p) + outside * ops.log(q)), lambda upstream: upstream * (outside / q - inside / p)

    return cost(prediction)


def categorical_cross_entropy(truth: Tensor, prediction: Tensor) -> Tensor:
    """`-y_c log p_c` of each voxel and class, to be summed over classes."""
    return -truth * ops.log(kept_from_ends(prediction, high=1))


def binary_focal(truth: Tensor, prediction: Tensor, gammas: Pair, weights: Pair) -> Tensor:
    """`-a (1-p)^γ y log p - a' p^γ' (1-y) log(1-p)` of each voxel and channel; pairs are (foreground, background)."""
    p = kept_from_ends(prediction)
    q = 1 - p
    foreground = weights[0] * ops.power(q, gammas[0]) * truth * ops.log(p)
    return -(foreground + weights[1] * ops.power(p, gammas[1]) * (1 - truth) * ops.log(q))


def categorical_focal(truth: Tensor, prediction: Tensor, gammas: Pair, weights: Pair) -> Tensor:
    """`-a_c (1-p_c)^γ_c y_c log p_c` of each voxel and class, to be summed; pairs are (foreground, background)."""
    p = kept_from_ends(prediction)
    gamma, weight = (
        ops.convert_to_tensor([pair[1]] + [pair[0]] * (prediction.shape[-1] - 1), dtype=prediction.dtype)
        for pair in (gammas, weights)
    )
    return -weight * ops.power(1 - p, gamma) * truth * ops.log(p)


def log_cosh(truth: Tensor, prediction: Tensor) -> Tensor:
    """`log cosh(p - y)` of each voxel and channel."""
    growth = ops.exp(prediction - truth)
    return ops.log((growth + 1 / growth) / 2)


def present_mean(costs: Tensor, counts: Tensor, weights: list[float]) -> Tensor:
    """Weighted mean of `costs / counts` over the entries of the last axis whose count is not 0."""
    present = ops.convert_to_tensor(weights, dtype=costs.dtype) * ops.cast(counts > 0, costs.dtype)
    return ops.divide_no_nan(ops.sum(present * ops.divide_no_nan(costs, counts), -1), ops.sum(present, -1))


def worst_mean(cost: Tensor, mask: Tensor | None, fraction: float) -> Tensor:
    """Mean of the largest `fraction` of the counted costs ≥ 0, `[batch, *spatial, channels]` to `[batch, channels]`."""
    batch, *space, channels = ops.shape(cost)
    voxels = math.prod(space)
    if isinstance(voxels, int):
        most = max(1, round(fraction * voxels))
    else:  # a graph of unknown image size
        most = ops.cast(ops.ceil(fraction * ops.cast(voxels, "float32")), "int32")
    counted = ops.ones_like(cost) if mask is None else ops.broadcast_to(mask, ops.shape(cost))
    rows, counted = (
        ops.transpose(ops.reshape(values, (batch, -1, channels)), (0, 2, 1))
        for values in (ops.where(counted > 0, cost, -1.0), counted)
    )
    largest, _ = ops.top_k(rows, most)
    taken = ops.maximum(ops.round(fraction * ops.sum(counted, axis=-1, keepdims=True)), 1.0)
    rank = ops.arange(ops.shape(largest)[-1], dtype=cost.dtype)
    return ops.sum(ops.where(rank < taken, ops.maximum(largest, 0.0), 0.0), axis=-1) / taken[..., 0]
