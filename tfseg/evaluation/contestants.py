"""Label maps of several origins for the same truths: which file belongs to which case, and the scores of all."""

import re
from collections.abc import Callable, Iterable, Mapping
from io import StringIO
from pathlib import Path

import pandas as pd

from tfseg.core import files
from tfseg.core.errors import ConfigError, DataError
from tfseg.core.folds import files_of_folds
from tfseg.datasets.checks import check_encodable
from tfseg.datasets.layouts.dataset import not_read
from tfseg.datasets.names import image_files, stem
from tfseg.evaluation.label_maps import Scores, Scoring, score_pairs
from tfseg.evaluation.pairs import DECLARATIONS, Pair, label_map_folder, listed

# Words that programs add to the name of a case; tried in this order, until something of the name is left.
ADDED = re.compile(
    r"^(pred|prediction|mask|seg|label)s?[_-]|[_-](pred|prediction|mask|seg|segmentation|label|gt|0000)s?$",
    flags=re.IGNORECASE,
)


def parse_contestants(text: str) -> dict[str, Path]:
    """Read `nnunet=DIR,mine=RUN`: names and where their label maps are.

    Raises:
        ConfigError: if it is not a list of these, or a name is a path or given twice.

    >>> parse_contestants("nnunet=a,monai=b")
    {'nnunet': PosixPath('a'), 'monai': PosixPath('b')}
    """
    parts = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in parts]
    if not all(name and path for name, (_, _, path) in zip(names, parts, strict=True)):
        raise ConfigError(f"--predictions: expected NAME=FOLDER,NAME=FOLDER, received {text}")
    if paths := [name for name in names if "/" in name]:
        raise ConfigError(f"--predictions: expected a name without /, received {paths[0]}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"--predictions: {twice[0]} is given twice")
    return {name: Path(path.strip()) for name, (_, _, path) in zip(names, parts, strict=True)}


def truths_of(folder: Path) -> dict[str, Path]:
    """Return the label maps of a folder by case; those of a dataset are in `labelsTr`.

    Raises:
        DataError: if the folder is absent or has none, or two files are of one case.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    return _by_case(folder, {path: stem(path) for path in image_files(label_map_folder(folder))[0]})


def label_maps_of(source: Path, cases: Iterable[str]) -> dict[str, Path]:
    """Return the label map of every case in a source: a folder, a run, or a CSV with columns `case` and `prediction`.

    A file is matched by the case's name, or by its name without what programs add to it, as in `CASE_seg`. In a run
    they are those of the folds that tested the cases.

    Raises:
        DataError: if the source is absent, lacks a case, or has one twice.
    """
    wanted = list(cases)
    if source.suffix.lower() == ".csv":
        found = _of_csv(source)
    elif source.is_dir():
        folders = files_of_folds(source, "predictions") or [label_map_folder(source)]
        paths = [path for folder in folders for path in image_files(folder)[0]]
        exact = {stem(path) for path in paths} >= set(wanted)
        names = {name if exact else _bare(name): name for name in wanted}
        matched = {path: names.get(stem(path) if exact else _bare(stem(path))) for path in paths}
        found = _by_case(source, {path: name for path, name in matched.items() if name is not None})
    else:
        raise DataError(f"{source}: no such folder or CSV file")
    if lacking := set(wanted) - found.keys():
        raise DataError(f"{source}: no label map of {listed(lacking)}")
    return {case: found[case] for case in wanted}


def left_out(source: Path, used: Mapping[str, Path]) -> tuple[str, ...]:
    """Return a line about the files in a folder of label maps that are none of those used; none for a run or a list."""
    if not source.is_dir() or files_of_folds(source, "predictions"):
        return ()
    files_inside = [path for kind in image_files(label_map_folder(source)) for path in kind]
    others = [path for path in files_inside if path not in used.values() and path.name not in DECLARATIONS]
    return not_read(source, others, "no label maps of the cases compared")


def score_contestants(
    truths: Mapping[str, Path],
    contestants: Mapping[str, Mapping[str, Path]],
    scoring: Scoring,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Scores]:
    """Score the label maps of every contestant, case by case, on the truths' grids.

    Args:
        truths: label maps by case.
        contestants: label maps by name and case.
        scoring: what is scored.
        workers: as for `score_pairs`.
        advance: called after each label map.

    Raises:
        DataError: as `score_pairs`.
    """
    scores = {}
    for name, of_cases in contestants.items():
        pairs = [Pair(case, truth, of_cases[case]) for case, truth in truths.items()]
        scores[name] = score_pairs(pairs, scoring, name, workers, advance)
    return scores


def _of_csv(path: Path) -> dict[str, Path]:
    with files.reading(path, DataError):
        table = pd.read_csv(StringIO(files.read_text(path)), dtype=str, keep_default_na=False)
    if not {"case", "prediction"} <= set(table.columns):
        raise DataError(f"{path}: expected the columns case and prediction, found {', '.join(table.columns)}")
    if (twice := table.loc[table["case"].duplicated(), "case"]).size:
        raise DataError(f"{path}: the case {twice.iloc[0]} is given twice")
    root = path.resolve().parent
    return {case: root / cell for case, cell in zip(table["case"], table["prediction"], strict=True)}


def _by_case(folder: Path, cases: Mapping[Path, str]) -> dict[str, Path]:
    """The paths by case; `cases` gives the case of each path."""
    found: dict[str, Path] = {}
    for path, case in cases.items():
        check_encodable(path)
        if (first := found.setdefault(case, path)) is not path:
            raise DataError(f"{path}: the same case as {first.name}")
    if not found:
        raise DataError(f"{folder}: no label maps of these cases in it")
    return found


def _bare(name: str) -> str:
    """A name without what programs add to it."""
    return ADDED.sub("", name) or name
