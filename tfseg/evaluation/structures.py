"""Score the structures of a label map: every label, or every region in place of the labels."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from tfseg import metrics
from tfseg.datasets.grids import Array

INSIDE, UNKNOWN = 1, 2


def score_structures(
    truth: Array,
    prediction: Array,
    labels: Mapping[int, str],
    regions: Mapping[str, Sequence[int]] = MappingProxyType({}),
    ignore_label: int | None = None,
    measure: Callable[..., pd.DataFrame] = metrics.score,
    **how: Any,
) -> pd.DataFrame:
    """Score label values as `tfseg.metrics.score` does; if there are regions, they are scored and labels are not.

    Args:
        truth, prediction: label values `[*spatial]` on one grid.
        labels: names by value.
        regions: label values by the name of their union; regions may overlap.
        ignore_label: the value of unknown voxels in the truth.
        measure: `tfseg.metrics.score` or `tfseg.metrics.lesion_scores`.
        **how: further arguments of `measure`.

    >>> truth, prediction = np.array([[1, 2, 0]]), np.array([[2, 2, 0]])
    >>> table = score_structures(truth, prediction, {1: "oedema", 2: "core"}, {"whole": (1, 2), "core": (2,)})
    >>> table[table["metric"] == "dice"]
        label metric     value
    0   whole   dice  1.000000
    13   core   dice  0.666667
    """
    if not regions:
        return measure(truth, prediction, labels=labels, ignore_label=ignore_label, **how)
    tables = []
    for name, values in regions.items():
        true, predicted = (np.isin(label_map, values).astype(np.uint8) for label_map in (truth, prediction))
        if ignore_label is not None:
            true[truth == ignore_label] = UNKNOWN
        tables.append(measure(true, predicted, labels={INSIDE: name}, ignore_label=UNKNOWN, **how))
    return pd.concat(tables, ignore_index=True)
