"""The keys of a configuration or a recipe, with type, range, default and meaning, read from its models."""

import inspect
import json
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

NAMES = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", Any: "any value"}
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
# Sections up to so many keys deep have a heading; the keys of deeper ones are in the table of the section above.
HEADED = 2
REQUIRED = "required"


class Key(NamedTuple):
    """A key of a section; `sections` are those that its value may be."""

    name: str
    type: str
    default: str
    meaning: str
    sections: list[type[BaseModel]]


def keys_of(section: type[BaseModel]) -> Iterator[Key]:
    """Read the keys of a section, in their order.

    Raises:
        ValueError: if a key has no docstring.
    """
    for name, field in section.model_fields.items():
        sections = _sections(field.annotation)
        meaning = field.description or (inspect.getdoc(sections[0]) if sections else None)
        if not meaning:
            raise ValueError(f"{section.__name__}.{name}: expected its meaning in a docstring below it")
        if not field.description:  # the table of the section has the rest
            meaning = meaning.partition("\n")[0]
        yield Key(field.alias or name, _type(field.annotation, field.metadata), _default(field), meaning, sections)


def as_yaml(value: Any) -> str:
    """Write a value in one line of YAML."""
    plain = json.loads(json.dumps(value))  # tuples become lists
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown; line breaks in cells become spaces."""
    escaped = ([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in (titles, ["---"] * len(titles), *escaped))


def reference(section: type[BaseModel], path: str = "") -> str:
    """Write a heading and a table for a section, and for each section in it."""
    depth = len(path.split(".")) if path else 0
    rows, below = [], []
    for key in keys_of(section):
        full = f"{path}.{key.name}" if path else key.name
        has_heading = bool(key.sections) and depth < HEADED
        rows.append((f"[`{full}`](#{full})" if has_heading else f"`{full}`", key.type, key.default, key.meaning))
        if has_heading:
            parts = [part for each in key.sections for part in (inspect.getdoc(each) or "", reference(each, full))]
            below.append("\n\n".join([f"{'#' * (depth + 3)} {full} {{ #{full} }}", *parts]))
        else:
            inner = ((f"{full}.{each.name}", each) for part in key.sections for each in keys_of(part))
            rows += [(f"`{name}`", each.type, each.default, each.meaning) for name, each in inner]
    cells = (
        (name, kind, f"`{default}`" if default not in ("", REQUIRED) else default, meaning)
        for name, kind, default, meaning in rows
    )
    return "\n\n".join([table(("key", "value", "default", "meaning"), cells), *below])


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def _default(field: FieldInfo) -> str:
    """The default as YAML; nothing for a section, whose keys have defaults of their own."""
    if field.is_required():
        return REQUIRED
    value = field.get_default(call_default_factory=True)
    return "" if isinstance(value, BaseModel) else as_yaml(value)


def _type(annotation: Any, limits: Iterable[Any] = ()) -> str:
    """A type in words, with its range."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(parts[0], parts[1:])
    if origin in (Union, types.UnionType):
        named = [_type(part) for part in parts if part is not type(None)]
        return " or ".join(dict.fromkeys([*named, *(["`null`"] if type(None) in parts else [])]))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in parts)
    if origin is tuple:
        inner = ", ".join(dict.fromkeys(_type(part) for part in parts if part is not Ellipsis))
        several = re.sub("^(whole number|number|text|list|mapping)", r"\1s", inner)
        return f"list of {several}" if Ellipsis in parts else f"list of {len(parts)} {several}"
    if origin is dict:
        key, value = map(_type, parts)
        return "mapping" if parts[1] is Any else f"mapping of {key} to {value}"
    if _sections(annotation):
        return "mapping"
    flat = (each for limit in limits for each in (limit.metadata if isinstance(limit, FieldInfo) else [limit]))
    ends = [f"{sign} {getattr(each, name)}" for each in flat for name, sign in SIGNS.items() if hasattr(each, name)]
    return f"{NAMES[annotation]} {' and '.join(ends)}".rstrip()
