from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tfseg.statistics.effects import cohens_dz, holm, rank_biserial, wilcoxon

NAN = np.nan


def by_every_sign(differences: np.ndarray) -> float:
    """Wilcoxon's two-sided p, by trying every sign."""
    ranks = scipy.stats.rankdata(np.abs(differences))
    observed = ranks[differences > 0].sum()
    extreme = min(observed, ranks.sum() - observed)
    sums = [ranks[np.array(signs, bool)].sum() for signs in product((0, 1), repeat=differences.size)]
    return min(1.0, 2 * np.mean(np.array(sums) <= extreme + 1e-9))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6, 0.02]) == pytest.approx([1, 1, 0.06])
    assert holm([]).size == 0
    assert holm([NAN, 0.01, 0.03]) == pytest.approx([NAN, 0.03, 0.06], nan_ok=True)
    assert holm([[0.01, 0.04], [0.2, 0.03]]).tolist() == [holm([0.01, 0.04]).tolist(), holm([0.2, 0.03]).tolist()]


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=10))
@settings(max_examples=40)
def test_wilcoxon_is_exact_with_ties_and_zeros(values):
    differences = np.array(values, float)
    differing = differences[differences != 0]
    if differing.size == 0:
        assert np.isnan(wilcoxon(differences))
    else:
        assert wilcoxon(differences) == pytest.approx(by_every_sign(differing))


def test_wilcoxon_of_more_subjects():
    rng = np.random.default_rng(0)
    for n in (30, 180):
        values = rng.normal(0.15, 1, n)
        assert wilcoxon(values) == pytest.approx(scipy.stats.wilcoxon(values, method="exact").pvalue, rel=1e-9)
    tied = rng.integers(-3, 5, 60)
    approximate = scipy.stats.wilcoxon(tied[tied != 0], method="approx").pvalue
    assert wilcoxon(tied) == pytest.approx(approximate, rel=0.2)
    many = rng.normal(0.1, 1, 300)
    assert wilcoxon(many) == pytest.approx(scipy.stats.wilcoxon(many, method="exact").pvalue, rel=0.05)


def test_rank_biserial_by_hand():
    assert rank_biserial([1.0, -2, 3, 4, 5, 6, 0]) == pytest.approx((19 - 2) / 21)
    assert rank_biserial([2.0, -2, 1, 0]) == pytest.approx((2.5 + 1 - 2.5) / 6)
    assert np.isnan(rank_biserial([0.0, 1e-12]))


def test_d_z_by_hand():
    differences = np.array([1.0, 2, 3, 4, 5, 6])
    d, low, high = cohens_dz(differences, half_width=0.0)
    assert d == pytest.approx(3.5 / 3.5**0.5)
    assert high - d == d - low == pytest.approx(scipy.stats.t.ppf(0.975, 5) * d / 10**0.5)
    assert cohens_dz(differences - 3.5, half_width=2.0) == pytest.approx((0, -2 / 3.5**0.5, 2 / 3.5**0.5))
    assert np.isnan(cohens_dz([0.1, 0.1, 0.1], 0.1)).all()


def test_the_interval_of_d_z_holds_the_truth():
    rng = np.random.default_rng(0)
    for subjects, size in ((8, 0.8), (30, 0.3)):
        held = 0
        for _ in range(1000):
            values = rng.normal(size, 1, subjects)
            half = scipy.stats.t.ppf(0.975, subjects - 1) * values.std(ddof=1) / subjects**0.5
            _, low, high = cohens_dz(values, half)
            held += low <= size <= high
        assert held / 1000 >= 0.93
