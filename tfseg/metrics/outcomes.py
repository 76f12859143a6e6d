"""Cases in which a mask is empty: both empty, missed, false alarm."""

import numpy as np
import pandas as pd

from tfseg.core.errors import DataError
from tfseg.metrics.table import METRICS

OUTCOMES = ["both_empty", "missed", "false_alarm"]

_OF_MASKS = [name for name, metric in METRICS.items() if metric.of_masks]


def arm_column(scores: pd.DataFrame) -> str:
    """Return the column that names an arm: `arm` if the table has it, else `loss`."""
    return "arm" if "arm" in scores else "loss"


def case_keys(scores: pd.DataFrame) -> list[str]:
    """Return the columns that name one scored case and label: arm, seed, case, label."""
    return [arm_column(scores), "seed", "case", "label"]


def case_outcomes(scores: pd.DataFrame) -> pd.DataFrame:
    """Find which masks of every scored case are empty, from its hd and its specificity.

    HD is NaN if both masks are empty and inf if one is. If the truth is empty, all of the prediction is false
    positive and specificity is below 1; if the prediction is empty, nothing is false positive. This also holds for
    2D images, which have no volume. Labels that have other quantities only (a calibration error) are left out.

    Args:
        scores: columns `loss, seed, case, label, metric, value`, and `arm` if arms are not losses; every case once
            per arm and seed.

    Returns:
        Columns `loss` (or `arm`), `seed, case, label`, and the flags `both_empty`; `missed`: only the prediction is
        empty; `false_alarm`: only the truth is empty.

    Raises:
        DataError: a case and label that has scores of masks, but no `hd` or no `specificity`.
    """
    keys = case_keys(scores)
    scores = scores[scores["metric"].isin(_OF_MASKS)]
    hd, specificity = (
        scores.loc[scores["metric"] == metric, [*keys, "value"]].rename(columns={"value": metric})
        for metric in ("hd", "specificity")
    )
    cases = hd.merge(specificity, on=keys)
    if not len(cases) == len(hd) == len(scores[keys].drop_duplicates()):
        raise DataError("scores: expected hd and specificity of every case and label, received some without")
    failed = np.isinf(cases["hd"])
    false_alarm = failed & (cases["specificity"] < 1)
    flags = cases.assign(both_empty=cases["hd"].isna(), missed=failed & ~false_alarm, false_alarm=false_alarm)
    return flags[[*keys, *OUTCOMES]]
