"""On simulated scores without a difference 5 of 100 tests fire; a planted difference is found."""

from math import sqrt

import numpy as np
import pytest
import scipy.stats

from tfseg.statistics import conclude, corrected_t, overall, paired_values, pairs_table, pairwise
from tfseg.statistics.verdicts import Verdict

SUBJECTS, LOSSES, REPEATS = 20, 3, 600


def most(probability: float, repeats: int) -> float:
    """The share that is exceeded once in 1000 times."""
    return scipy.stats.binom.ppf(0.999, repeats, probability) / repeats


def least(probability: float, repeats: int) -> float:
    return scipy.stats.binom.ppf(0.001, repeats, probability) / repeats


@pytest.fixture(scope="module")
def p_values() -> dict[str, np.ndarray]:
    """p of all pairs, `[repeats, pairs]`: subjects differ by far more than the losses' noise, the losses not at all."""
    rng = np.random.default_rng(0)
    subjects = rng.normal(0.8, 0.1, (REPEATS, SUBJECTS, 1))
    scores = subjects + rng.normal(0, 0.02, (REPEATS, SUBJECTS, LOSSES))
    pairs = [(0, 1), (0, 2), (1, 2)]
    return {
        test.__name__: np.array(
            [
                [test(pairwise.paired_differences(draw[:, first], draw[:, second])) for first, second in pairs]
                for draw in scores
            ]
        )
        for test in (pairwise.paired_t, pairwise.wilcoxon)
    }


@pytest.mark.parametrize("test", ["paired_t", "wilcoxon"])
def test_five_of_a_hundred_tests_fire_without_a_difference(p_values, test):
    fired = (p_values[test][:, 0] < 0.05).mean()
    # Wilcoxon's p takes steps: with 20 subjects the largest below 0.05 is 0.0484.
    expected = {"paired_t": 0.05, "wilcoxon": 0.0484}[test]
    assert least(expected, REPEATS) <= fired <= most(expected, REPEATS)


@pytest.mark.parametrize("test", ["paired_t", "wilcoxon"])
def test_holm_keeps_all_pairs_together_to_five_percent(p_values, test):
    any_plain = (p_values[test] < 0.05).any(axis=1).mean()
    any_adjusted = np.mean([(pairwise.holm(row) < 0.05).any() for row in p_values[test]])
    assert any_adjusted <= most(0.05, REPEATS)
    assert any_adjusted > 0.02
    assert any_plain > most(0.05, REPEATS), "without the adjustment they err more often"


def test_the_interval_holds_the_true_difference():
    rng = np.random.default_rng(0)
    repeats = 300
    draws = rng.gamma(2, 0.01, (repeats, 25))  # skewed, of mean 0.02
    intervals = np.array([pairwise.bootstrap_interval(draw, resamples=999) for draw in draws])
    held = ((intervals[:, 0] <= 0.02) & (intervals[:, 1] >= 0.02)).mean()
    assert 0.88 < held < 0.98


def test_the_corrected_test_holds_where_training_sets_overlap():
    """Differences of folds share what their training sets share: a correlation of n_test / (n_test + n_train)."""
    rng = np.random.default_rng(0)
    repeats, test_sets, n_test, n_train = 2000, 10, 20, 80
    shared = n_test / (n_test + n_train)
    draws = sqrt(shared) * rng.normal(size=(repeats, 1)) + sqrt(1 - shared) * rng.normal(size=(repeats, test_sets))
    corrected = np.mean([corrected_t(draw, n_test, n_train).p < 0.05 for draw in draws])
    plain = np.mean(scipy.stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    assert least(0.05, repeats) <= corrected <= most(0.05, repeats)
    assert plain > 0.2


def test_a_planted_difference_is_found(draw_scores):
    scores = draw_scores({"bce": 0.0, "dice": 0.0, "focal": 0.03})
    paired = paired_values(scores, {})
    table = pairs_table(paired)
    conclusions = [conclude(each, table) for each in paired]
    for conclusion in conclusions:
        assert conclusion.best == "focal"
        assert conclusion.surely_best
    dice = table[(table["metric"] == "dice") & (table["second"] == "focal")]
    assert (dice["ci_low"] < -0.03).all()
    assert (dice["ci_high"] > -0.03).all()
    between_equals = table[(table["first"] == "bce") & (table["second"] == "dice")]
    assert (between_equals[["t_p_holm", "wilcoxon_p_holm"]] > 0.05).all(axis=None)
    assert "focal is better than every other loss on Dice of lesion and HD95 of lesion." in overall(conclusions)


def test_where_losses_are_equal_few_conclusions_name_a_winner(draw_scores):
    repeats, named = 30, 0
    for draw in range(repeats):
        scores = draw_scores({"bce": 0.0, "dice": 0.0, "focal": 0.0}, seeds=1, draw=draw)
        (paired,) = paired_values(scores[scores["metric"] == "dice"], {})
        named += Verdict.BETTER in conclude(paired, pairs_table([paired])).verdicts.values()
    assert named / repeats <= most(0.05, repeats)
