"""Mappings read from YAML, safely: files with their bases, and single settings laid over them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tfseg.core.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"  # the key << stands for those of another mapping


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key stands once, and 1e-3 is a number: YAML 1.1 knows 1.0e-3 alone and reads a text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is there twice, of which YAML would take the last without a word."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != MERGE]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise yaml.constructor.ConstructorError(problem=f"{key!r} is there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping, safely.

    Raises:
        ConfigError: where the file is absent, is not YAML or holds something other than a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Return the YAML mapping that a text is, safely.

    Raises:
        ConfigError: where it is not YAML or something other than a mapping.
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
    """Read a YAML mapping whose `base:` names another file, beside it, that it changes.

    Raises:
        ConfigError: as `read_yaml`, or where the chain of bases closes on itself.
    """
    if path.resolve() in leaves:
        raise ConfigError(f"{path} is its own base, by way of {leaves[-1]}")
    values = read_yaml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    return merge(read_yaml_chain(path.parent / str(base), (*leaves, path.resolve())), values)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another; a named loss or a sum is replaced whole: its parameters are its own."""
    merged = dict(below)
    for key, value in above.items():
        replaced = key == "loss" and isinstance(value, Mapping) and ("name" in value or "sum" in value)
        if not replaced and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """Turn `training.epochs=20` into the mapping it stands for.

    Raises:
        ConfigError: where there is no `=`, no name before it, or a value that is not YAML.
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
