"""Score a network on whole cases, on their scans' own grids."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tfseg.config.config import ScoringConfig
from tfseg.core import geometry
from tfseg.datasets.grids import Array
from tfseg.datasets.volume import write_volume
from tfseg.evaluation.scored import ALL, BACKGROUND
from tfseg.evaluation.structures import score_structures
from tfseg.metrics.table import METRICS, PREPARED
from tfseg.prediction.clean_up import CleanUp
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.slices import label_volume
from tfseg.preparation.label_maps import to_values
from tfseg.prepared.prepared import Prepared, PreparedCase
from tfseg.prepared.stored import Slices
from tfseg.prepared.targets import Targets


def evaluate(
    predictor: Predictor,
    prepared: Prepared,
    cases: Iterable[PreparedCase],
    scoring: ScoringConfig,
    predictions: Path,
    clean: CleanUp | None = None,
) -> pd.DataFrame:
    """Predict and score cases; each prediction is written to `predictions` as label values on the scan's grid.

    Args:
        predictor: the network.
        prepared: says what its classes mean.
        cases: which.
        scoring: what is scored, and the tolerance of NSD.
        predictions: folder to write.
        clean: rules that clean up a prediction before it is written and scored.

    Returns:
        Columns `subject, case, label, metric, value`, as `score_targets` gives them; no rows if there are no cases.
    """
    tables = []
    for case in cases:
        truth = case.label_volume(prepared.labels, prepared.ignore_label)
        seen = _Kept(predictor, prepared.targets)
        prediction = label_volume(seen if scoring.prepared_grid else predictor, case, prepared.targets, clean)
        write_volume(predictions / f"{case.name}.nii.gz", prediction, np.asarray(case.grid.affine))
        spacing_mm = None if case.in_pixels else case.grid.spacing_mm
        scores = score_targets(truth, prediction, prepared, scoring, spacing_mm)
        if scoring.prepared_grid:
            scores = pd.concat([scores, _on_prepared_grid(seen.classes, case, prepared, scoring)], ignore_index=True)
        scores.insert(0, "subject", case.subject)
        scores.insert(1, "case", case.name)
        tables.append(scores)
    columns = ["subject", "case", "label", "metric", "value"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def score_targets(
    truth: Array, prediction: Array, prepared: Prepared, scoring: ScoringConfig, spacing_mm: Sequence[float] | None
) -> pd.DataFrame:
    """Score label values `[i, j, k]` as `tfseg.metrics.score`: every label, or every region in place of the labels.

    Args:
        truth, prediction: label values on one grid.
        prepared: says what they mean.
        scoring: what is scored, and the tolerance of NSD.
        spacing_mm: as for `tfseg.metrics.score`.
    """
    labels = {0: BACKGROUND, **prepared.labels} if scoring.background else prepared.labels
    table = score_structures(
        truth,
        prediction,
        labels,
        prepared.regions,
        prepared.ignore_label,
        spacing_mm=spacing_mm,
        tolerance_mm=scoring.tolerance_mm,
    )
    if not scoring.background:
        return table
    known = np.ones(truth.shape, bool) if prepared.ignore_label is None else truth != prepared.ignore_label
    right = float((truth == prediction)[known].mean()) if known.any() else np.nan
    return pd.concat(
        [table, pd.DataFrame({"label": [ALL], "metric": ["global_accuracy"], "value": [right]})], ignore_index=True
    )


@dataclass(frozen=True)
class _Kept:
    """Predict as another predictor does, and keep the classes of its blocks, on the grid of the prepared image."""

    predictor: Predictor
    targets: Targets
    classes: list[Array] = field(default_factory=list)

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the blocks of the other predictor."""
        for block in self.predictor.blocks(image):
            self.classes.append(self.targets.decide(block[..., : self.targets.channels]))
            yield block


def _on_prepared_grid(
    decided: Sequence[Array], case: PreparedCase, prepared: Prepared, scoring: ScoringConfig
) -> pd.DataFrame:
    """Score a case on the grid that its scan was resampled to, from blocks of classes, as `score_targets` does."""
    truth, prediction = (case.grid.unpad(classes) for classes in (np.asarray(case.label), np.concatenate(decided)))
    table = score_targets(
        to_values(truth, prepared.labels, prepared.ignore_label),
        to_values(prediction, prepared.labels),
        prepared,
        scoring,
        None if case.in_pixels else case.grid.slice_spacing_mm,
    )
    table["metric"] += PREPARED
    return table[table["metric"].isin(METRICS.keys())]


def diagonals_mm(cases: Iterable[PreparedCase]) -> Mapping[str, float]:
    """Return the diagonal of each case's volume in millimetres: what a missed structure costs in distance."""
    return {case.name: geometry.diagonal_mm(case.grid.shape, case.grid.spacing_mm) for case in cases}
