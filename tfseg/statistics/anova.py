"""One-way analysis of variance, as segmentation studies print it, and what it leaves out."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

IGNORES = (
    "One-way ANOVA treats the losses as groups of different subjects. All losses were scored on the same subjects, "
    "which differ from one another more than the losses do: it ignores that pairing, and so misses differences that "
    "paired tests find. Values that are not independent, as pixels of one scan, make its p far too small."
)


class Anova(NamedTuple):
    """F and p; NaN where there is no test, with the reason."""

    f: float
    p: float
    reason: str


def one_way_anova(values: pd.DataFrame) -> Anova:
    """Tests by one-way ANOVA whether the losses' means differ (`IGNORES` says what it leaves out).

    Args:
        values: a row per subject, a column per loss; NaN is left out.

    Source: Kethavath 2025, 10.1088/2057-1976/ae2b73, tests the losses' mean uncertainties so.
    """
    groups = [values[loss].dropna().to_numpy() for loss in values]
    if len(groups) < 2 or min(group.size for group in groups) < 2:
        return Anova(np.nan, np.nan, "one-way ANOVA needs two losses with two subjects each")
    if all(np.ptp(group) < 1e-10 for group in groups):
        return Anova(np.nan, np.nan, "no loss's values vary: there is no spread to test against")
    f, p = scipy.stats.f_oneway(*groups)
    return Anova(float(f), float(p), "")
