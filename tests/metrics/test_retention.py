"""Retention curves by hand, and what must hold of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfseg.metrics.retention import POINTS, retention_curve, retention_dice


def as_masks(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Hits, misses, alarms and background, a letter a voxel: h, m, a, b."""
    return np.array([each in "hm" for each in text]), np.array([each in "ha" for each in text])


def dice(truth: np.ndarray, prediction: np.ndarray) -> float:
    return 2 * (truth & prediction).sum() / (truth.sum() + prediction.sum())


def test_by_hand():
    """Four voxels of foreground: a person who looks at one of them replaces the miss, with two also the alarm."""
    truth, prediction = as_masks("hhmabbbb")
    curve = retention_curve(np.array([2, 1, 9, 8, 0, 0, 0, 0.5]), truth, prediction)
    assert curve[[0, 10, 20, 40]] == pytest.approx([4 / 6, 6 / 7, 1, 1])
    assert retention_dice(np.array([0.5, 1.0, 1.0])) == pytest.approx(0.875)


def test_time_spent_on_background_is_lost():
    truth, prediction = as_masks("hhmabbbb")
    curve = retention_curve(np.array([0, 0, 0, 0, 1, 1, 1, 1]), truth, prediction)
    assert curve == pytest.approx(np.full(POINTS, 4 / 6))


def test_equal_uncertainties_are_looked_at_alike():
    truth, prediction = as_masks("hm")
    assert retention_curve(np.zeros(2), truth, prediction)[20] == pytest.approx(2 * 1.5 / (2 * 1.5 + 0.5))


def test_the_best_order_looks_at_all_errors_first():
    truth, prediction = as_masks("hhhhmmaabbbb")
    wrong = (truth != prediction).astype(float)
    areas = [retention_dice(retention_curve(each, truth, prediction)) for each in (wrong, np.zeros(12), -wrong)]
    assert areas == sorted(areas, reverse=True) and areas[0] > areas[2]


def test_nothing_to_find_has_no_curve():
    assert np.isnan(retention_curve(np.ones(4), np.zeros(4, bool), np.zeros(4, bool))).all()


def test_a_structure_that_is_not_there_is_right_once_it_is_all_removed():
    truth, prediction = as_masks("aab")
    assert retention_curve(np.array([1, 1, 0]), truth, prediction)[[0, 20, 40]].tolist() == [0, 0, 1]


@given(st.lists(st.tuples(st.sampled_from("hmab"), st.integers(0, 5)), min_size=1, max_size=40))
def test_it_starts_at_the_dice_of_the_prediction_and_never_falls(voxels):
    letters, uncertainty = zip(*voxels, strict=True)
    truth, prediction = as_masks("".join(letters))
    if not (truth | prediction).any():
        return
    curve = retention_curve(np.array(uncertainty, float), truth, prediction)
    assert curve[0] == pytest.approx(dice(truth, prediction))
    assert (np.diff(curve) >= -1e-9).all() and curve[-1] <= 1 + 1e-9
