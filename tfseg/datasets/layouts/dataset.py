"""Cases, each of a subject, with the names of channels and labels: the result of reading any layout."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from os.path import realpath
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tfseg.core import files
from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.checks import naming
from tfseg.datasets.names import image_files, parts
from tfseg.datasets.splits import Split

Result = TypeVar("Result")
# Files that a line about them names.
MOST_LISTED = 5


@dataclass(frozen=True)
class Case:
    """One scan of a subject: a file with all channels or one per channel, in order, and its label map if it has one.

    A file is a NIfTI volume, a 2D image, or the folder of a DICOM series. Folds can be balanced by `strata`.
    """

    name: str
    subject: str
    images: tuple[Path, ...]
    label: Path | None = None
    strata: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The images, then the label map if there is one."""
        return self.images if self.label is None else (*self.images, self.label)

    @property
    def label_file(self) -> Path:
        """The label map, for steps that need one.

        Raises:
            DataError: if the case has none.
        """
        if self.label is None:
            raise DataError(f"{self.images[0]}: the case {self.name} has no label map")
        return self.label


@dataclass(frozen=True)
class Dataset:
    """Cases with the names of their channels and label values; the background, 0, is no label.

    Args:
        name: of the dataset.
        channels: their names, in order.
        labels: names by value, 1 to 255 of them, positive, each with a name of its own.
        cases: at least one; each name can name a folder.
        layout: the layout that was recognised, "files" for a dataset put together in Python.
        ignore_label: the value of voxels that are unknown.
        regions: label values by the name of their union; regions may overlap, and a dataset with regions is learnt
            as regions.
        splits: those that the dataset brings.
        left_out: further cases, which are not used, each with the reason.
        masks_as_shown: whether palettes of 2D masks are read as the grey levels that they show, not as indices.
        warnings: lines to report: files that are not read, and what else is unusual.

    Raises:
        DataError: if the cases, labels or regions are not as above.
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
    masks_as_shown: bool = False
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.cases:
            raise DataError(f"{self.name}: no cases")
        check_names(self.name, self.cases)
        # Tables have a row "mean" over labels; prepared slices hold classes as bytes.
        for names in (list(self.labels.values()), list(self.regions)):
            if len(set(names)) < len(names) or "mean" in names:
                raise DataError(f"{self.name}: labels need names of their own, other than mean; found {names}")
        if not 1 <= len(self.labels) <= 255 or min(self.labels) < 1:
            raise DataError(f"{self.name}: expected 1 to 255 labels with positive values, found {list(self.labels)}")
        for name, values in self.regions.items():
            if not values or not set(values) <= set(self.labels):
                raise DataError(f"{self.name}: the region {name} holds {list(values)}, labels are {list(self.labels)}")


def check_names(source: object, cases: Iterable[Case]) -> None:
    """Refuse cases whose names would lead out of a folder, and paths that no file can have.

    Raises:
        DataError: with the source and the name.
    """
    for case in cases:
        if case.name in ("", ".", "..") or set(case.name) & set("/\\\0"):
            raise DataError(f"{source}: the case name {case.name!r} cannot name a folder")
        for path in case.files:
            if "\0" in str(path):
                raise DataError(f"{source}: the path {str(path)!r} holds a zero byte")


def with_subjects(dataset: Dataset, pattern: str) -> Dataset:
    """Take each case's subject from the case's name: the first group of a regular expression, or its whole match.

    Raises:
        ConfigError: if the pattern is not a regular expression or does not match a case's name, or if the dataset
            brings splits, which name its subjects already.
    """
    if dataset.splits:
        raise ConfigError(f"subject pattern {pattern}: {dataset.name} brings splits of its own subjects; leave it out")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"subject pattern {pattern}: not a regular expression: {error}") from error
    cases = []
    for case in dataset.cases:
        match = expression.search(case.name)
        subject = match and (match.group(1) if expression.groups else match.group())
        if not subject:
            raise ConfigError(f"subject pattern {pattern}: does not match the case name {case.name}")
        cases.append(replace(case, subject=subject))
    return replace(dataset, cases=tuple(cases))


def some_subjects(dataset: Dataset, number: int) -> Dataset:
    """Keep a number of subjects, drawn the same way each time; all if there are no more.

    >>> cases = tuple(Case(name, name, (Path(name),), Path(name)) for name in "abcde")
    >>> [case.name for case in some_subjects(Dataset("five", ("t1",), {1: "liver"}, cases), 3).cases]
    ['c', 'd', 'e']
    """
    names = sorted({case.subject for case in dataset.cases})
    kept = set(np.random.default_rng(0).permutation(names)[:number])
    return replace(dataset, cases=tuple(case for case in dataset.cases if case.subject in kept))


def not_read(folder: Path, paths: Sequence[Path], reason: str) -> tuple[str, ...]:
    """Return a line about the files of a folder that are left out; none if there are none."""
    if not paths:
        return ()
    listed = ", ".join(path.relative_to(folder).as_posix() for path in paths[:MOST_LISTED])
    more = ", …" if len(paths) > MOST_LISTED else ""
    are = "1 file is" if len(paths) == 1 else f"{len(paths)} files are"
    return (f"{folder}: {are} not read, {reason}: {listed}{more}",)


def unused(folder: Path, cases: Iterable[Case], reason: str) -> tuple[str, ...]:
    """Return a line about the files in `imagesTr` and `labelsTr`, and in the folders in them, that no case uses."""
    used = {realpath(path) for case in cases for path in case.files}
    images = (image_files(folder / place, recursive=True) for place in ("imagesTr", "labelsTr"))
    inside = (path for kinds in images for kind in kinds for path in kind)
    return not_read(folder, [path for path in inside if used.isdisjoint(map(realpath, parts(path)))], reason)


def read_description(path: Path, expected: str, parse: Callable[[dict[str, Any]], Result]) -> Result:
    """Read a JSON file and parse it.

    Raises:
        DataError: if it cannot be read, or `parse` fails on it; the message says what is `expected`.
    """
    text = files.read_text(path)
    with naming(path, f"not {expected}"):
        description = json.loads(text, object_pairs_hook=_each_key_once)
        if not isinstance(description, dict):
            raise ValueError(f"expected an object with keys, received {str(description)[:40]}")
        return parse(description)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of two equal keys, JSON would silently keep the last."""
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise ValueError(f"{key!r} occurs twice")
    return dict(pairs)


def by_number(names: Iterable[tuple[Any, Any]]) -> dict[int, str]:
    """Return names in the order of their numbers.

    Raises:
        ValueError: if a number is not whole, or has no name or two.
    """
    ordered = sorted((whole_number(number), _as_text(name)) for number, name in names)
    for number, name in ordered:
        if not name.strip():
            raise ValueError(f"{number} has no name")
    for (number, name), (following, other) in pairwise(ordered):
        if number == following:
            raise ValueError(f"{number} has two names, {name!r} and {other!r}")
    return dict(ordered)


def _as_text(name: Any) -> str:
    if isinstance(name, list | dict):
        raise ValueError(f"expected a name, received {name}")
    return "" if name is None else str(name)


def whole_number(value: Any) -> int:
    """Return a whole number that a JSON file holds as a number or as text.

    Raises:
        ValueError: if it is not a whole number.
    """
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole or (isinstance(value, float) and value.is_integer()) or _is_digits(value):
        return int(value)
    raise ValueError(f"{value} is not a whole number")


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+\s*", value) is not None
