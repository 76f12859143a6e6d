"""Read mappings from YAML safely: files, the files they are based on, and single overrides."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tfseg.core.errors import ConfigError

REPLACED = {"loss": {"name", "sum"}, "model": {"name"}}  # key → what a mapping that replaces the earlier one holds
MERGE = "tag:yaml.org,2002:merge"  # the key <<, which includes another mapping


class _Loader(yaml.SafeLoader):
    """Load YAML safely, refuse duplicate keys, and read 1e-3 as a number, which YAML 1.1 reads as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a duplicate key, of which YAML would silently use the last."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != MERGE]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise yaml.constructor.ConstructorError(problem=f"duplicate key {key!r}", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping safely.

    Raises:
        ConfigError: if the file cannot be read, is not YAML or does not hold a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Parse a text as a YAML mapping safely.

    Raises:
        ConfigError: if it is not YAML or not a mapping; the message begins with `where`.
    """
    try:
        values = _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
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
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {dotted}: the value {value!r} is not valid YAML") from error
    for key in reversed(dotted.strip().split(".")):
        nested = {key: nested}
    return dict(nested)
