"""One-way analysis of variance, as segmentation studies print it, and what it ignores."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

IGNORES = (
    "One-way ANOVA takes the scores of different arms for independent samples. They are paired: every arm was scored "
    "on the same subjects, so ANOVA misses differences that a paired comparison detects. It also ignores that networks "
    "vary. Computed over pixels instead of subjects, as some studies do, its p is far too small."
)


class Anova(NamedTuple):
    """F and p; NaN if there is no test, with the reason."""

    f: float
    p: float
    reason: str


def one_way_anova(values: pd.DataFrame) -> Anova:
    """Test by one-way ANOVA whether the arms' means differ (`IGNORES` says what it ignores).

    Args:
        values: a row per subject, a column per arm; NaN is left out.

    Source: Kethavath 2025, 10.1088/2057-1976/ae2b73, tests mean uncertainties this way.

    >>> result = one_way_anova(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [2.0, 3.0, 4.0]}))
    >>> round(result.f, 2), round(result.p, 3)
    (1.5, 0.288)
    """
    groups = [values[arm].dropna().to_numpy() for arm in values]
    if len(groups) < 2 or min(group.size for group in groups) < 2:
        return Anova(np.nan, np.nan, "one-way ANOVA needs two arms with two subjects each")
    if all(np.ptp(group) < 1e-10 for group in groups):
        return Anova(np.nan, np.nan, "no arm's values vary: there is no spread to test against")
    f, p = scipy.stats.f_oneway(*groups)
    return Anova(float(f), float(p), "")
