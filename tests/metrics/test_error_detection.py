"""Detection of errors against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tfseg.metrics.error_detection import (
    aupr,
    aurc,
    auroc,
    binary_entropy,
    rank_correlation,
    risk_coverage,
    uncertainty_per_voxel,
)
from tfseg.metrics.ranked import ranked, sums_of_smallest

scored = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60)


@given(scored)
def test_as_scikit_learn(pairs):
    uncertainty, error = (np.array(part) for part in zip(*pairs, strict=True))
    if error.any():
        assert aupr(uncertainty, error) == pytest.approx(average_precision_score(error, uncertainty))
    if error.any() and not error.all():
        assert auroc(uncertainty, error) == pytest.approx(roc_auc_score(error, uncertainty))


def test_without_both_kinds_of_voxels_there_is_no_area():
    none, every = np.zeros(3, bool), np.ones(3, bool)
    assert np.isnan([auroc(np.arange(3), none), auroc(np.arange(3), every), aupr(np.arange(3), none)]).all()
    assert aupr(np.arange(3), every) == 1
    assert np.isnan([auroc(np.zeros(0), none[:0]), aupr(np.zeros(0), none[:0])]).all()


def test_entropy():
    np.testing.assert_allclose(binary_entropy(np.array([0, 0.25, 0.5, 1])), [0, 0.562335, np.log(2), 0], rtol=1e-5)
    assert binary_entropy(np.float32([0.5])).dtype == np.float32


def test_a_ball_twice_as_wide_is_no_more_uncertain_per_voxel_than_its_border_makes_it():
    """The entropy of a blurred border grows with the area, the size with the volume."""

    def of_radius(radius: float) -> float:
        distance = np.linalg.norm(np.indices((70, 70, 70)) - 34.5, axis=0)
        probability = 1 / (1 + np.exp(distance - radius))
        return uncertainty_per_voxel(binary_entropy(probability), probability)

    assert of_radius(12) / of_radius(24) == pytest.approx(2, rel=0.05)
    assert np.isnan(uncertainty_per_voxel(np.zeros(4), np.zeros(4)))


def test_risk_and_coverage_by_hand():
    uncertainty, risk = np.array([3.0, 1.0, 2.0]), np.array([0.6, 0.0, 0.3])
    np.testing.assert_allclose(risk_coverage(uncertainty, risk), [0, 0.15, 0.3])
    assert aurc(uncertainty, risk) == pytest.approx(0.15)
    assert aurc(-uncertainty, risk) == pytest.approx((0.6 + 0.45 + 0.3) / 3)
    assert aurc(np.zeros(3), risk) == pytest.approx(0.3), "equal uncertainties: the mean risk at every coverage"
    assert np.isnan(aurc(np.zeros(0), np.zeros(0)))


def test_rank_correlation():
    uncertainty = np.array([0.1, 0.2, 0.4, 0.3])
    assert rank_correlation(uncertainty, 1 - uncertainty**2) == pytest.approx(-1)
    assert rank_correlation(uncertainty, np.array([1, 2, 3, 4])) == pytest.approx(0.8)
    assert np.isnan([rank_correlation(uncertainty, np.ones(4)), rank_correlation(uncertainty[:2], np.arange(2))]).all()


@given(scored, st.floats(0, 1))
def test_sums_of_the_smallest_are_those_of_a_full_sort(pairs, share):
    values, weight = (np.array(part) for part in zip(*pairs, strict=True))
    counts, sums = ranked(values, weight)
    asked = share * values.size
    assert sums_of_smallest(values, [0, asked, values.size], weight) == pytest.approx(
        [0, np.interp(asked, counts, sums), weight.sum()]
    )
