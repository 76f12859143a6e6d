"""What every layout is read into: cases, each of a subject, with the names of channels and labels."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.splits import Split

Result = TypeVar("Result")


@dataclass(frozen=True)
class Case:
    """One scan of a subject with its label map: a file with all channels, or one per channel, in order.

    A file is NIfTI, a picture, or the folder of a DICOM series; `strata` is what folds may be balanced by.
    """

    name: str
    subject: str
    images: tuple[Path, ...]
    label: Path
    strata: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Cases with the names of their channels and of their label values, background left out.

    `layout` is the one that was recognised, "files" for a dataset put together in Python. Voxels of `ignore_label`
    are unknown. `regions` are unions of label values, by name, that may overlap: a dataset
    that declares them is to be learnt as regions. `splits` are those that the dataset brings, `left_out` further cases,
    which are not used, each with the reason.

    Raises:
        DataError: where there are no cases, a case's name cannot name a folder, or labels are not 1 to 255 positive
            values with names of their own.
    """

    name: str
    channels: tuple[str, ...]
    labels: dict[int, str]
    cases: tuple[Case, ...]
    layout: str = "files"
    ignore_label: int | None = None
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    splits: tuple[Split, ...] | None = None
    left_out: dict[Case, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.cases:
            raise DataError(f"{self.name}: no cases")
        for case in self.cases:
            if case.name in ("", ".", "..") or set(case.name) & set("/\\\0"):
                raise DataError(f"{self.name}: the case name {case.name!r} cannot name a folder")
        # Tables have a row "mean" over labels; prepared slices hold classes as bytes.
        for names in (list(self.labels.values()), list(self.regions)):
            if len(set(names)) < len(names) or "mean" in names:
                raise DataError(f"{self.name}: labels need names of their own, other than mean; found {names}")
        if not 1 <= len(self.labels) <= 255 or min(self.labels) < 1:
            raise DataError(f"{self.name}: expected 1 to 255 labels with positive values, found {list(self.labels)}")
        for name, values in self.regions.items():
            if not values or not set(values) <= set(self.labels):
                raise DataError(f"{self.name}: the region {name} holds {list(values)}, labels are {list(self.labels)}")


def with_subjects(dataset: Dataset, pattern: str) -> Dataset:
    """Name each case's subject by what a regular expression finds in the case's name: its first group, or all of it.

    Raises:
        ConfigError: on a pattern that is none, or finds nothing in a case's name, or where the dataset brings splits,
            which name its own subjects.
    """
    if dataset.splits:
        raise ConfigError(f"subject pattern {pattern}: {dataset.name} brings splits of its own subjects; leave it out")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"subject pattern {pattern}: not a regular expression: {error}") from error
    cases = []
    for case in dataset.cases:
        found = expression.search(case.name)
        subject = found and (found.group(1) if expression.groups else found.group())
        if not subject:
            raise ConfigError(f"subject pattern {pattern}: finds nothing in the case name {case.name}")
        cases.append(replace(case, subject=subject))
    return replace(dataset, cases=tuple(cases))


def stem(path: Path) -> str:
    """Name of a file without `.nii.gz`, `.nii` or a picture's suffix; other dots stay."""
    return re.sub(r"(\.nii(\.gz)?|\.(png|jpe?g|tiff?|bmp))$", "", path.name, flags=re.IGNORECASE)


def read_description(path: Path, expected: str, parse: Callable[[dict[str, Any]], Result]) -> Result:
    """Read a JSON file and parse it.

    Raises:
        DataError: where it cannot be read, or `parse` finds it other than `expected`.
    """
    try:
        return parse(json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_key_once))
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not {expected}: {error!r}") from error


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a key that is there twice, JSON would take the last without a word."""
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise ValueError(f"{key!r} is there twice")
    return dict(pairs)


def by_number(names: Iterable[tuple[Any, Any]]) -> dict[int, str]:
    """Names in the order of their numbers.

    Raises:
        ValueError: a number that is not whole, or has no name, or two.
    """
    ordered = sorted((whole_number(number), "" if name is None else str(name)) for number, name in names)
    for number, name in ordered:
        if not name.strip():
            raise ValueError(f"{number} has no name")
    for (number, name), (following, other) in pairwise(ordered):
        if number == following:
            raise ValueError(f"{number} has two names, {name!r} and {other!r}")
    return dict(ordered)


def whole_number(value: Any) -> int:
    """Return a number that a JSON file holds, be it as text.

    Raises:
        ValueError: where it is none, or not whole.
    """
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(f"{value} is not a whole number")
    return int(value)
