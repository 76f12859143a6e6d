"""Scoring label maps of any origin: two NIfTI files, or two folders of them, matched by name."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfseg import metrics
from tfseg.core import geometry
from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.formats import read_label
from tfseg.datasets.grids import Array, Volume
from tfseg.datasets.layouts.dataset import read_description
from tfseg.datasets.layouts.labels import declared
from tfseg.metrics.summary import COLUMNS

SUFFIXES = (".nii.gz", ".nii")
AFFINE_TOLERANCE = 0.1  # how far apart two grids may be at any corner, in the truth's smallest voxel side


class Pair(NamedTuple):
    """A case: the files of its truth and its prediction."""

    case: str
    truth: Path
    prediction: Path


@dataclass(frozen=True)
class Scoring:
    """The arguments of `tfseg.metrics.score`, and whether lesions are counted.

    Raises:
        ConfigError: where `tfseg.metrics.score` does not take them.
    """

    labels: Mapping[int, str]
    tolerance_mm: float = 1.0
    ignore_label: int | None = None
    lesions: bool = False

    def __post_init__(self) -> None:
        pixel = np.zeros((1, 1), np.uint8)
        try:
            self.table(pixel, pixel, (1, 1))
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def table(self, truth: Array, prediction: Array, spacing_mm: Sequence[float]) -> pd.DataFrame:
        """Score one case: columns `label, metric, value`."""
        scores = metrics.score(
            truth,
            prediction,
            labels=self.labels,
            spacing_mm=spacing_mm,
            tolerance_mm=self.tolerance_mm,
            ignore_label=self.ignore_label,
        )
        if not self.lesions:
            return scores
        lesions = metrics.lesion_scores(truth, prediction, labels=self.labels, ignore_label=self.ignore_label)
        return pd.concat([scores, lesions], ignore_index=True)


def pair_up(truth: Path, prediction: Path) -> list[Pair]:
    """Pair two files, or the NIfTI files of two folders by their names; a Decathlon folder's truths are in labelsTr.

    Raises:
        ConfigError: where one is a file and the other a folder.
        DataError: where a path is absent, a folder has no NIfTI files or two of one name, or a file has no partner.
    """
    for path in (truth, prediction):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
    if truth.is_dir() != prediction.is_dir():
        raise ConfigError(f"expected two files or two folders, received {truth} and {prediction}")
    if truth.is_file():
        return [Pair(name_of(truth), truth, prediction)]
    truths = _nifti_files(truth / "labelsTr" if (truth / "labelsTr").is_dir() else truth)
    predictions = _nifti_files(prediction)
    lacking = {"prediction": truths.keys() - predictions.keys(), "truth": predictions.keys() - truths.keys()}
    wrong = [f"no {what} of {_listed(cases)}" for what, cases in lacking.items() if cases]
    if wrong:
        raise DataError(f"{truth} and {prediction} do not match: {'; '.join(wrong)}")
    return [Pair(case, truths[case], predictions[case]) for case in sorted(truths)]


def name_of(path: Path) -> str:
    """Return the name of a NIfTI file without its suffixes, or of a folder."""
    name = os.path.basename(os.path.abspath(path))  # of "." too; a link keeps its own name
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def labels_of(
    text: str | None, truth: Path, pairs: Sequence[Pair], ignore_label: int | None = None, workers: int = 1
) -> dict[int, str]:
    """Return the labels that `text` gives: `1=spleen,2=liver`, or the path of a dataset.json.

    Without a text, they are those of the dataset.json in the folder `truth`, or else the values in the truths of
    `pairs`, each named by its number; background and `ignore_label` are left out.

    Raises:
        ConfigError: where the text is another.
        DataError: where a file cannot be read, or there are no labels in it.
    """
    if text is None and (truth / "dataset.json").is_file():
        text = str(truth / "dataset.json")
    if text is None:
        with ThreadPoolExecutor(workers) as pool:  # unpacking runs in threads, unlike edt
            found = set[int]().union(*pool.map(_values_in, [pair.truth for pair in pairs]))
        labels = {value: str(value) for value in found}
    elif text.endswith(".json"):
        labels = read_description(
            Path(text), "labels, each a whole number and a name", lambda description: declared(description["labels"])
        )
    else:
        return _parsed(text)
    labels = {value: labels[value] for value in sorted(labels.keys() - {0, ignore_label})}
    if not labels:
        raise DataError(f"{text or truth}: no label in it; name the values with --labels")
    return labels


def score_pairs(
    pairs: Sequence[Pair],
    scoring: Scoring,
    name: str,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score every case, in processes where `workers` is more than 1, with the same result for any number.

    Args:
        pairs: the cases; each is its own subject.
        scoring: what is scored.
        name: of the predictions; stands in column `loss`.
        workers: number of processes; more than 1 only from a main module that can be imported.
        advance: is called after each case.

    Returns:
        The columns of a run's scores.csv, seed and fold empty; and `tfseg.metrics.summarise` of them.

    Raises:
        DataError: on a file that cannot be read or holds no labels, grids that differ, or a label value of a
            prediction that `scoring.labels` does not hold.
    """
    tables, diagonals_mm = [], {}
    with _mapping(workers) as mapped:
        for pair, (table, diagonal_mm) in zip(pairs, mapped(partial(_score_pair, scoring), pairs), strict=True):
            tables.append(table.assign(subject=pair.case, case=pair.case))
            diagonals_mm[pair.case] = diagonal_mm
            advance()
    scores = pd.concat(tables, ignore_index=True).assign(loss=name, seed=np.nan, fold=np.nan)[list(COLUMNS)]
    return scores, metrics.summarise(scores, diagonals_mm)


