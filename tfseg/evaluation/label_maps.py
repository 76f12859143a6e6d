"""Score label maps of any origin, case by case."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tfseg import metrics
from tfseg.core import geometry
from tfseg.core.claims import claim_file
from tfseg.core.errors import ConfigError, DataError
from tfseg.core.processes import in_processes
from tfseg.datasets import cautions
from tfseg.datasets.formats import open_label
from tfseg.datasets.grids import GRID_TOLERANCE, Array, Header, Volume, corners_apart_mm, same_grid, stored_like
from tfseg.evaluation.pairs import Pair, Structures, listed
from tfseg.evaluation.structures import score_structures
from tfseg.metrics.summary import COLUMNS


@dataclass(frozen=True)
class Scoring:
    """Structures to score, the tolerance, and whether lesions are counted.

    Raises:
        ConfigError: if `tfseg.metrics.score` does not take these arguments.
    """

    structures: Structures
    tolerance_mm: float = 1.0
    lesions: bool = False

    def __post_init__(self) -> None:
        pixel = np.zeros((1, 1), np.uint8)
        try:
            self.table(pixel, pixel, (1, 1))
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def table(self, truth: Array, prediction: Array, spacing_mm: Sequence[float] | None) -> pd.DataFrame:
        """Score one case: columns `label, metric, value`. Distances are in pixels without a spacing."""
        what = self.structures
        measure = partial(score_structures, truth, prediction, what.labels, what.regions, what.ignore_label)
        scores = measure(spacing_mm=spacing_mm, tolerance_mm=self.tolerance_mm)
        return pd.concat([scores, measure(metrics.lesion_scores)], ignore_index=True) if self.lesions else scores


class Scores(NamedTuple):
    """All cases with the columns of a run's scores.csv, their summary, the unit of distances, and lines to report."""

    table: pd.DataFrame
    summary: pd.DataFrame
    unit: str
    warnings: tuple[str, ...]


class _Scored(NamedTuple):
    table: pd.DataFrame
    diagonal_mm: float
    unit: str
    warnings: tuple[str, ...]


def score_pairs(
    pairs: Sequence[Pair],
    scoring: Scoring,
    name: str,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> Scores:
    """Score every case, in several processes if `workers` is more than 1; the result does not depend on their number.

    Args:
        pairs: the cases; each is its own subject.
        scoring: what is scored.
        name: of the predictions; column `loss` holds it.
        workers: number of processes; more than 1 only from a main module that can be imported.
        advance: called after each case.

    Raises:
        DataError: if a file cannot be read or is not a label map, grids differ, a prediction has a value that is not
            among the labels, or a truth one that is not declared, or some cases are in millimetres and others in
            pixels.
    """
    scored = {}
    with closing(in_processes(partial(_score_pair, scoring), pairs, workers)) as results:
        for pair, result in results:
            scored[pair] = result
            advance()
    units = {pair.truth: scored[pair].unit for pair in pairs}
    if len(set(units.values())) > 1:
        millimetres, pixels = (next(path for path, unit in units.items() if unit == each) for each in ("mm", "px"))
        raise DataError(f"{pixels}: has no millimetres, {millimetres.name} has; score 2D images and volumes apart")
    tables = [scored[pair].table.assign(subject=pair.case, case=pair.case) for pair in pairs]
    scores = pd.concat(tables, ignore_index=True).assign(loss=name, seed=np.nan, fold=np.nan)[list(COLUMNS)]
    diagonals_mm = {pair.case: scored[pair].diagonal_mm for pair in pairs}
    warnings = dict.fromkeys(warning for pair in pairs for warning in scored[pair].warnings)
    return Scores(scores, metrics.summarise(scores, diagonals_mm), next(iter(units.values())), tuple(warnings))


def check_out(out: Path, name: str) -> None:
    """Refuse to overwrite anything except earlier scores of the same predictions.

    Raises:
        ConfigError: if `out` exists and is not a table of `score_pairs` with this name in column `loss`.
    """

    def is_own(text: str) -> bool:
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        return tuple(table.columns) == COLUMNS and set(table["loss"]) == {name} and not any(table["seed"])

    claim_file(out, is_own, f"scores of {name}")


def _score_pair(scoring: Scoring, pair: Pair) -> _Scored:
    structures = scoring.structures
    (truth, of_truth), (stored, of_prediction) = (
        _read(path, structures.masks_as_shown) for path in (pair.truth, pair.prediction)
    )
    prediction = stored_like(stored, truth.affine)
    _check_grids(pair, truth, prediction)
    check_values(pair.prediction, prediction.array, structures.labels, structures.ignore_label)
    if structures.is_complete:
        check_values(pair.truth, truth.array, structures.labels, structures.ignore_label)
    table = scoring.table(truth.array, prediction.array, None if truth.in_pixels else truth.spacing_mm)
    diagonal_mm = geometry.diagonal_mm(truth.array.shape, truth.spacing_mm)
    warnings = cautions.of_headers({pair.truth: of_truth, pair.prediction: of_prediction})
    return _Scored(table, diagonal_mm, "px" if truth.in_pixels else "mm", tuple(warnings))


def _read(path: Path, shown: bool) -> tuple[Volume, Header]:
    with open_label(path, shown) as label:
        return label.read(), label.header


def check_values(path: Path, label_map: Array, labels: Mapping[int, str], ignore_label: int | None = None) -> None:
    """Refuse a label map with values that are no label.

    Raises:
        DataError: with those values.
    """
    values = set(np.unique(label_map.ravel(order="K")).tolist())
    if unknown := values - {0, *labels, ignore_label}:
        raise DataError(f"{path}: values {listed(unknown)} are not among the labels {dict(labels)}")


def _check_grids(pair: Pair, truth: Volume, prediction: Volume) -> None:
    """Refuse a prediction on another grid; it may be stored in another order."""
    shape = truth.array.shape
    if shape != prediction.array.shape:
        raise DataError(f"{pair.prediction}: its shape is {prediction.array.shape}, that of its truth {shape}")
    if not same_grid(shape, truth.affine, prediction.affine):
        apart_mm = corners_apart_mm(shape, truth.affine, prediction.affine)
        limit_mm = GRID_TOLERANCE * min(truth.spacing_mm)
        raise DataError(
            f"{pair.prediction}: its affine is not that of its truth: corners lie {apart_mm:.3g} mm apart, "
            f"{limit_mm:.3g} mm (a tenth of a voxel) may be"
        )
