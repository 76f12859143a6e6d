from math import sqrt

import numpy as np
import pandas as pd
import pytest

from tfseg.statistics import corrected_t, fold_tests, paired_values


def t4_two_sided(t: float) -> float:
    """The two-sided p of Student's t with 4 degrees of freedom, by its closed form."""
    inside = 1 + t**2 / 4
    return 1 - 3 / 4 * abs(t) / sqrt(inside) * (1 - t**2 / inside / 12)


def test_corrected_t_by_hand():
    got = corrected_t([0.1, 0.2, 0.3, 0.4, 0.5], n_test=20, n_train=80)
    assert got.t == pytest.approx(0.3 / sqrt((0.2 + 0.25) * 0.025))
    assert got.t == pytest.approx(2 * sqrt(2))
    assert got.p == pytest.approx(t4_two_sided(2 * sqrt(2)))
    assert got.reason == ""


def test_without_shared_training_it_is_the_plain_t_test():
    got = corrected_t([0.1, 0.2, 0.3, 0.4, 0.5], n_test=0, n_train=1)
    assert got.t == pytest.approx(0.3 / sqrt(0.2 * 0.025))


@pytest.mark.parametrize(
    ("differences", "reason"),
    [
        ([], "fewer than two test sets"),
        ([0.1], "fewer than two test sets"),
        ([0.1] * 5, "of all test sets are the same"),
    ],
)
def test_why_there_is_no_test(differences, reason):
    got = corrected_t(differences, 5, 20)
    assert reason in got.reason
    assert np.isnan([got.t, got.p]).all()


def scores_of(differences, folds_of_seed, make_scores):
    """Loss a beats loss b by differences[seed][subject]; folds_of_seed: seed → fold by subject."""
    tables = []
    for seed, folds in enumerate(folds_of_seed):
        for subject, fold in enumerate(folds):
            gap = differences[seed][subject]
            runs = {("a", seed): {f"s{subject}": {"dice": 0.5 + gap}}, ("b", seed): {f"s{subject}": {"dice": 0.5}}}
            tables.append(make_scores(runs, fold=fold))
    return pd.concat(tables)


def test_seeds_on_the_same_splits_are_one_test_set(make_scores):
    gaps = np.array([[0.1, 0.3, 0.2, 0.0, 0.1, 0.1], [0.3, 0.5, 0.0, 0.0, 0.2, 0.2]])
    scores = scores_of(gaps, [[0, 0, 1, 1, 2, 2]] * 2, make_scores)
    row = fold_tests(*paired_values(scores, {}), scores, n_train=3).iloc[0]
    expected = corrected_t([(0.2 + 0.4) / 2, (0.1 + 0.0) / 2, (0.1 + 0.2) / 2], n_test=2, n_train=3)
    assert (row["first"], row["second"], row["test_sets"], row["note"]) == ("a", "b", 3, "")
    assert row["mean_difference"] == pytest.approx(0.5 / 3)
    assert (row["t"], row["p"], row["p_holm"]) == pytest.approx((expected.t, expected.p, expected.p))


def test_other_splits_are_other_test_sets(make_scores):
    gaps = np.array([[0.1, 0.3, 0.2, 0.0], [0.3, 0.5, 0.0, 0.0]])
    scores = scores_of(gaps, [[0, 0, 1, 1], [0, 1, 0, 1]], make_scores)
    row = fold_tests(*paired_values(scores, {}), scores, n_train=2).iloc[0]
    expected = corrected_t([0.2, 0.1, 0.15, 0.25], n_test=2, n_train=2)
    assert row["test_sets"] == 4
    assert row["t"] == pytest.approx(expected.t)


def test_one_fold_is_said(make_scores):
    scores = scores_of([[0.1, 0.2, 0.3]], [[0, 0, 0]], make_scores)
    row = fold_tests(*paired_values(scores, {}), scores, n_train=9).iloc[0]
    assert row["test_sets"] == 1
    assert row["mean_difference"] == pytest.approx(0.2)
    assert row["note"].startswith("fewer than two test sets")
    assert np.isnan(row["p"])
