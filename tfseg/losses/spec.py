"""The command-line form of a loss, `name` or `name:param=value,param=value`; read and written without loading Keras."""

import re
from collections.abc import Mapping
from typing import Any

Value = bool | int | float | str | None

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WORDS: dict[str, Value] = {"true": True, "false": False, "none": None}


def parse(text: str) -> tuple[str, dict[str, Value]]:
    """The name and the parameters in `text`, such as `tversky:alpha=0.3,overlap_over=batch`.

    Args:
        text: one loss; a value is a number, true, false, none or a name.

    Raises:
        ValueError: `text` has another form, or gives a parameter twice.
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
    """The losses in a list such as `dice,tversky:alpha=0.3,beta=0.7,ce`.

    A part with `=` and no `:` belongs to the loss before it.

    Raises:
        ValueError: as `parse`.
    """
    losses: list[str] = []
    for part in text.split(","):
        if losses and "=" in part and ":" not in part:
            losses[-1] += f",{part}"
        else:
            losses.append(part)
    return [parse(loss) for loss in losses]


def title(loss: Mapping[str, Any]) -> str:
    """Return a configured loss as it is written on a command line, `tversky:alpha=0.3`; a sum with its weights."""
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
