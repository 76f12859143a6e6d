from itertools import product
from math import atan, cos, pi, sin, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfseg.statistics import pairwise, pairwise_tests

NAN = np.nan

values = arrays(float, st.tuples(st.integers(6, 20), st.just(2)), elements=st.integers(0, 1000).map(lambda n: n / 1000))


def t5_two_sided(t: float) -> float:
    """The two-sided p of Student's t with 5 degrees of freedom, by its closed form."""
    angle = atan(abs(t) / sqrt(5))
    return 1 - 2 / pi * (angle + sin(angle) * (cos(angle) + 2 / 3 * cos(angle) ** 3))


def signed_rank_p(differences: list[float]) -> float:
    """Wilcoxon's two-sided p, by trying every sign."""
    sizes = sorted(abs(d) for d in differences)
    rank = {size: np.mean([place + 1 for place, other in enumerate(sizes) if other == size]) for size in sizes}
    total = sum(rank[size] for size in sizes)
    observed = sum(rank[abs(d)] for d in differences if d > 0)
    sums = [
        sum(r for r, sign in zip((rank[abs(d)] for d in differences), signs, strict=True) if sign)
        for signs in product((0, 1), repeat=len(differences))
    ]
    extreme = min(observed, total - observed)
    return min(1.0, 2 * np.mean([s <= extreme for s in sums]))


def test_paired_t_by_hand():
    differences = np.array([1.0, 2, 3, 4, 5, 6])
    t = 3.5 / (sqrt(3.5) / sqrt(6))
    assert pairwise.paired_t(differences) == pytest.approx(t5_two_sided(t), rel=1e-9)
    assert pairwise.paired_t(-differences) == pytest.approx(0.00593, abs=5e-6)


@pytest.mark.parametrize(
    ("differences", "p"),
    [([1, 2, 3, 4, 5, 6], 2 / 64), ([-1, 2, 3, 4, 5, 6], 4 / 64), ([1, -2, 3, 4, 5, 6], 6 / 64)],
)
def test_wilcoxon_by_hand(differences, p):
    assert pairwise.wilcoxon(np.array(differences, float)) == pytest.approx(p)
    assert pairwise.wilcoxon(-np.array(differences, float)) == pytest.approx(p)


@pytest.mark.parametrize("draw", range(4))
def test_wilcoxon_against_every_sign(draw):
    rng = np.random.default_rng(draw)
    distinct = rng.normal(0.4, 1, 9)
    tied = rng.integers(1, 4, 9) * rng.choice([-1.0, 1], 9, p=[0.3, 0.7])
    for differences in (distinct, tied):
        with_zeros = np.concatenate([differences, np.zeros(3)])
        assert pairwise.wilcoxon(with_zeros) == pytest.approx(signed_rank_p(list(differences)))


def test_with_five_subjects_wilcoxon_cannot_reach_five_percent():
    assert pairwise.wilcoxon_floor(5) == 0.0625
    assert pairwise.wilcoxon_floor(pairwise.MIN_SUBJECTS) == 0.03125
    assert pairwise.wilcoxon(np.arange(1.0, 7)) == pairwise.wilcoxon_floor(6)


def test_holm_by_hand():
    assert pairwise.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert pairwise.holm([0.5, 0.6, 0.02]) == pytest.approx([1, 1, 0.06])
    assert pairwise.holm([0.02]) == pytest.approx([0.02])
    assert pairwise.holm([]).size == 0


def test_holm_counts_what_was_not_tested():
    assert pairwise.holm([NAN, 0.01, 0.03]) == pytest.approx([NAN, 0.03, 0.06], nan_ok=True)


def test_sizes_of_effect_by_hand():
    assert pairwise.cohens_dz(np.array([1.0, 2, 3, 4, 5, 6])) == pytest.approx(3.5 / sqrt(3.5))
    assert pairwise.rank_biserial(np.array([1.0, -2, 3, 4, 5, 6, 0])) == pytest.approx((19 - 2) / 21)
    assert pairwise.rank_biserial(np.array([2.0, -2, 1, 0])) == pytest.approx((2.5 + 1 - 2.5) / 6)


def test_bootstrap_interval_of_many_subjects_is_the_normal_one():
    differences = np.random.default_rng(1).normal(0.02, 0.1, 400)
    half = 1.96 * differences.std(ddof=1) / 20
    low, high = pairwise.bootstrap_interval(differences)
    assert low == pytest.approx(differences.mean() - half, abs=0.05 * half)
    assert high == pytest.approx(differences.mean() + half, abs=0.05 * half)


def test_bootstrap_interval_leans_to_the_long_tail():
    differences = np.random.default_rng(2).exponential(1, 30)
    low, high = pairwise.bootstrap_interval(differences)
    assert high - differences.mean() > 1.1 * (differences.mean() - low)


def table(**columns):
    return pd.DataFrame(columns, dtype=float)


