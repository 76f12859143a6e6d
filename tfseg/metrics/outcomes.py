"""What became of every case in which a mask was empty."""

import numpy as np
import pandas as pd

CASE_KEYS = ["loss", "seed", "case", "label"]
OUTCOMES = ["both_empty", "missed", "false_alarm"]


def case_outcomes(scores: pd.DataFrame) -> pd.DataFrame:
    """Tells of every scored case which of its masks were empty, from its hd and its specificity.

    HD is NaN where both masks are empty and inf where one is. If that one is the truth, all that was
    predicted is false positive, and specificity is below 1; if it is the prediction, nothing is false
    positive. This holds for pictures too, which have no volume.

    Args:
        scores: columns `loss, seed, case, label, metric, value`, every case once per loss and seed.

    Returns:
        Columns `loss, seed, case, label`, and the flags `both_empty, missed, false_alarm`: truth and
        prediction, the prediction alone, the truth alone are empty.

    Raises:
        ValueError: a case and label without `hd` or `specificity`.
    """
    hd, specificity = (
        scores.loc[scores["metric"] == metric, [*CASE_KEYS, "value"]].rename(columns={"value": metric})
        for metric in ("hd", "specificity")
    )
    cases = hd.merge(specificity, on=CASE_KEYS)
    if not len(cases) == len(hd) == len(scores[CASE_KEYS].drop_duplicates()):
        raise ValueError("scores: expected hd and specificity of every case and label, received some without")
    failed = np.isinf(cases["hd"])
    false_alarm = failed & (cases["specificity"] < 1)
    flags = cases.assign(both_empty=cases["hd"].isna(), missed=failed & ~false_alarm, false_alarm=false_alarm)
    return flags[[*CASE_KEYS, *OUTCOMES]]
