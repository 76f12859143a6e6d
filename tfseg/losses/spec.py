"""The command-line form of a loss, `name` or `name:param=value,param=value`, without Keras."""

import re
from collections.abc import Mapping
from typing import Any

Value = bool | int | float | str | None

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WORDS: dict[str, Value] = {"true": True, "false": False, "none": None}


def parse(text: str) -> tuple[str, dict[str, Value]]:
    """Read the name and the parameters of one loss, such as `tversky:alpha=0.3,overlap_over=batch`.

    Args:
        text: one loss; a value is a number, true, false, none or a name.

    Raises:
        ValueError: `text` has another form, or gives a parameter twice.

    Example:
        >>> parse("tversky:alpha=0.3,overlap_over=batch")
        ('tversky', {'alpha': 0.3, 'overlap_over': 'batch'})
    """
    name, colon, rest = text.strip().partition(":")
    _check_name(name, text)
    params: dict[str, Value] = {}
    for part in rest.split(",") if colon else ():
        param, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"expected param=value after the colon; received {part!r} in {text!r}")
        _check_name(param, text)
        if param in params:
            raise ValueError(f"{param} is given twice in {text!r}")
        params[param] = _value(value, text)
    return name, params


def parse_list(text: str) -> list[tuple[str, dict[str, Value]]]:
    """Read a list of losses such as `dice,tversky:alpha=0.3,beta=0.7,ce`.

    A part with `=` and no `:` belongs to the loss before it.

    Raises:
        ValueError: as `parse`.

    Example:
        >>> parse_list("dice,tversky:alpha=0.3,beta=0.7")
        [('dice', {}), ('tversky', {'alpha': 0.3, 'beta': 0.7})]
    """
    losses: list[str] = []
    for part in text.split(","):
        if losses and "=" in part and ":" not in part:
            losses[-1] += f",{part}"
        else:
            losses.append(part)
    return [parse(loss) for loss in losses]


def title(loss: Mapping[str, Any]) -> str:
    """Write a configured loss as on the command line; a sum with its weights.

    Example:
        >>> title({"name": "tversky", "alpha": 0.3})
        'tversky:alpha=0.3'
        >>> title({"sum": ["dice", {"name": "boundary", "weight": 0.1}]})
        'dice + 0.1·boundary'
    """
    if "sum" in loss:
        return " + ".join(_weighted_title(part) for part in loss["sum"])
    described = ",".join(f"{key}={value}" for key, value in loss.items() if key != "name")
    return f"{loss['name']}:{described}" if described else str(loss["name"])


def _weighted_title(part: str | Mapping[str, Any]) -> str:
    if isinstance(part, str):
        return part
    weight = part.get("weight", 1)
    if isinstance(weight, Mapping):
        weight = f"({weight['from']}→{weight['to']})"
    return f"{weight}·{title({key: value for key, value in part.items() if key != 'weight'})}"


def _check_name(name: str, text: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected a name of letters, digits and _; received {name!r} in {text!r}")


def _value(value: str, text: str) -> Value:
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    _check_name(value, text)
    return value
