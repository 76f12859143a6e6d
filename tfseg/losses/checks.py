"""Checks of the arguments of losses."""

import math
from collections.abc import Mapping, Set
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np

SMALLEST, LARGEST = (float(limit) for limit in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether this is a number that float32 can represent without overflow or underflow."""
    return _is_real(value) and (value == 0 or SMALLEST <= abs(value) <= LARGEST)


def _is_real(value: Any) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_number(
    argument: str, value: Any, *, low: float, high: float = math.inf, above: bool = False, below: bool = False
) -> float:
    """`value` as a float if `is_number` and in [low, high] (`above`, `below`: without its end), else ValueError."""
    if is_number(value) and low <= value <= high and not (above and value == low) and not (below and value == high):
        return float(value)
    interval = f"{'(' if above else '['}{low:g}, {high:g}{')' if below or math.isinf(high) else ']'}"
    limit = " within the range of float32" if _is_real(value) and low < value < high else ""
    raise ValueError(f"{argument} must be a number in {interval}{limit}; received {value!r}")


def check_choice(argument: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """`value` if it is one of `choices`, else ValueError."""
    if any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        return value
    raise ValueError(f"{argument} must be one of {', '.join(map(repr, choices))}; received {value!r}")


def check_class_weights(weights: Any) -> list[float] | None:
    """Class weights as a list of non-negative floats that are not all zero, else ValueError."""
    if weights is None:
        return None
    numbers = check_sequence("class_weights", weights)
    checked = [check_number("each of class_weights", weight, low=0) for weight in numbers]
    if sum(checked) == 0:
        raise ValueError(f"class_weights must have a number above 0; received {weights!r}")
    return checked


def check_spacing(spacing_mm: Any) -> list[float] | None:
    """Spacing as a list of positive floats, one per spatial axis or one for all of them, else ValueError."""
    if spacing_mm is None:
        return None
    steps = list(spacing_mm) if _is_sequence(spacing_mm) else [spacing_mm]
    if len(steps) not in (1, 2, 3):
        raise ValueError(f"spacing_mm must have one number per spatial axis, or one for all; received {spacing_mm!r}")
    return [check_number("each of spacing_mm", step, low=0, above=True) for step in steps]


def check_distances(argument: str, value: Any) -> list[list[float]] | None:
    """A square matrix of floats ≥ 0, 0 on the diagonal and with a number above 0, as lists, else ValueError."""
    if value is None:
        return None
    rows = [list(row) for row in value if _is_sequence(row)] if _is_sequence(value) else []
    numbers = [number for row in rows for number in row]
    square = len(rows) >= 2 and all(len(row) == len(rows) == len(value) for row in rows)
    if square and all(is_number(number) and number >= 0 for number in numbers):
        matrix = [[float(number) for number in row] for row in rows]
        if not any(matrix[place][place] for place in range(len(matrix))) and max(map(max, matrix)) > 0:
            return matrix
    raise ValueError(
        f"{argument} must be a square matrix of numbers of at least 0, 0 on the diagonal and not 0 everywhere; "
        f"received {value!r}"
    )


def check_sequence(argument: str, value: Any) -> list[Any]:
    """`value` as a list if it is a sequence, else ValueError."""
    if _is_sequence(value):
        return list(value)
    raise ValueError(f"{argument} must be a sequence; received {value!r}")


def _is_sequence(value: Any) -> bool:
    return np.iterable(value) and not isinstance(value, str | bytes | Mapping | Set)


def check_count(argument: str, value: Any, *, low: int = 1) -> int:
    """`value` as an int if it is a whole number of at least `low`, else ValueError."""
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low:
        return int(value)
    raise ValueError(f"{argument} must be a whole number of at least {low}; received {value!r}")