def test_table_of_one_pair():
    second = np.array([0.5, 0.4, 0.7, 0.6, 0.5, 0.8, 0.2])
    gaps = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, NAN])
    row = pairwise_tests(table(a=second + gaps, b=second)).iloc[0]
    assert (row["first"], row["second"], row["n"], row["note"]) == ("a", "b", 6, "")
    assert row["mean_difference"] == pytest.approx(0.35)
    assert row["t_p"] == row["t_p_holm"] == pytest.approx(t5_two_sided(sqrt(21)), rel=1e-6)
    assert row["wilcoxon_p"] == pytest.approx(2 / 64)
    assert row["rank_biserial"] == 1
    assert 0.2 < row["ci_low"] < 0.3 < 0.4 < row["ci_high"] < 0.5


def test_p_values_are_adjusted_over_the_pairs():
    rng = np.random.default_rng(0)
    tests = pairwise_tests(pd.DataFrame(rng.normal([0, 0.3, 1], 0.5, (12, 3)), columns=list("abc")))
    assert [*zip(tests["first"], tests["second"], strict=True)] == [("a", "b"), ("a", "c"), ("b", "c")]
    for test in ("t_p", "wilcoxon_p"):
        assert tests[f"{test}_holm"].tolist() == pairwise.holm(tests[test]).tolist()
        assert (tests[f"{test}_holm"] > tests[test]).any()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ([0.5] * 5, "5 subjects are too few for a test, which needs 6 (Wilcoxon: p ≥ 0.0625)"),
        ([0.5], "1 subject is too few for a test, which needs 6 (Wilcoxon: p ≥ 1)"),
        ([NAN] * 8, "no subject has a value under both losses"),
        ([0.3] * 8, "the differences of all 8 subjects are zero, which leaves no spread to test against"),
        ([0.5] * 8, "the differences of all 8 subjects are the same, 0.2, which leaves no spread to test against"),
    ],
)
def test_why_there_is_no_test(first, reason):
    row = pairwise_tests(table(a=first, b=[0.3] * len(first))).iloc[0]
    assert row["note"] == reason
    tested = ["ci_low", "ci_high", "t_p", "t_p_holm", "wilcoxon_p", "wilcoxon_p_holm", "d_z", "rank_biserial"]
    assert row[tested].isna().all()


def test_too_few_subjects_for_the_adjusted_test_is_said():
    rng = np.random.default_rng(0)
    values = pd.DataFrame(rng.normal(0, 1, (7, 4)), columns=list("abcd"))
    expected = "too few subjects differ for Wilcoxon to reach 0.05: adjusted p ≥ 0.0938"  # 6 pairs · 2 / 2⁷
    assert set(pairwise_tests(values)["note"]) == {expected}
    assert set(pairwise_tests(values[["a", "b"]])["note"]) == {""}


def test_subjects_that_do_not_differ_count_as_too_few():
    note = pairwise_tests(table(a=[0.5] * 15 + [0.6, 0.7, 0.8], b=[0.5] * 18))["note"][0]
    assert note == "too few subjects differ for Wilcoxon to reach 0.05: adjusted p ≥ 0.25"


def test_one_loss_has_no_pair():
    tests = pairwise_tests(table(a=[0.1] * 8))
    assert tests.empty
    assert list(tests.columns) == list(pairwise.PAIR_COLUMNS)


SIGNED = ["mean_difference", "d_z", "rank_biserial"]
PS = ["t_p", "t_p_holm", "wilcoxon_p", "wilcoxon_p_holm", "n"]


@settings(max_examples=40)
@given(values)
def test_swapping_losses_flips_the_signs(pair):
    frame = pd.DataFrame(pair, columns=["a", "b"])
    there, back = (pairwise_tests(frame[list(order)]).iloc[0] for order in ("ab", "ba"))
    assert there[SIGNED].tolist() == pytest.approx((-1 * back[SIGNED]).tolist(), nan_ok=True)
    assert there[PS].tolist() == pytest.approx(back[PS].tolist(), nan_ok=True)
    if there["mean_difference"] != 0:
        assert [there["ci_low"], there["ci_high"]] == pytest.approx([-back["ci_high"], -back["ci_low"]], nan_ok=True)


@settings(max_examples=40)
@given(values, st.integers(-100, 100), st.randoms(use_true_random=False))
def test_a_constant_and_the_order_of_subjects_change_nothing(pair, constant, random):
    order = list(range(len(pair)))
    random.shuffle(order)
    frame = pd.DataFrame(pair, columns=["a", "b"])
    pd.testing.assert_frame_equal(
        pairwise_tests(frame), pairwise_tests(frame.iloc[order] + constant / 10), check_exact=False, rtol=1e-9
    )


@settings(max_examples=40)
@given(values)
def test_results_stay_in_their_ranges(pair):
    row = pairwise_tests(pd.DataFrame(pair, columns=["a", "b"])).iloc[0]
    if np.isnan(row["t_p"]):
        assert "no spread" in row["note"]
        return
    assert row["ci_low"] <= row["mean_difference"] <= row["ci_high"]
    assert all(0 <= row[p] <= 1 for p in PS[:4])
    assert -1 <= row["rank_biserial"] <= 1
