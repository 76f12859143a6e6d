"""A CSV manifest: a row per case, with its subject, its images and its label."""

import csv
from io import StringIO
from itertools import chain, repeat
from pathlib import Path

import pandas as pd

from tfseg.core.errors import DataError
from tfseg.datasets.layouts.channels import channels_of
from tfseg.datasets.layouts.dataset import Case, Dataset, stem
from tfseg.datasets.layouts.labels import labels_of
from tfseg.datasets.splits import Split

NAME = "manifest.csv"
PARTS = ("train", "val", "test")


def is_manifest(folder: Path) -> bool:
    """Whether this is a CSV file, or a folder with a `manifest.csv`."""
    return folder.suffix.lower() == ".csv" or (folder / NAME).is_file()


def read_manifest(folder: Path) -> Dataset:
    """Read a manifest; its paths count from its own folder.

    Columns: `subject`, `image` or one `image_CHANNEL` per channel, `label`, and if wanted `case`, `split` (train, val
    or test) and `strata`. An image is a NIfTI file, a picture or the folder of a DICOM series, and may have several
    channels of its own. A case without a name is called by its subject, or by its first image where a subject has
    several, with its folders where those have one name. Blanks around a cell, empty lines and columns without a name
    are passed over. Labels are those that `labels.json` beside it declares, or else the values found.

    Raises:
        DataError: where columns or values are missing or columns share a name, or a split has other parts or a subject
            on two sides.
    """
    path = folder if folder.is_file() else folder / NAME
    table = _table(path)
    images = [name for name in table.columns if name == "image" or name.startswith("image_")]
    missing = [name for name in ("subject", "label") if name not in table] + (["image"] if not images else [])
    if missing:
        raise DataError(f"{path}: the columns {', '.join(missing)} are missing; there are {', '.join(table.columns)}")
    for column in ("subject", "label", *images):
        empty = table.index[table[column] == ""]
        if len(empty):
            raise DataError(f"{path}: line {empty[0]}: {column} is empty")
    root = path.resolve().parent
    labels = [root / file for file in table["label"]]
    return Dataset(
        name=root.name,
        channels=tuple(
            channel for name in images for channel in _channels(name, [root / file for file in table[name]])
        ),
        labels=labels_of(root, labels),
        cases=tuple(
            Case(name, subject, tuple(root / file for file in files), label, strata)
            for name, subject, files, label, strata in zip(
                _names(table, images[0]),
                table["subject"],
                table[images].to_numpy().tolist(),
                labels,
                table["strata"] if "strata" in table else [None] * len(table),
                strict=True,
            )
        ),
        layout="manifest",
        splits=(_split(path, table),) if "split" in table else None,
    )


def _table(path: Path) -> pd.DataFrame:
    """The cells as text, by the line of the file and the column."""
    try:
        reader = csv.reader(StringIO(path.read_text(encoding="utf-8-sig")), skipinitialspace=True, strict=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable CSV file: {error}") from error
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: not readable as CSV: {error}") from error
    filled = [(line, row) for line, row in lines if any(row)]
    if not filled:
        raise DataError(f"{path}: not a readable CSV file: it is empty")
    (_, header), *rows = filled
    columns = [name for name in header if name]
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{path}: {columns.count(name)} columns are called {name}; each needs a name of its own")
    for line, row in rows:
        if any(row[len(header) :]):
            raise DataError(f"{path}: line {line}: {len(row)} cells, but there are {len(header)} columns")
    cells = [dict(zip(header, chain(row, repeat("")), strict=False)) for _, row in rows]
    return pd.DataFrame(cells, index=[line for line, _ in rows], columns=columns, dtype=str)


def _channels(column: str, files: list[Path]) -> tuple[str, ...]:
    return channels_of(files, column.removeprefix("image_") if column != "image" else None)


def _names(table: pd.DataFrame, first_image: str) -> list[str]:
    if "case" in table:
        return list(table["case"])
    if table["subject"].is_unique:
        return list(table["subject"])
    files = [Path(file) for file in table[first_image]]
    names = [stem(file) for file in files]
    if len(set(names)) == len(names):
        return names
    return ["_".join((*file.parent.parts, name)).replace("/", "") for file, name in zip(files, names, strict=True)]


def _split(path: Path, table: pd.DataFrame) -> Split:
    parts = {part: sorted(set(table.loc[table["split"] == part, "subject"])) for part in PARTS}
    if set(table["split"]) != set(PARTS):
        raise DataError(f"{path}: split expects train, val and test, each at least once; found {set(table['split'])}")
    sides = table.groupby("subject")["split"].nunique()
    if sides.max() > 1:
        raise DataError(f"{path}: the subject {sides.idxmax()} is on two sides of the split")
    return Split(*(tuple(parts[part]) for part in PARTS))
