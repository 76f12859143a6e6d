"""Read the names of labels as a dataset declares them: names by value, or values by name with regions."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tfseg.datasets.layouts.dataset import by_number, read_description, whole_number

DECLARATION = "labels.json"
IGNORE, BACKGROUND = "ignore", "background"


class Declared(NamedTuple):
    """The labels that a dataset declares: names by value, the value of unknown voxels, and unions of values by name."""

    labels: dict[int, str]
    ignore_label: int | None = None
    regions: Mapping[str, tuple[int, ...]] = MappingProxyType({})


def read_declaration(path: Path) -> Declared:
    """Read the labels of a `dataset.json`, nnU-Net's or the Decathlon's, or of a `labels.json`.

    Raises:
        DataError: if the file cannot be read or declares no labels.
    """

    def parse(description: dict[str, Any]) -> Declared:
        return declared_labels(description if path.name == DECLARATION else description["labels"])

    return read_description(path, 'labels, as {"1": "spleen"} or {"spleen": 1}', parse)


def declared_labels(labels: Mapping[str, Any]) -> Declared:
    """Return the labels of `{"1": "spleen"}`, as the Decathlon writes them, or `{"spleen": 1}`, as nnU-Net does.

    A name with several values is a region, and then every name is one. "ignore" names the value of unknown voxels.

    >>> declared_labels({"background": 0, "whole": [1, 2], "core": 2, "ignore": 3})
    Declared(labels={1: 'label_1', 2: 'core'}, ignore_label=3, regions={'whole': (1, 2), 'core': (2,)})

    Raises:
        ValueError: if a value is not a whole number, or has no name or two, or the background is not 0.
    """
    if not isinstance(labels, Mapping):
        raise ValueError(f'labels: expected {{"1": "spleen"}} or {{"spleen": 1}}, received {labels}')
    if is_by_value(labels):
        by_value = by_number(labels.items())
        check_background(by_value)
        ignored = [value for value, name in by_value.items() if name == IGNORE]
        return Declared(_without({*ignored, 0}, by_value), ignored[0] if ignored else None)
    values = {str(name): _values(value) for name, value in labels.items()}
    check_background({value[0]: name for name, value in values.items() if value})
    ignore_label = values.pop(IGNORE, (None,))[0]
    values = {name: value for name, value in values.items() if value != (0,)}
    names = by_number((value[0], name) for name, value in values.items() if len(value) == 1)
    if len(names) == len(values):
        return Declared(_without({0}, names), ignore_label)
    each = sorted({value for several in values.values() for value in several})
    return Declared({value: names.get(value, f"label_{value}") for value in each}, ignore_label, values)


def check_background(names: Mapping[int, str]) -> None:
    """Refuse names by value that call another value than 0 the background: the label of 0 would be left out for it.

    Raises:
        ValueError: with that value.
    """
    for value, name in names.items():
        if name.strip().lower() == BACKGROUND and value != 0:
            raise ValueError(f"{name} is {value}, expected 0")


def is_by_value(labels: Mapping[str, Any]) -> bool:
    """Whether the keys of a description are numbers, so that the names are its values."""
    return all(str(key).lstrip("-").isdecimal() for key in labels)


def _without(values: set[int], labels: Mapping[int, str]) -> dict[int, str]:
    return {value: name for value, name in labels.items() if value not in values}


def _values(value: Any) -> tuple[int, ...]:
    return tuple(whole_number(each) for each in (value if isinstance(value, list) else [value]))
