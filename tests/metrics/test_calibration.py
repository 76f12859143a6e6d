"""Calibration errors against definitions written out bin by bin, scikit-learn, and identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from tfseg.metrics.calibration import (
    adaptive_calibration_error,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
)

ERRORS = (expected_calibration_error, adaptive_calibration_error, brier_score, negative_log_likelihood)


def voxels(seed: int, count: int = 500, distort: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.random(count).astype(np.float32)
    return probability, rng.random(count) < probability**distort


@pytest.mark.parametrize("seed", range(3))
def test_as_scikit_learn(seed):
    probability, truth = voxels(seed, distort=2)
    assert brier_score(probability, truth) == pytest.approx(brier_score_loss(truth, probability))
    assert negative_log_likelihood(probability, truth) == pytest.approx(log_loss(truth, probability), rel=1e-6)
    frequency, confidence = calibration_curve(truth, probability, n_bins=15)
    mine = reliability(probability, truth)
    np.testing.assert_allclose(mine.frequency, frequency)
    np.testing.assert_allclose(mine.confidence, confidence, rtol=1e-6)
    expected = (mine.voxels * np.abs(frequency - confidence)).sum() / 500
    assert expected_calibration_error(probability, truth) == pytest.approx(expected)


def test_equal_mass_is_that_of_a_split_of_the_sorted_voxels():
    """15 bins of 40 voxels without ties."""
    probability, truth = voxels(3, count=600)
    order = np.argsort(probability)
    parts = zip(np.split(probability[order], 15), np.split(truth[order], 15), strict=True)
    expected = np.mean([abs(y.mean() - p.mean(dtype=np.float64)) for p, y in parts])
    assert adaptive_calibration_error(probability, truth) == pytest.approx(expected)


def test_by_hand():
    probability, truth = np.array([0.05, 0.05, 0.95, 0.95]), np.array([0, 1, 1, 0])
    assert expected_calibration_error(probability, truth) == pytest.approx(0.45)
    assert brier_score(probability, truth) == pytest.approx((2 * 0.05**2 + 2 * 0.95**2) / 4)
    assert negative_log_likelihood(probability, truth) == pytest.approx(-(np.log(0.95) + np.log(0.05)) / 2)


def test_what_is_certain_and_right_costs_nothing():
    truth = np.array([0, 1, 1, 0, 1])
    for error in ERRORS:
        assert error(truth.astype(np.float32), truth) == pytest.approx(0, abs=2e-7), error.__name__


def test_what_is_certain_and_wrong_costs_most():
    probability, truth = np.ones(10, np.float32), np.zeros(10, int)
    assert [error(probability, truth) for error in ERRORS] == pytest.approx([1, 1, 1, -np.log(1e-7)])


def test_no_voxels_have_no_error():
    assert np.isnan([error(np.zeros(0, np.float32), np.zeros(0, bool)) for error in ERRORS]).all()


def test_the_ends_of_the_range_are_in_the_outer_bins():
    assert reliability(np.array([0.0, 1.0]), np.array([0, 1])).voxels[[0, -1]].tolist() == [1, 1]


values = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60)


@given(values, st.randoms())
def test_identities(pairs, random):
    probability, truth = (np.array(part) for part in zip(*pairs, strict=True))
    probability = (probability / 20).astype(np.float32)
    overall = abs(truth.mean() - probability.mean(dtype=np.float64))
    for error in (expected_calibration_error, adaptive_calibration_error):
        assert error(probability, truth, 1) == pytest.approx(overall, abs=1e-6)
        assert overall - 1e-6 <= error(probability, truth) <= 1  # the error of a mixture is at most that of its parts
    order = list(range(len(pairs)))
    random.shuffle(order)
    for error in ERRORS:
        assert error(probability[order], truth[order]) == pytest.approx(error(probability, truth), abs=1e-6)


@given(st.integers(1, 6), values)
def test_repeated_voxels_change_nothing(times, pairs):
    probability, truth = (np.array(part) for part in zip(*pairs, strict=True))
    probability = (probability / 20).astype(np.float32)
    for error in ERRORS:
        repeated = error(np.repeat(probability, times), np.repeat(truth, times))
        assert repeated == pytest.approx(error(probability, truth), abs=1e-6)


def test_a_calibrated_network_has_a_small_error_and_an_overconfident_one_a_large_one():
    probability, truth = voxels(0, count=200_000)
    sharper = probability**3 / (probability**3 + (1 - probability) ** 3)
    for error in (expected_calibration_error, adaptive_calibration_error):
        assert error(probability, truth) < 0.01 < 0.1 < error(sharper, truth)
