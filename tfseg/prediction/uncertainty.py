"""Measure how uncertain probabilities are, voxel by voxel."""

from typing import Any

from keras import ops

TINY = 1e-37  # a positive float32, so that 0 log 0 is 0


def entropy(probability: Any, activation: str) -> Any:
    """Return the entropy in nats of probabilities `[..., channels]` as a tensor `[...]`.

    Softmax: `-Σ_c p_c log p_c`, from 0 to log(channels). Sigmoid: the sum of `-p log p - (1 - p) log(1 - p)` over
    channels, which are independent, from 0 to channels · log 2.

    Args:
        probability: in [0, 1].
        activation: "softmax" or "sigmoid".

    >>> float(entropy([0.5, 0.25, 0.25], "softmax"))  # 1.5 log 2
    1.0397207736968994
    >>> float(entropy([0.5, 0.0], "sigmoid"))
    0.6931471824645996

    Source: Shannon 1948 (10.1002/j.1538-7305.1948.tb01338.x).
    """
    p = ops.convert_to_tensor(probability)
    surprise = p * ops.log(ops.maximum(p, TINY))
    if activation == "sigmoid":
        surprise += (1 - p) * ops.log(ops.maximum(1 - p, TINY))
    return -ops.sum(surprise, axis=-1)


def foreground(probability: Any, activation: str) -> Any:
    """Return the probability of any foreground from probabilities `[..., channels]` as a tensor `[...]`.

    Softmax: `1 - p_0`. Sigmoid: `1 - Π_c (1 - p_c)` over channels, which are independent; one channel's is its own.

    Args:
        probability: in [0, 1].
        activation: "softmax" or "sigmoid".

    >>> float(foreground([0.5, 0.25, 0.25], "softmax")), float(foreground([0.5, 0.5], "sigmoid"))
    (0.5, 0.75)
    """
    p = ops.convert_to_tensor(probability)
    return 1 - (p[..., 0] if activation == "softmax" else ops.prod(1 - p, axis=-1))
