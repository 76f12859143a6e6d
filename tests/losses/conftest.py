"""Example segmentations of every kind that a loss takes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest


class Example(NamedTuple):
    truth: np.ndarray  # a channel per class
    prediction: np.ndarray
    params: dict[str, bool]


SHAPES = {
    "binary2d": (13, 12, 1),
    "binary3d": (6, 12, 5, 1),
    "softmax2d": (12, 13, 3),
    "softmax3d": (5, 6, 12, 3),
    "regions2d": (12, 11, 2),
    "regions3d": (6, 5, 7, 2),
}


def make_example(kind: str, seed: int = 0, samples: int = 3) -> Example:
    """Random truth and prediction, float64, probabilities within [0.05, 0.95]."""
    rng = np.random.default_rng(seed)
    shape = (samples, *SHAPES[kind])
    noise = rng.uniform(0.05, 0.95, shape)
    if kind.startswith("softmax"):
        labels = rng.integers(0, shape[-1], shape[:-1])
        return Example(np.eye(shape[-1])[labels], noise / noise.sum(-1, keepdims=True), {})
    truth = (rng.random(shape) < 0.4).astype(float)
    return Example(truth, noise, {"regions": True} if kind.startswith("regions") else {})


@pytest.fixture(scope="session")
def example() -> Callable[..., Example]:
    return make_example


@pytest.fixture(scope="session")
def examples() -> dict[str, Example]:
    """One example of each kind, by its name, for tests that hold for all of them."""
    return {kind: make_example(kind) for kind in SHAPES}
