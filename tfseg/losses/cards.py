"""The card of each loss, from its docstrings, its signature, computed values and `cards.yaml`."""

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from tfseg.losses.base import ForegroundLoss, SegmentationLoss
from tfseg.losses.behaviour import Behaviour, behaviour
from tfseg.losses.catalogue import FAMILIES, LOSSES
from tfseg.losses.overlap import RegionOptions

SHARED = (SegmentationLoss, ForegroundLoss, RegionOptions)  # most losses have their parameters

_SECTION = re.compile(r"^(Args|Raises|Example|Source):[ ]?", flags=re.MULTILINE)
_ARGUMENT = re.compile(r"^    (\*{0,2}\w+): ", flags=re.MULTILINE)
_INHERITED = re.compile(r"as `\w+`(?:[.;] ?|$)")


@dataclass(frozen=True)
class Parameter:
    """A constructor argument: its meaning and range, and the class whose docstring describes it."""

    name: str
    default: Any
    meaning: str
    described_by: type[SegmentationLoss]


@dataclass(frozen=True)
class Card:
    """The description of a loss: formula, parameters, behaviour, choice and peers."""

    name: str
    class_name: str
    family: str
    summary: str
    explanation: tuple[str, ...]  # paragraphs, the formula among them
    parameters: tuple[Parameter, ...]
    notes: tuple[str, ...]  # on parameters of its parents
    source: str
    behaviour: Mapping[str, Behaviour]
    choose: str
    reading: str | None
    not_monotone: str | None
    companion: str | None
    peers: Mapping[str, str]


@dataclass(frozen=True)
class Docstring:
    """The parts of a class's docstring, each on one line."""

    summary: str
    explanation: tuple[str, ...]
    arguments: Mapping[str, str]
    source: str


def one_line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())


def read_docstring(text: str) -> Docstring:
    """Split a docstring of this package into its parts."""
    introduction, *sections = _SECTION.split(inspect.cleandoc(text))
    summary, *paragraphs = map(one_line, introduction.strip().split("\n\n"))
    by_title = dict(zip(sections[::2], sections[1::2], strict=True))
    _, *arguments = _ARGUMENT.split(by_title.get("Args", ""))
    meanings = map(one_line, arguments[1::2])
    source = one_line(by_title.get("Source", ""))
    return Docstring(summary, tuple(paragraphs), dict(zip(arguments[::2], meanings, strict=True)), source)


@cache
def card(name: str) -> Card:
    """The card of the loss `name`, a key of `LOSSES`."""
    loss_class = LOSSES[name]
    docstring = read_docstring(loss_class.__doc__ or "")
    described = [
        (parent, read_docstring(vars(parent)["__doc__"]).arguments)
        for parent in loss_class.__mro__
        if issubclass(parent, SegmentationLoss) and vars(parent).get("__doc__")
    ]
    remarks = (
        _INHERITED.sub("", text)
        for parent, arguments in described
        if parent not in SHARED
        for key, text in arguments.items()
        if key.startswith("*")
    )
    written = notes()["losses"][name]
    return Card(
        name=name,
        class_name=loss_class.__name__,
        family=next(family for family, losses in FAMILIES.items() if name in losses),
        summary=docstring.summary,
        explanation=docstring.explanation,
        parameters=tuple(_parameter(each, described) for each in loss_class.parameters.values()),
        notes=tuple(filter(None, remarks)),
        source=docstring.source,
        behaviour=behaviour(loss_class),
        choose=written["choose"],
        reading=written.get("reading"),
        not_monotone=written.get("not_monotone"),
        companion=written.get("companion"),
        peers=written.get("peers", {}),
    )


@cache
def notes() -> dict[str, Any]:
    """The contents of `cards.yaml`: `collections`, the version of each, and `losses`."""
    return yaml.safe_load(resources.files("tfseg.losses").joinpath("cards.yaml").read_text(encoding="utf-8"))


def _parameter(
    parameter: inspect.Parameter, described: Iterable[tuple[type[SegmentationLoss], Mapping[str, str]]]
) -> Parameter:
    for parent, meanings in described:
        if parameter.name in meanings:
            return Parameter(parameter.name, parameter.default, meanings[parameter.name], parent)
    raise ValueError(f"no docstring of {next(iter(described))[0].__name__} or its parents describes {parameter.name}")
