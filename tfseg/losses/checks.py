"""Arguments of losses, checked one by one."""

import math
from collections.abc import Mapping, Set
from numbers import Integral, Real
from typing import Any

import numpy as np


def check_number(
    argument: str, value: Any, *, low: float, high: float = math.inf, above: bool = False, below: bool = False
) -> float:
    """`value` as a float if it is finite and in [low, high] (`above`, `below`: without its end), else ValueError."""
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if number and low <= value <= high and not (above and value == low) and not (below and value == high):
        return float(value)
    interval = f"{'(' if above else '['}{low:g}, {high:g}{')' if below or math.isinf(high) else ']'}"
    raise ValueError(f"{argument} must be a number in {interval}; received {value!r}")


def check_choice(argument: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """`value` if it is one of `choices`, else ValueError."""
    if any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        return value
    raise ValueError(f"{argument} must be one of {', '.join(map(repr, choices))}; received {value!r}")


def check_class_weights(weights: Any) -> list[float] | None:
    """Class weights as a list of non-negative floats that are not all zero, else ValueError."""
    if weights is None:
        return None
    if not _is_sequence(weights):
        raise ValueError(f"class_weights must be a sequence of numbers, one per class; received {weights!r}")
    checked = [check_number("each of class_weights", weight, low=0) for weight in weights]
    if sum(checked) == 0:
        raise ValueError(f"class_weights must hold a number above 0; received {weights!r}")
    return checked


def check_spacing(spacing_mm: Any) -> list[float] | None:
    """Spacing as a list of positive floats, one per spatial axis or one for all of them, else ValueError."""
    if spacing_mm is None:
        return None
    steps = list(spacing_mm) if _is_sequence(spacing_mm) else [spacing_mm]
    if len(steps) not in (1, 2, 3):
        raise ValueError(f"spacing_mm must hold one number per spatial axis, or one for all; received {spacing_mm!r}")
    return [check_number("each of spacing_mm", step, low=0, above=True) for step in steps]


def _is_sequence(value: Any) -> bool:
    return np.iterable(value) and not isinstance(value, str | Mapping | Set)


def check_count(argument: str, value: Any) -> int:
    """`value` as an int if it is a whole number of at least 1, else ValueError."""
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1:
        return int(value)
    raise ValueError(f"{argument} must be a whole number of at least 1; received {value!r}")
