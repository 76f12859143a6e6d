"""Read a CSV manifest: a row per case, with its subject, its images and its label map."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from io import StringIO
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple

from tfseg.core import files
from tfseg.core.errors import DataError
from tfseg.datasets.layouts.channels import channels_of
from tfseg.datasets.layouts.dataset import Case, Dataset
from tfseg.datasets.layouts.labels import labels_of
from tfseg.datasets.names import stem
from tfseg.datasets.splits import Split

NAME = "manifest.csv"
PARTS = ("train", "val", "test")
COLUMNS = ("case", "subject", "image", "label", "split", "strata")
DELIMITERS = (",", ";", "\t")


class _Table(NamedTuple):
    """The columns of a CSV file, its rows as cells by column, and the line of the file of each row."""

    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]


def is_manifest(folder: Path) -> bool:
    """Whether this is a CSV file, or a folder with a `manifest.csv`."""
    return folder.suffix.lower() == ".csv" or (folder / NAME).is_file()


def read_manifest(folder: Path) -> Dataset:
    """Read a manifest; its paths are relative to its own folder.

    Required columns: `subject`, `label`, and `image` or one `image_CHANNEL` per channel. Optional columns: `case`,
    `split` (train, val or test) and `strata`. Columns are separated by commas, semicolons or tabs, and their names may
    have capitals. An image is a volume, a 2D image or the folder of a DICOM series, and may have several channels of
    its own; its path may have backslashes. Without the column `case`, a case has the name of its subject; if a
    subject has several cases, that of its first image; if several images have one name, with their folders. Blanks
    around a cell, empty lines and columns without a name are skipped. Labels are declared in `labels.json` beside the
    manifest, or are the values found in the label maps.

    Raises:
        DataError: if columns or values are missing, columns share a name, or a split has other parts or a subject on
            two sides.
    """
    path = folder if folder.is_file() else folder / NAME
    table = _table(path)
    images = [name for name in table.columns if name == "image" or name.startswith("image_")]
    missing = [name for name in ("subject", "label") if name not in table.columns] + ([] if images else ["image"])
    if missing:
        raise DataError(f"{path}: no column {' and no '.join(missing)}; there are {', '.join(table.columns)}")
    _check_filled(path, table, ("subject", "label", *images))
    root = path.resolve().parent
    names = _names(table, images[0])
    cases = tuple(
        Case(
            name,
            row["subject"],
            tuple(_path(root, row[image]) for image in images),
            _path(root, row["label"]),
            row.get("strata"),
        )
        for name, row in zip(names, table.rows, strict=True)
    )
    labels = labels_of(root, (case.label_file for case in cases))
    channels = [
        channels_of(
            (case.images[index] for case in cases), column.removeprefix("image_") if column != "image" else None
        )
        for index, column in enumerate(images)
    ]
    return Dataset(
        name=root.name,
        channels=tuple(chain.from_iterable(channels)),
        labels=labels.names,
        cases=cases,
        layout="manifest",
        ignore_label=labels.ignore_label,
        masks_as_shown=labels.masks_as_shown,
        warnings=labels.warnings,
        splits=(_split(path, table),) if "split" in table.columns else None,
    )


def read_scan_list(path: Path, channels: Sequence[str]) -> list[Case]:
    """Read a CSV list of scans without label maps; its columns are those of a manifest, `image` or `image_CHANNEL`.

    Args:
        path: the list; its paths are relative to its own folder.
        channels: the order of the columns `image_CHANNEL`, if these are their names; else they are in order already.

    Raises:
        DataError: if there is no column of images, or no row, or a row has an empty one.
    """
    table = _table(path)
    images = [name for name in table.columns if name == "image" or name.startswith("image_")]
    if not images:
        raise DataError(f"{path}: no column image; there are {', '.join(table.columns)}")
    if not table.rows:
        raise DataError(f"{path}: no scan is listed below the header")
    named = [f"image_{channel}" for channel in channels]
    images = named if set(named) == set(images) else images
    _check_filled(path, table, images)
    if "case" in table.columns or "subject" in table.columns:
        names = _names(table, images[0])
    else:
        names = [stem(Path(row[images[0]].replace("\\", "/"))) for row in table.rows]
    root = path.resolve().parent
    rows = zip(names, table.rows, strict=True)
    return [Case(name, name, tuple(_path(root, row[image]) for image in images)) for name, row in rows]


def _check_filled(path: Path, table: _Table, columns: Sequence[str]) -> None:
    for column in columns:
        for line, row in zip(table.lines, table.rows, strict=True):
            if not row[column]:
                raise DataError(f"{path}: line {line}: {column} is empty")


def _table(path: Path) -> _Table:
    text = files.read_text(path)
    reader = csv.reader(StringIO(text, newline=None), delimiter=_delimiter(text), skipinitialspace=True, strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: not readable as CSV: {error}") from error
    filled = [(line, row) for line, row in lines if any(row)]
    if not filled:
        raise DataError(f"{path}: not a readable CSV file: it is empty")
    (_, header), *rows = filled
    header = [_column(name) for name in header]
    columns = [name for name in header if name]
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{path}: {columns.count(name)} columns are called {name}; each needs a name of its own")
    for line, row in rows:
        if any(row[len(header) :]):
            raise DataError(f"{path}: line {line}: {len(row)} cells, but there are {len(header)} columns")
    cells = [dict(zip(header, chain(row, repeat("")), strict=False)) for _, row in rows]
    return _Table(columns, cells, [line for line, _ in rows])


def _delimiter(text: str) -> str:
    """The delimiter by which the first line has the most of the columns that are known."""
    first = next((line for line in text.splitlines() if line.strip()), "")

    def known(delimiter: str) -> int:
        names = [_column(name.strip(' "')) for name in first.split(delimiter)]
        return sum(name in COLUMNS or name.startswith("image_") for name in names)

    return max(DELIMITERS, key=known)


def _column(name: str) -> str:
    """A column's name without capitals, except in the name of a channel."""
    lower = name.lower()
    return f"image_{name[6:]}" if lower.startswith("image_") else lower if lower in COLUMNS else name


def _path(root: Path, cell: str) -> Path:
    """The path of a cell, relative to `root`; backslashes, as Windows writes them, separate folders too."""
    path = root / cell
    return root / cell.replace("\\", "/") if "\\" in cell and not path.exists() else path


def _names(table: _Table, first_image: str) -> list[str]:
    if "case" in table.columns:
        return [row["case"] for row in table.rows]
    subjects = [row["subject"] for row in table.rows]
    if len(set(subjects)) == len(subjects):
        return subjects
    paths = [Path(row[first_image].replace("\\", "/")) for row in table.rows]
    names = [stem(path) for path in paths]
    if len(set(names)) == len(names):
        return names
    return ["_".join((*path.parent.parts, name)).replace("/", "") for path, name in zip(paths, names, strict=True)]


def _split(path: Path, table: _Table) -> Split:
    subjects: dict[str, set[str]] = defaultdict(set)
    for row in table.rows:
        subjects[row["split"]].add(row["subject"])
    if subjects.keys() != set(PARTS):
        raise DataError(
            f"{path}: split expects train, val and test, each at least once; found {', '.join(sorted(subjects))}"
        )
    split = Split(*(tuple(sorted(subjects[part])) for part in PARTS))
    for subject in (row["subject"] for row in table.rows):
        if sum(subject in each for each in subjects.values()) > 1:
            raise DataError(f"{path}: the subject {subject} is on two sides of the split")
    return split
