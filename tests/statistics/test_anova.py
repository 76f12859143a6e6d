import numpy as np
import pandas as pd
import pytest

from tfseg.statistics import one_way_anova
from tfseg.statistics.anova import IGNORES


def test_anova_by_hand():
    got = one_way_anova(pd.DataFrame({"a": [1.0, 2, 3], "b": [2.0, 3, 4], "c": [5.0, 6, 7]}))
    assert got.f == pytest.approx(13)  # between 26 / 2, within 6 / 6
    assert got.p == pytest.approx((1 + 2 * 13 / 6) ** -3)  # F with 2 and 6 degrees of freedom, its closed form
    assert got.reason == ""


def test_anova_misses_what_pairing_shows():
    subjects = np.linspace(0.3, 0.9, 12)
    spread = 0.001 * np.cos(np.arange(12))
    got = one_way_anova(pd.DataFrame({"a": subjects, "b": subjects + 0.01 + spread}))
    assert got.p > 0.8
    assert "They are paired" in IGNORES


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"a": [1.0, 2]}, "needs two arms with two subjects"),
        ({"a": [1.0, 2], "b": [1.0, np.nan]}, "needs two arms with two subjects"),
        ({"a": [1.0, 1], "b": [2.0, 2]}, "no arm's values vary"),
    ],
)
def test_why_there_is_no_test(values, reason):
    got = one_way_anova(pd.DataFrame(values))
    assert reason in got.reason
    assert np.isnan([got.f, got.p]).all()
