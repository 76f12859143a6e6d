"""Read the tables of label names in BIDS, `dseg.tsv`: the nearest one counts for each label map."""

import csv
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from tfseg.core import files
from tfseg.core.errors import DataError
from tfseg.datasets.checks import naming
from tfseg.datasets.layouts.bids_names import CASE_ENTITIES, BidsFile
from tfseg.datasets.layouts.dataset import by_number
from tfseg.datasets.layouts.label_names import check_background


def names_in_tables(folder: Path, maps: Iterable[BidsFile]) -> dict[int, str]:
    """Return the names of label values, without the background, in the tables that count for some label maps.

    A table counts for the label maps in its folder and below whose subject, session and run it does not contradict;
    of several the nearest counts, and of these the one whose name says most.

    Raises:
        DataError: if a table is damaged, or two give one value two names or one name two values.
    """
    tables = sorted(path for path in folder.rglob("*dseg.tsv") if path.is_file() and not path.name.startswith("."))
    used = {table for label in maps if (table := _nearest(label, tables))}
    names: dict[int, tuple[str, Path]] = {}
    values: dict[str, tuple[int, Path]] = {}
    for path in sorted(used):
        for value, name in _read(path).items():
            other, first = names.setdefault(value, (name, path))
            number, second = values.setdefault(name, (value, path))
            if other != name:
                raise DataError(f"{path}: {value} is {name}, in {first} {other}; label maps need the same numbers")
            if number != value:
                raise DataError(f"{path}: {name} is {value}, in {second} {number}; label maps need the same numbers")
    return {value: name for value, (name, _) in sorted(names.items()) if value != 0}


def _nearest(label: BidsFile, tables: Iterable[Path]) -> Path | None:
    above = list(label.path.parents)
    fitting = [path for path in tables if path.parent in above and _may_be_of(path, label)]
    return min(fitting, key=lambda path: (above.index(path.parent), -len(_entities(path))), default=None)


def _may_be_of(table: Path, label: BidsFile) -> bool:
    entities = _entities(table)
    return all(entities.get(key, label.entities.get(key)) == label.entities.get(key) for key in CASE_ENTITIES)


def _entities(table: Path) -> dict[str, str]:
    return dict(pair.split("-", 1) for pair in table.name.split("_")[:-1] if "-" in pair)


def _read(path: Path) -> dict[int, str]:
    text = files.read_text(path)
    with naming(path, "expected the columns index and name"):
        rows = csv.DictReader(StringIO(text), delimiter="\t")
        if not {"index", "name"} <= set(rows.fieldnames or ()):
            raise ValueError(f"found {', '.join(rows.fieldnames or ()) or 'nothing'}")
        names = by_number((row["index"], row["name"]) for row in rows)
        check_background(names)
        return names
