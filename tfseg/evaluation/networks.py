"""Score a network on whole cases, on their scans' own grids."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfseg.core import geometry
from tfseg.datasets.grids import Array
from tfseg.datasets.volume import write_volume
from tfseg.evaluation.structures import score_structures
from tfseg.prediction.clean_up import CleanUp
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.slices import label_volume
from tfseg.prepared.prepared import Prepared, PreparedCase


def evaluate(
    predictor: Predictor,
    prepared: Prepared,
    cases: Iterable[PreparedCase],
    tolerance_mm: float,
    predictions: Path,
    clean: CleanUp | None = None,
) -> pd.DataFrame:
    """Predict and score cases; each prediction is written to `predictions` as label values on the scan's grid.

    Args:
        predictor: the network.
        prepared: says what its classes mean.
        cases: which.
        tolerance_mm: of NSD.
        predictions: folder to write.
        clean: rules that clean up a prediction before it is written and scored.

    Returns:
        Columns `subject, case, label, metric, value`, as `score_targets` gives them.
    """
    tables = []
    for case in cases:
        truth = case.label_volume(prepared.labels, prepared.ignore_label)
        prediction = label_volume(predictor, case, prepared.targets, clean)
        write_volume(predictions / f"{case.name}.nii.gz", prediction, np.asarray(case.grid.affine))
        spacing_mm = None if case.in_pixels else case.grid.spacing_mm
        scores = score_targets(truth, prediction, prepared, spacing_mm=spacing_mm, tolerance_mm=tolerance_mm)
        scores.insert(0, "subject", case.subject)
        scores.insert(1, "case", case.name)
        tables.append(scores)
    return pd.concat(tables, ignore_index=True)


def score_targets(truth: Array, prediction: Array, prepared: Prepared, **how: Any) -> pd.DataFrame:
    """Score label values `[i, j, k]` as `tfseg.metrics.score`: every label, or every region in place of the labels.

    Args:
        truth, prediction: label values on one grid.
        prepared: says what they mean.
        **how: of `tfseg.metrics.score`.
    """
    return score_structures(truth, prediction, prepared.labels, prepared.regions, prepared.ignore_label, **how)


def diagonals_mm(cases: Iterable[PreparedCase]) -> Mapping[str, float]:
    """Return the diagonal of each case's volume in millimetres: what a missed structure costs in distance."""
    return {case.name: geometry.diagonal_mm(case.grid.shape, case.grid.spacing_mm) for case in cases}