def check_out(out: Path, name: str) -> None:
    """Refuse to overwrite anything but earlier scores of the same predictions.

    Raises:
        ConfigError: where `out` is there and is not a table of `score_pairs` with this name in column `loss`.
    """
    if not out.exists():
        return
    try:
        table = pd.read_csv(out, dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        table = pd.DataFrame()
    if tuple(table.columns) != COLUMNS or set(table["loss"]) != {name} or any(table["seed"]):
        raise ConfigError(f"{out} exists and does not hold scores of {name}; choose another file with --out")


def _score_pair(scoring: Scoring, pair: Pair) -> tuple[pd.DataFrame, float]:
    """The scores of a case, and the diagonal of its volume in millimetres."""
    truth, prediction = read_label(pair.truth), read_label(pair.prediction)
    _check_grids(pair, truth, prediction)
    unknown = _values(prediction.array) - {0, *scoring.labels, scoring.ignore_label}
    if unknown:
        raise DataError(f"{pair.prediction}: values {_listed(unknown)} are not among the labels {dict(scoring.labels)}")
    diagonal_mm = geometry.diagonal_mm(truth.array.shape, truth.spacing_mm)
    return scoring.table(truth.array, prediction.array, truth.spacing_mm), diagonal_mm


def _check_grids(pair: Pair, truth: Volume, prediction: Volume) -> None:
    if truth.array.shape != prediction.array.shape:
        raise DataError(
            f"{pair.prediction}: its shape is {prediction.array.shape}, that of its truth {truth.array.shape}"
        )
    corners = np.array([(*corner, 1) for corner in product(*((0, length - 1) for length in truth.array.shape))])
    apart_mm = np.linalg.norm((prediction.affine - truth.affine)[:3] @ corners.T, axis=0).max()
    limit_mm = AFFINE_TOLERANCE * min(truth.spacing_mm)
    if apart_mm > limit_mm:
        raise DataError(
            f"{pair.prediction}: its affine is not that of its truth: corners lie {apart_mm:.3g} mm apart, "
            f"{limit_mm:.3g} mm (a tenth of a voxel) may be"
        )


def _parsed(text: str) -> dict[int, str]:
    try:
        pairs = [(int(value), name.strip()) for value, name in (part.split("=", 1) for part in text.split(","))]
    except ValueError:
        pairs = []
    labels = dict(pairs)
    if not labels or len(labels) < len(pairs) or not all(labels.values()):
        raise ConfigError(f"--labels: expected value=name,value=name or a dataset.json, received {text}")
    return labels


def _values_in(path: Path) -> set[int]:
    return _values(read_label(path).array)


def _values(array: Array) -> set[int]:
    return set(pd.unique(array.ravel(order="K")).tolist())


def _nifti_files(folder: Path) -> dict[str, Path]:
    """NIfTI files by name; hidden ones, which macOS leaves in archives, are no images."""
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and path.name[0] != ".")
    if not paths:
        raise DataError(f"{folder}: no NIfTI files (.nii, .nii.gz) in it")
    found: dict[str, Path] = {}
    for path in paths:
        if name_of(path) in found:
            raise DataError(f"{path}: the case is there twice, as {found[name_of(path)].name} too")
        found[name_of(path)] = path
    return found


def _listed(values: Iterable[Any], most: int = 5) -> str:
    """The first values in order, and how many there are where they are more."""
    ordered = sorted(values)
    text = ", ".join(map(str, ordered[:most]))
    return text if len(ordered) <= most else f"{text}, … ({len(ordered)} in all)"


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Give a `map` that keeps the order: the built-in one, or one over processes, since edt holds Python's lock."""
    if workers == 1:
        yield map
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield pool.map
