"""Fit a network's temperature on validation subjects."""

from collections.abc import Sequence

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.temperature import Temperature, fit_temperature
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.targets import Targets

VOXELS = 2_000_000  # at most, of all cases together


def validation_temperature(
    predictor: Predictor, targets: Targets, cases: Sequence[PreparedCase], per_class: bool
) -> Temperature:
    """Fit temperatures to all voxels of some cases, as they were prepared, without padding and ignored voxels.

    Of more than `VOXELS` voxels, every second, third, … one is used.

    Args:
        predictor: the network.
        targets: what its channels mean.
        cases: of the validation subjects.
        per_class: one temperature per class or region.
    """
    every = 1 + sum(int(np.prod(case.grid.slice_shape)) for case in cases) // VOXELS
    parts = [_voxels(predictor, targets, case, every) for case in cases]
    probabilities, truth = (np.concatenate(part) for part in zip(*parts, strict=True))
    return fit_temperature(probabilities, truth, targets.activation, per_class)


def _voxels(predictor: Predictor, targets: Targets, case: PreparedCase, every: int) -> tuple[Array, Array]:
    """Probabilities `[n, channels]`, and the truth as `fit_temperature` takes it."""
    predicted = case.grid.unpad(np.concatenate(list(predictor.blocks(case.image))))
    classes = case.grid.unpad(np.asarray(case.label)).ravel()[::every]
    counted = classes != IGNORED
    truth = classes[counted] if targets.activation == "softmax" else targets.encode(classes[counted])
    return predicted.reshape(-1, targets.channels)[::every][counted], truth
