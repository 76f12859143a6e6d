"""Measure the probabilities of networks on whole cases, on their scans' own grids."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from tfseg.core import files
from tfseg.datasets.grids import Array
from tfseg.metrics.probabilities import (
    CONFIDENCE_BINS,
    ENTROPY_BINS,
    Curves,
    Label,
    calibration_scores,
    curves,
    uncertainty_scores,
)
from tfseg.metrics.retention import POINTS
from tfseg.metrics.table import CALIBRATED, DROPOUT, PLAIN, SOURCES
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.slices import probability_volume
from tfseg.prediction.temperature import Temperature
from tfseg.prediction.uncertainty import entropy
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.prepared import Prepared, PreparedCase
from tfseg.prepared.targets import Targets

CURVE_COLUMNS = ("subject", "case", "label", "source", "curve", "x", "y", "voxels")


@dataclass(frozen=True)
class Probabilities:
    """The sources of the probabilities of a case.

    Args:
        plain: the network as it predicts.
        drawn: case → predictor of the mean over dropout passes; None: it is not measured.
        temperature: of the network; None: the probabilities are not scaled.
    """

    plain: Predictor
    drawn: Callable[[PreparedCase], Predictor] | None = None
    temperature: Temperature | None = None

    def of(self, case: PreparedCase, targets: Targets) -> Iterator[tuple[str, Array]]:
        """Yield the suffix of a source's metrics, and its probabilities `[i, j, k, channels]` on the scan's grid."""
        plain = _predicted(self.plain, case)
        yield PLAIN, probability_volume(plain, case.grid, targets)
        if self.drawn:
            yield DROPOUT, probability_volume(_predicted(self.drawn(case), case), case.grid, targets)
        if self.temperature:
            yield CALIBRATED, probability_volume(self.temperature.apply(plain), case.grid, targets)


@dataclass(frozen=True)
class Measured:
    """Uncertainty: `scores` with columns `subject, case, label, metric, value`; `curves` with `CURVE_COLUMNS`."""

    scores: pd.DataFrame
    curves: pd.DataFrame


def measure_uncertainty(
    probabilities: Probabilities, prepared: Prepared, cases: Iterable[PreparedCase], band_mm: float, maps: Path
) -> Measured:
    """Measure every label or region of cases, one against the rest, under every source of probabilities.

    A source's metrics bear its suffix in `tfseg.metrics.METRICS`. Errors are those of the source's own decisions,
    before any clean-up. The entropy of the dropout passes, else of the network, is written to `maps` on the scan's own
    grid.

    Args:
        probabilities: where they come from.
        prepared: says what the channels mean.
        cases: which.
        band_mm: reach of the band around a truth's border to either side; in pixels for images without a spacing.
        maps: folder to write.
    """
    scores: list[dict[str, Any]] = []
    drawn: list[pd.DataFrame] = []
    targets = prepared.targets
    for case in cases:
        known = {"subject": case.subject, "case": case.name}
        truth = case.truth_classes()
        spacing_mm = (1.0, 1.0, 1.0) if case.in_pixels else case.grid.spacing_mm
        for source, volume in probabilities.of(case, targets):
            for name, label in _labels(volume, truth, targets, spacing_mm, band_mm):
                found, shown = calibration_scores(label), curves(label)
                rows = _curve_rows(shown)
                if source == CALIBRATED:  # which leaves the order of voxels as it is
                    rows = rows[rows["curve"] == "reliability"]
                else:
                    found |= uncertainty_scores(label, shown.retention)
                drawn.append(rows.assign(**known, label=name, source=SOURCES[source]))
                scores += [
                    {**known, "label": name, "metric": f"{metric}{source}", "value": value}
                    for metric, value in found.items()
                ]
            if source == (DROPOUT if probabilities.drawn else PLAIN):
                _write_map(maps / f"{case.name}.nii.gz", volume, targets, np.asarray(case.grid.affine))
    return Measured(pd.DataFrame(scores), pd.concat(drawn, ignore_index=True)[list(CURVE_COLUMNS)])


def _predicted(predictor: Predictor, case: PreparedCase) -> Array:
    return np.concatenate(list(predictor.blocks(case.image)))


def _labels(
    volume: Array, truth: Array, targets: Targets, spacing_mm: tuple[float, ...], band_mm: float
) -> Iterator[tuple[str, Label]]:
    counted = truth != IGNORED
    decided = targets.decide(volume)
    for (name, inside), channel in zip(_members(targets).items(), targets.scored_channels, strict=True):
        masks = inside[truth], inside[decided]
        yield name, Label.of(volume[..., channel], *masks, spacing_mm, band_mm, None if counted.all() else counted)


def _members(targets: Targets) -> Mapping[str, Array]:
    """Scored label or region → whether a class index belongs to it, bool `[256]`; ignored voxels do not."""
    table = np.zeros((IGNORED + 1, len(targets.scored)), bool)
    table[: 1 + len(targets.labels)] = targets.members
    return dict(zip(targets.scored, table.T, strict=True))


def _curve_rows(shown: Curves) -> pd.DataFrame:
    """Rows `curve, x, y, voxels`: mean probability and frequency; share looked at and Dice; the middle of a bin."""
    by_confidence = (np.arange(CONFIDENCE_BINS) + 0.5) / CONFIDENCE_BINS
    by_entropy = (np.arange(ENTROPY_BINS) + 0.5) / ENTROPY_BINS * np.log(2)
    reliability = shown.reliability
    parts = {
        "reliability": (reliability.confidence, reliability.frequency, reliability.voxels),
        "retention": (np.linspace(0, 1, POINTS), shown.retention, np.nan),
        "entropy": (by_entropy, np.nan, shown.entropy),
        "right": (by_confidence, np.nan, shown.right),
        "wrong": (by_confidence, np.nan, shown.wrong),
    }
    tables = [
        pd.DataFrame({"x": x, "y": y, "voxels": voxels}).assign(curve=name) for name, (x, y, voxels) in parts.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _write_map(path: Path, volume: Array, targets: Targets, affine: Array) -> None:
    """Write the entropy of probabilities as NIfTI; 255 steps up to the largest possible entropy make it small."""
    channels = targets.channels
    largest = float(np.log(channels) if targets.activation == "softmax" else channels * np.log(2))
    steps = np.rint(np.asarray(entropy(volume, targets.activation)) * (255 / largest)).astype(np.uint8)
    image = nib.Nifti1Image(steps, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(largest / 255, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        nib.save(image, temporary)
