"""Find the values of prepared images and truths that no network can learn from."""

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets.grids import Array
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.targets import Targets


def impossible_values(images: Array, truth: Array, targets: Targets, ignores: bool = False) -> str:
    """Say which values of a batch cannot be; empty if all can.

    Args:
        images: of any shape.
        truth: as `Targets.encode` returns it.
        targets: what the truth means.
        ignores: voxels of `IGNORED` do not count.

    >>> impossible_values(np.zeros(2), np.uint8([2, 9]), Targets({1: "liver", 4: "spleen"}))
    'the truth holds 9, expected 0 to 2'
    """
    highest = 1 if targets.activation == "sigmoid" else targets.channels - 1
    expected = [*range(highest + 1), *([IGNORED] if ignores else [])]
    if wrong := np.setdiff1d(truth, expected).tolist():
        return f"the truth holds {', '.join(map(str, wrong[:5]))}, expected 0 to {highest}"
    return "" if np.isfinite(images).all() else "the image holds NaN or infinite values"


def check_case(case: PreparedCase, targets: Targets, ignores: bool = False) -> None:
    """Refuse a case with values that cannot be.

    Raises:
        DataError: with the first slice that has one, and the value.
    """
    for index in range(len(case.label)):
        if wrong := impossible_values(case.image[index], targets.encode(case.label[index]), targets, ignores):
            raise DataError(f"{case.name}, slice {index}: {wrong}")
