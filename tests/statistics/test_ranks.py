from math import sqrt

import numpy as np
import pandas as pd
import pytest

from tfseg.statistics import friedman_nemenyi
from tfseg.statistics.ranks import nemenyi_difference

# Four decision trees on fourteen data sets, area under the curve (Demšar 2006, table 6). The 0.9751 is printed as
# 0.975, but ranked above its neighbour's 0.975.
TREES = pd.DataFrame(
    [
        (0.763, 0.768, 0.771, 0.798), (0.599, 0.591, 0.590, 0.569), (0.954, 0.971, 0.968, 0.967),
        (0.628, 0.661, 0.654, 0.657), (0.882, 0.888, 0.886, 0.898), (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685), (0.583, 0.583, 0.563, 0.625), (0.775, 0.838, 0.866, 0.875),
        (1.000, 1.000, 1.000, 1.000), (0.940, 0.962, 0.965, 0.962), (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.9751, 0.975), (0.957, 0.978, 0.946, 0.970),
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)  # fmt: skip


def test_demsars_example():
    ranking = friedman_nemenyi(TREES, higher_is_better=True)
    assert list(ranking.mean_ranks) == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert list(ranking.mean_ranks.values()) == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert ranking.critical_difference == pytest.approx(1.25, abs=0.005)
    # Printed without the correction for ties: three pairs, and one row of four equals.
    ties = 1 - (3 * (2**3 - 2) + 4**3 - 4) / (14 * (4**3 - 4))
    assert ranking.chi_square * ties == pytest.approx(9.28, abs=0.005)
    assert ranking.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)


@pytest.mark.parametrize(
    ("losses", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (10, 3.164)]
)
def test_critical_values_of_demsars_table(losses, q):
    assert nemenyi_difference(losses, 12) / sqrt(losses * (losses + 1) / 72) == pytest.approx(q, abs=1e-3)


def alternating(subjects: int) -> pd.DataFrame:
    """A always wins; B and C take turns: ranks 1, 2.5, 2.5; χ² = 12/(n·12)·Σ R² - 12 n = 1.5 n, by hand."""
    turn = np.arange(subjects) % 2
    return pd.DataFrame({"B": 0.5 + 0.1 * turn, "A": 0.9, "C": 0.6 - 0.1 * turn})


def test_friedman_by_hand():
    ranking = friedman_nemenyi(alternating(20), higher_is_better=True)
    assert ranking.mean_ranks == {"A": 1, "B": 2.5, "C": 2.5}
    assert ranking.chi_square == pytest.approx(12 / (20 * 3 * 4) * (20**2 + 50**2 + 50**2) - 3 * 20 * 4)
    assert ranking.p == pytest.approx(np.exp(-ranking.chi_square / 2))  # chi-square with 2 degrees of freedom
    assert ranking.critical_difference == pytest.approx(2.343 * sqrt(12 / 120), abs=1e-3)
    assert ranking.groups == (("B", "C"),)


def test_lower_is_better_for_distances():
    ranking = friedman_nemenyi(alternating(20), higher_is_better=False)
    assert ranking.mean_ranks == {"B": 1.5, "C": 1.5, "A": 3}


def test_groups_overlap_and_none_lies_in_another():
    ranks = np.tile([[1, 2, 3, 4], [2, 1, 4, 3], [1, 3, 2, 4], [1, 2, 3, 4]], (8, 1))
    ranking = friedman_nemenyi(pd.DataFrame(ranks, columns=list("abcd")), higher_is_better=False)
    assert list(ranking.mean_ranks.values()) == [1.25, 2.0, 3.0, 3.75]
    assert ranking.critical_difference == pytest.approx(0.829, abs=1e-3)
    assert ranking.groups == (("a", "b"), ("c", "d"))
    fewer = friedman_nemenyi(pd.DataFrame(ranks[:16], columns=list("abcd")), higher_is_better=False)
    assert fewer.critical_difference == pytest.approx(1.173, abs=1e-3)
    assert fewer.groups == (("a", "b"), ("b", "c"), ("c", "d"))


def test_where_friedman_finds_nothing_all_are_one_group():
    values = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 5)), columns=list("abcde"))
    ranking = friedman_nemenyi(values, higher_is_better=True)
    assert ranking.p > 0.05
    assert ranking.groups == (tuple(ranking.mean_ranks),)


def test_subjects_without_every_loss_are_left_out():
    values = alternating(21)
    values.loc[20, "A"] = np.nan
    assert friedman_nemenyi(values, True) == friedman_nemenyi(alternating(20), True)


@pytest.mark.parametrize(
    ("values", "reason", "ranked"),
    [
        (alternating(9)[["A", "B"]], "Friedman's test compares three losses or more", 2),
        (alternating(1), "one subject has a value under all losses", 3),
        (alternating(0), "no subject has a value under all losses", 0),
        (0 * alternating(9), "all losses are equal on every subject", 3),
    ],
)
def test_why_there_is_no_test(values, reason, ranked):
    ranking = friedman_nemenyi(values, higher_is_better=True)
    assert ranking.reason == reason
    assert np.isnan([ranking.chi_square, ranking.p, ranking.critical_difference]).all()
    assert ranking.groups == ()
    assert len(ranking.mean_ranks) == ranked


def test_rounding_errors_are_ties():
    values = pd.DataFrame({"a": [0.3] * 4, "b": [0.1 + 0.2] * 4, "c": [0.2] * 4})
    assert friedman_nemenyi(values, True).mean_ranks == {"a": 1.5, "b": 1.5, "c": 3}
