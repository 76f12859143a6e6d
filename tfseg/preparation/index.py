"""Write the index of a prepared folder: a row per case, with the hashes of its source files."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfseg.core import files
from tfseg.core.errors import DataError
from tfseg.datasets.grids import Array, Volume
from tfseg.datasets.layouts import Case, Dataset
from tfseg.preparation.body import count_body_in_air
from tfseg.preparation.label_maps import LabelPlan
from tfseg.preparation.scan import Scan


def make_row(
    case: Case,
    image: Volume,
    classes: Array,
    scan: Scan,
    seen: int,
    plan: LabelPlan,
    made_from: Mapping[str, list[Path]],
) -> dict[str, Any]:
    """Return a case's row; voxels are counted on the scan's own grid.

    Args:
        case: the case.
        image: its scan as read.
        classes: class indices on the scan's own grid `[i, j, k]`.
        scan: its scan as prepared.
        seen: number of slices that training sees.
        plan: names of the classes.
        made_from: source files, as `sources` gives them.
    """
    voxels = {name: int(np.count_nonzero(classes == index)) for index, name in enumerate(plan.labels.values(), start=1)}
    body_is, in_body = _body_of(scan, image)
    return {
        "case": case.name,
        "subject": case.subject,
        "shape": "x".join(map(str, scan.grid.shape)),
        "spacing_mm": "x".join(f"{length:g}" for length in scan.grid.spacing_mm),
        "slices": len(scan.slices),
        "training_slices": seen,
        **{f"voxels_{name}": count for name, count in voxels.items()},
        "body": body_is,
        "body_voxels": in_body,
        **{f"ratio_{name}": round(count / max(1, in_body), 6) for name, count in voxels.items()},
        **({"strata": case.strata} if case.strata is not None else {}),
        **{kind: " ".join(path.name for path in paths) for kind, paths in made_from.items()},
        **{f"{kind}_sha256": hashes_of(paths) for kind, paths in made_from.items()},
    }


def make_index(out: Path, dataset: Dataset, skipped: Mapping[str, str]) -> str:
    """Return the rows of all cases as CSV; skipped cases come last, with zeros and the reason.

    Raises:
        DataError: if every case was skipped.
    """
    folders = [out / "cases" / case.name for case in dataset.cases if case.name not in skipped]
    if not folders:
        raise DataError(f"{dataset.name}: no case can be prepared: {'; '.join(skipped.values())}")
    rows = [_read_row(folder / "case.json") for folder in folders]
    if skipped:
        nothing = {column: 0 if isinstance(value, int | float) else "" for column, value in rows[0].items()}
        rows = [{**row, "skipped": ""} for row in rows]
        rows += [{**nothing, "case": name, "skipped": reason} for name, reason in skipped.items()]
    return pd.DataFrame(rows).to_csv(index=False)


def is_complete(index: Path) -> bool:
    """Whether an index exists and no case was skipped when it was written."""
    with files.reading(index, DataError):
        return index.is_file() and "skipped" not in pd.read_csv(index, nrows=0)


def is_made_from(folder: Path, made_from: Mapping[str, Iterable[Path]]) -> bool:
    """Whether a prepared case is finished and was made from these files as they are now.

    Raises:
        DataError: if one of them does not exist.
    """
    try:
        row = _read_row(folder / "case.json")
    except (OSError, DataError):
        return False
    return all(row.get(f"{kind}_sha256") == hashes_of(paths) for kind, paths in made_from.items())


def _read_row(path: Path) -> dict[str, Any]:
    with files.reading(path, DataError):
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["index"]
        return row


def _body_of(scan: Scan, image: Volume) -> tuple[str, int]:
    """Return what label volumes are divided by and its voxels; a body in air, if no step needed a body or brain."""
    if scan.body_is == "nonzero":
        in_air = count_body_in_air(image.array[..., 0], image.spacing_mm)
        if in_air is not None:
            return "body", in_air
    return scan.body_is, int(np.count_nonzero(scan.body))


def hashes_of(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of each file, or of the files of a folder, with blanks between.

    Raises:
        DataError: if one does not exist.
    """
    return " ".join(_sha256(path) for path in paths)


def _sha256(path: Path) -> str:
    """The hash of a file; of a folder, the hash of its files' hashes in the order of their names."""
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if not path.is_dir():
        return files.sha256(path)
    each = (files.sha256(file) for file in sorted(path.rglob("*")) if file.is_file())
    return hashlib.sha256("".join(each).encode()).hexdigest()
