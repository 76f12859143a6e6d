"""Weights of the terms of a sum: numbers, and ramps that change from epoch to epoch."""

from collections.abc import Mapping
from typing import Any, TypeGuard

import keras

from tfseg.losses.checks import is_number

Weight = float | Mapping[str, float]

RAMP = ("from", "to", "epochs")


def checked_weight(weight: Any) -> float | dict[str, float]:
    """A weight as a float or a ramp as a dict, else ValueError."""
    if isinstance(weight, Mapping):
        if set(weight) == set(RAMP) and all(map(is_weight, weight.values())) and weight["epochs"] > 0:
            return {key: weight[key] for key in RAMP}
    elif is_weight(weight):
        return float(weight)
    raise ValueError(
        "a weight must be a number of at least 0, or {from: a, to: b, epochs: n} of such numbers with n above 0; "
        f"received {weight!r}"
    )


def scaled(weight: Weight, factor: float) -> Weight:
    """A weight or both ends of a ramp, multiplied."""
    if isinstance(weight, Mapping):
        return {"from": factor * weight["from"], "to": factor * weight["to"], "epochs": weight["epochs"]}
    return factor * weight


def is_weight(value: Any) -> TypeGuard[float]:
    """Whether this is a number of at least 0."""
    return is_number(value) and value >= 0


def variable(weight: float | dict[str, float], epoch: int) -> Any:
    """A ramp as a variable, so that graphs see it change; a number unchanged."""
    if not isinstance(weight, dict):
        return weight
    if keras.backend.backend() == "jax":
        raise ValueError(f"on JAX a weight must be a number, as a ramp would not change; received {weight}")
    return keras.Variable(ramp_value(weight, epoch), trainable=False)


def ramp_value(ramp: Mapping[str, float], epoch: int) -> float:
    """The weight in an epoch, counted from 0: `from + (to - from) min(epoch / epochs, 1)`."""
    return ramp["from"] + (ramp["to"] - ramp["from"]) * min(epoch / ramp["epochs"], 1.0)
