"""A search space: for fields of the configuration, which values to try and when."""

import difflib
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfseg.config.config import Config, validate
from tfseg.config.yaml_files import REPLACED, merge, read_yaml
from tfseg.core.errors import ConfigError
from tfseg.tuning.search import SearchConfig

LISTS, RANGES = ("grid", "choice"), ("uniform", "loguniform", "randint")
KINDS = (*LISTS, *RANGES)
SEARCH, IF = "search", "if"

Values = dict[str, Any]  # dotted field → value


@dataclass(frozen=True)
class Parameter:
    """The values of one field: a list to choose from, or both ends of a range, which belong to it.

    `conditions`: field → values, one of which it must have; otherwise the field is left as the configuration says.
    """

    field: str
    kind: str
    values: tuple[Any, ...]
    conditions: Mapping[str, tuple[Any, ...]]

    @property
    def is_list(self) -> bool:
        """Whether values are chosen from a list."""
        return self.kind in LISTS

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw one value."""
        if self.is_list:
            return self.values[int(rng.integers(len(self.values)))]
        low, high = self.values
        if self.kind == "randint":
            return int(rng.integers(low, high + 1))
        if self.kind == "loguniform":
            return float(math.exp(rng.uniform(math.log(low), math.log(high))))
        return float(rng.uniform(low, high))


@dataclass(frozen=True)
class Space:
    """Parameters, ordered so that every condition is about a field before, and the default way to search them."""

    parameters: tuple[Parameter, ...]
    search: SearchConfig

    @property
    def fields(self) -> list[str]:
        """The dotted fields, in order."""
        return [parameter.field for parameter in self.parameters]

    def points(self, config: Config) -> Iterator[Values]:
        """Return every combination of the lists, without fields whose conditions do not hold; none twice.

        Raises:
            ConfigError: if a parameter is a range.
        """
        for parameter in self.parameters:
            if not parameter.is_list:
                raise ConfigError(f"{parameter.field}: a grid search needs a list; received {parameter.kind}")
        return self._combine(config, itertools.product(*(parameter.values for parameter in self.parameters)))

    def corners(self, config: Config, most: int) -> Iterator[Values]:
        """Yield combinations of listed values and ends of ranges, as `points`: all, or `most` of them drawn evenly."""
        sides = [parameter.values for parameter in self.parameters]
        if math.prod(map(len, sides)) <= most:
            return self._combine(config, itertools.product(*sides))
        rng = random.Random(0)
        return self._combine(config, (tuple(map(rng.choice, sides)) for _ in range(most)))

    def propose(self, config: Config, value_of: Callable[[Parameter], Any]) -> Values:
        """Return the values of every parameter whose conditions hold, each given by `value_of`."""
        values: Values = {}
        for parameter in self.parameters:
            if all(_value(field, values, config) in allowed for field, allowed in parameter.conditions.items()):
                values[parameter.field] = value_of(parameter)
        return values

    def applicable_to(self, config: Config) -> "Space":
        """Return the parameters whose conditions can hold, given a configuration and the values of the others."""
        kept: dict[str, Parameter] = {}
        for parameter in self.parameters:
            if all(_can_be(field, allowed, kept, config) for field, allowed in parameter.conditions.items()):
                kept[parameter.field] = parameter
        return Space(tuple(kept.values()), self.search)

    def to_values(self) -> dict[str, Any]:
        """Return what a YAML file of the space holds, without the search."""
        return {
            each.field: {each.kind: list(each.values)}
            | ({IF: {field: list(allowed) for field, allowed in each.conditions.items()}} if each.conditions else {})
            for each in self.parameters
        }

    def _combine(self, config: Config, combinations: Iterable[Sequence[Any]]) -> Iterator[Values]:
        seen: set[str] = set()
        for combination in combinations:
            given = dict(zip(self.fields, combination, strict=True))
            point = self.propose(config, lambda parameter, given=given: given[parameter.field])  # type: ignore[misc]
            if repr(point) not in seen:
                seen.add(repr(point))
                yield point


def read_space(path: Path) -> Space:
    """Read a space from YAML: dotted field → `{grid: […]}` and so on, each with `if: {field: value}` if conditional.

    Raises:
        ConfigError: if it is not readable, or a parameter has another form or an empty range.
    """
    return parse_space(read_yaml(path), str(path))


def parse_space(values: Mapping[str, Any], where: str) -> Space:
    """Read a space from the values of its file; messages begin with `where`.

    Raises:
        ConfigError: as `read_space`.
    """
    asked = values.get(SEARCH) or {}
    if not isinstance(asked, Mapping):
        raise ConfigError(f"{where}: {SEARCH}: expected settings, as in {{method: random}}; received {asked!r}")
    search = validate(SearchConfig, asked, f"{where}: {SEARCH}")
    parameters = [
        _parameter(str(field), given, f"{where}: {field}") for field, given in values.items() if field != SEARCH
    ]
    if not parameters:
        raise ConfigError(f"{where}: expected fields to search, as in training.epochs: {{grid: [10, 20]}}")
    names = {name for each in parameters for name in (each.field, *each.conditions)}
    for each in parameters:
        if parts := [name for name in names if name.startswith(f"{each.field}.")]:
            raise ConfigError(f"{where}: {min(parts)} is part of {each.field}; search one of them")
    return Space(_ordered(parameters, where), search)


def with_values(config: Config, values: Mapping[str, Any], where: str = "the trial") -> Config:
    """Return a configuration with some fields set.

    Raises:
        ConfigError: if a field is unknown or a value out of range.

    >>> with_values(Config(), {"training.epochs": 5, "loss.name": "focal"}).loss
    {'name': 'focal'}
    """
    changed: dict[str, Any] = {}
    for field in sorted(values, key=_replaces_others, reverse=True):
        nested = values[field]
        for key in reversed(field.split(".")):
            nested = {key: nested}
        changed = merge(changed, nested)
    return validate(Config, merge(config.model_dump(mode="json"), changed), where)


def _parameter(field: str, given: Any, where: str) -> Parameter:
    kinds = [key for key in given if key != IF] if isinstance(given, Mapping) else []
    if len(kinds) != 1:
        raise ConfigError(f"{where}: expected one of {', '.join(KINDS)}, as in {{grid: [1, 2]}}; received {given!r}")
    (kind,) = kinds
    if kind not in KINDS:
        nearest = difflib.get_close_matches(str(kind), KINDS, n=1)
        raise ConfigError(
            f"{where}: no way to search is called {kind}; "
            + (f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(KINDS)}")
        )
    values, conditions = given[kind], given.get(IF, {})
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{where}.{kind}: expected a list of values, received {values!r}")
    if kind in RANGES:
        _check_range(kind, values, f"{where}.{kind}")
    elif any(values.count(value) > 1 for value in values):
        raise ConfigError(f"{where}.{kind}: a value is listed twice in {values}")
    if not isinstance(conditions, Mapping):
        raise ConfigError(f"{where}.{IF}: expected {{field: value}}, received {conditions!r}")
    allowed = {str(name): tuple(value if isinstance(value, list) else [value]) for name, value in conditions.items()}
    return Parameter(field, str(kind), tuple(values), allowed)


def _check_range(kind: str, values: Sequence[Any], where: str) -> None:
    number = int if kind == "randint" else (int, float)
    if len(values) != 2 or not all(isinstance(value, number) and not isinstance(value, bool) for value in values):
        whole = "two whole numbers" if kind == "randint" else "two numbers"
        raise ConfigError(f"{where}: expected {whole}, low and high; received {values}")
    if not values[0] < values[1]:
        raise ConfigError(f"{where}: an empty range; expected low < high, received {values}")
    if kind == "loguniform" and values[0] <= 0:
        raise ConfigError(f"{where}: expected low > 0, received {values}")


def _ordered(parameters: Sequence[Parameter], where: str) -> tuple[Parameter, ...]:
    """Order parameters so that each comes after those in its conditions."""
    known = {parameter.field for parameter in parameters}
    ordered: list[Parameter] = []
    left = list(parameters)
    while left:
        placed = {parameter.field for parameter in ordered}
        ready = [each for each in left if (each.conditions.keys() & known) <= placed]
        if not ready:
            raise ConfigError(f"{where}: {left[0].field} is its own condition, through {', '.join(left[0].conditions)}")
        ordered += ready
        left = [each for each in left if each not in ready]
    return tuple(ordered)


def _replaces_others(field: str) -> bool:
    """Whether a field, such as `loss.name`, replaces what is beside it, and so has to be set first."""
    section, _, key = field.partition(".")
    return key in REPLACED.get(section, ())


def _can_be(field: str, allowed: Sequence[Any], others: Mapping[str, Parameter], config: Config) -> bool:
    """Whether a field may have one of these values: as another parameter, or in the configuration."""
    other = others.get(field)
    if other is not None and (not other.is_list or any(value in allowed for value in other.values)):
        return True
    return (other is None or bool(other.conditions)) and _value(field, {}, config) in allowed


def _value(field: str, values: Mapping[str, Any], config: Config) -> Any:
    """The value of a field: the proposed one, else that of the configuration, None if it has no such field."""
    if field in values:
        return values[field]
    found: Any = config.model_dump(mode="json")
    for key in field.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
