"""Read mappings from YAML safely: files, the files they are based on, and single overrides."""

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tfseg.core.errors import ConfigError, one_line

REPLACED = {
    "loss": {"name", "sum"},
    "model": {"name", "import"},
}  # key → what a mapping that replaces the earlier one holds
MERGE = "tag:yaml.org,2002:merge"  # the key <<, which includes another mapping
# More than any configuration has; a file without an end, or a few references, can stand for far more.
MOST_BYTES, MOST_VALUES = 10**7, 10**5


class _Loader(yaml.SafeLoader):
    """Load YAML safely, refuse duplicate keys and bombs, and read 1e-3 as a number, which YAML 1.1 reads as text."""

    def get_single_node(self) -> yaml.Node | None:
        """Refuse references that refer to themselves, or stand for more values than a configuration has."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None and (values := _values_in(node, {})) > MOST_VALUES:
            number = "values without end" if math.isinf(values) else f"{values:.3g} values"
            raise yaml.constructor.ConstructorError(problem=f"it stands for {number}, expected at most {MOST_VALUES}")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a duplicate key, of which YAML would silently use the last."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != MERGE]
        for key, times in Counter(key for key in keys if isinstance(key, Hashable)).items():
            if times > 1:
                raise yaml.constructor.ConstructorError(problem=f"duplicate key {key!r}", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _values_in(node: yaml.Node, known: dict[int, float]) -> float:
    """The values that a node stands for, every reference replaced by what it refers to; infinite in a circle."""
    if id(node) not in known:
        known[id(node)] = math.inf
        if isinstance(node, yaml.MappingNode):
            inside = [part for pair in node.value for part in pair]
        else:
            inside = node.value if isinstance(node, yaml.SequenceNode) else []
        known[id(node)] = 1 + sum(_values_in(part, known) for part in inside)
    return known[id(node)]


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping safely.

    Raises:
        ConfigError: if the file cannot be read, is too large for a configuration, is not YAML or holds no mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path}: larger than {MOST_BYTES // 10**6} MB, which no configuration is")
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Parse a text as a YAML mapping safely.

    Raises:
        ConfigError: if it is not YAML or not a mapping; the message begins with `where`.
    """
    try:
        values = _Loader(text).get_single_data()
    except Exception as error:  # a day that does not exist is a ValueError, `!!bool maybe` a KeyError
        raise ConfigError(f"{where} is not valid YAML: {one_line(error)}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{where} must hold a mapping of names to values, received a {type(values).__name__}")
    return values


def read_yaml_chain(path: Path, leaves: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML mapping and merge it onto the file that its `base:` names, relative to its own folder.

    Raises:
        ConfigError: as `read_yaml`, or if a file is its own base.
    """
    if path.resolve() in leaves:
        raise ConfigError(f"{path} is its own base, through {leaves[-1]}")
    values = read_yaml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    return merge(read_yaml_chain(path.parent / str(base), (*leaves, path.resolve())), values)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings, with `above` taking precedence.

    A loss or a network that is named, or a sum of losses, is replaced as a whole: the parameters of another one are
    not its own.

    >>> merge({"training": {"epochs": 20, "l1": 0.1}}, {"training": {"epochs": 5}})
    {'training': {'epochs': 5, 'l1': 0.1}}
    >>> merge({"loss": {"name": "tversky", "alpha": 0.3}}, {"loss": {"name": "dice"}})
    {'loss': {'name': 'dice'}}
    """
    merged = dict(below)
    for key, value in above.items():
        replaced = key in REPLACED and isinstance(value, Mapping) and not REPLACED[key].isdisjoint(value)
        if not replaced and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """Parse an override of one setting into a nested mapping.

    Raises:
        ConfigError: if there is no `=`, no name before it, or the value is not YAML.

    >>> parse_override("training.epochs=20")
    {'training': {'epochs': 20}}
    """
    dotted, equals, value = text.partition("=")
    if not equals or not all(dotted.strip().split(".")):
        raise ConfigError(f"--set expects name=value, as in training.epochs=20; received {text!r}")
    try:
        nested: Any = _Loader(value).get_single_data()
    except Exception as error:
        raise ConfigError(f"--set {dotted}: the value {value!r} is not valid YAML") from error
    for key in reversed(dotted.strip().split(".")):
        nested = {key: nested}
    return dict(nested)
