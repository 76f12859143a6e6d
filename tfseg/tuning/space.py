"""A search space: for fields of the configuration, which values to try and when."""

import difflib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfseg import losses
from tfseg.config.config import Config, validate
from tfseg.config.yaml_files import merge, read_yaml
from tfseg.core.errors import ConfigError
from tfseg.tuning.search import SearchConfig

SEARCHED = ("loss", "model", "training", "stages")  # the rest says what is measured, and is held
HELD = ("training.threads",)
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
        """Yield every combination of the lists, without fields whose conditions do not hold; none twice.

        Raises:
            ConfigError: if a parameter is a range.
        """
        for parameter in self.parameters:
            if not parameter.is_list:
                raise ConfigError(f"{parameter.field}: a grid search needs a list; received {parameter.kind}")
        seen: list[Values] = []
        for combination in itertools.product(*(parameter.values for parameter in self.parameters)):
            given = dict(zip(self.fields, combination, strict=True))
            point = self.propose(config, lambda parameter, given=given: given[parameter.field])  # type: ignore[misc]
            if point not in seen:
                seen.append(point)
                yield point

    def propose(self, config: Config, value_of: Callable[[Parameter], Any]) -> Values:
        """Return the values of every parameter whose conditions hold, each given by `value_of`."""
        values: Values = {}
        for parameter in self.parameters:
            if all(_value(field, values, config) in allowed for field, allowed in parameter.conditions.items()):
                values[parameter.field] = value_of(parameter)
        return values

    def of_arm(self, config: Config) -> "Space":
        """Return the parameters that can hold for a configuration: not those whose conditions it rules out."""
        open_fields: set[str] = set()
        kept = []
        for parameter in self.parameters:
            if all(
                field in open_fields or _value(field, {}, config) in allowed
                for field, allowed in parameter.conditions.items()
            ):
                open_fields.add(parameter.field)
                kept.append(parameter)
        return Space(tuple(kept), self.search)

    def to_values(self) -> dict[str, Any]:
        """Return what a YAML file of the space holds, without the search."""
        return {
            each.field: {each.kind: list(each.values)}
            | ({IF: {field: list(allowed) for field, allowed in each.conditions.items()}} if each.conditions else {})
            for each in self.parameters
        }


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
    search = validate(SearchConfig, values.get(SEARCH) or {}, f"{where}: {SEARCH}")
    parameters = [
        _parameter(str(field), given, f"{where}: {field}") for field, given in values.items() if field != SEARCH
    ]
    if not parameters:
        raise ConfigError(f"{where}: expected fields to search, as in training.epochs: {{grid: [10, 20]}}")
    return Space(_ordered(parameters, where), search)


def with_values(config: Config, values: Mapping[str, Any], where: str = "the trial") -> Config:
    """Return a configuration with some fields set.

    Raises:
        ConfigError: if a field is unknown or a value out of range.

    >>> with_values(Config(), {"training.epochs": 5, "loss.name": "focal"}).loss
    {'name': 'focal'}
    """
    changed: dict[str, Any] = {}
    for field, value in values.items():
        nested = value
        for key in reversed(field.split(".")):
            nested = {key: nested}
        changed = merge(changed, nested)
    return validate(Config, merge(config.model_dump(mode="json"), changed), where)


def check_space(space: Space, config: Config) -> None:
    """Check every listed value, and both ends of every range, as a change of the configuration.

    Raises:
        ConfigError: if a field is unknown (with the nearest name), held, or the loss does not take a value, or the
            configuration selects on test subjects.
    """
    if config.select_on == "test":
        raise ConfigError("select_on: test would search on test subjects; a search needs select_on: validation")
    for parameter in space.parameters:
        field = parameter.field
        if field in HELD:
            raise ConfigError(f"{field}: cannot be searched: it changes the last digits of every score")
        if field.split(".")[0] not in SEARCHED:
            nearest = difflib.get_close_matches(field.split(".")[0], SEARCHED, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"a search may change {', '.join(SEARCHED)}"
            raise ConfigError(f"{field}: cannot be searched; {hint}")
        needed = {name: allowed[0] for name, allowed in parameter.conditions.items()}
        for value in parameter.values:
            changed = with_values(config, {**needed, field: value}, "the space")
            for stage in changed.resolved_stages():
                try:
                    losses.make(stage.loss, overlap_over=stage.training.overlap_over)
                except ValueError as error:
                    raise ConfigError(f"{field}: {error}") from error


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


def _value(field: str, values: Mapping[str, Any], config: Config) -> Any:
    """The value of a field: the proposed one, else that of the configuration, None if it has no such field."""
    if field in values:
        return values[field]
    found: Any = config.model_dump(mode="json")
    for key in field.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
