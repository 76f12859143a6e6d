"""Choose rules that clean up predictions on validation subjects: a rule is kept only if it helps there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.clean_up import CleanUp
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.slices import class_volume
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.prepared import Prepared, PreparedCase

# Fewest voxels of a component that are tried.
MIN_VOXELS = (10, 30, 100, 300, 1000)


class Chosen(NamedTuple):
    """The rules that are kept, and for each label a line about what was tried."""

    rules: CleanUp
    lines: tuple[str, ...]


class _Masks(NamedTuple):
    """A case's classes `[i, j, k]`, predicted and true."""

    prediction: Array
    truth: Array


def choose_clean_up(predictor: Predictor, prepared: Prepared, cases: Sequence[PreparedCase]) -> Chosen:
    """Choose for each label the rule with the best mean Dice over cases, none if no rule is better than none.

    The rules are: keep the largest component, or drop components below one of `MIN_VOXELS`. Dice of a label that is
    empty in truth and prediction counts as 1.

    Args:
        predictor: the network.
        prepared: what its classes mean.
        cases: of the validation subjects.
    """
    volumes = [
        _Masks(class_volume(predictor, case.image, case.grid, prepared.targets), case.truth_classes()) for case in cases
    ]
    largest: list[str] = []
    fewest: dict[str, int] = {}
    lines: list[str] = []
    for index, name in enumerate(prepared.labels.values(), start=1):
        without = _mean_dice(volumes, index, CleanUp(), prepared.labels)
        tried = [(_mean_dice(volumes, index, rule, prepared.labels), rule) for rule in _candidates(name)]
        dice, best = max(tried, key=lambda each: each[0])
        if dice > without:
            largest += best.largest
            fewest |= best.min_voxels
            lines.append(f"{best}: Dice {without:.4f} to {dice:.4f} on validation subjects")
        else:
            lines.append(f"{name}: no rule helps on validation subjects (Dice {without:.4f})")
    return Chosen(CleanUp(tuple(largest), fewest), tuple(lines))


def _candidates(name: str) -> Iterator[CleanUp]:
    yield CleanUp(largest=(name,))
    for voxels in MIN_VOXELS:
        yield CleanUp(min_voxels={name: voxels})


def _mean_dice(volumes: Sequence[_Masks], index: int, rules: CleanUp, labels: Mapping[int, str]) -> float:
    values = []
    for prediction, truth in volumes:
        counted = truth != IGNORED
        predicted, true = (rules.apply(prediction, labels) == index)[counted], truth[counted] == index
        total = int(predicted.sum()) + int(true.sum())
        values.append(2 * int((predicted & true).sum()) / total if total else 1.0)
    return float(np.mean(values))
