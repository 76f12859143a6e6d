"""The three places apart, and all scores of a label together."""

import numpy as np
import pytest

from tfseg.metrics.calibration import expected_calibration_error
from tfseg.metrics.places import border_band
from tfseg.metrics.probabilities import Label, calibration_scores, curves, uncertainty_scores


@pytest.fixture
def ball() -> tuple[np.ndarray, np.ndarray]:
    """The probability and truth of a ball of radius 8 mm in 24×24×12 voxels of 1×1×2 mm."""
    at_mm = np.moveaxis(np.indices((24, 24, 12)), 0, -1) * (1, 1, 2) - (11.5, 11.5, 11)
    distance_mm = np.linalg.norm(at_mm, axis=-1)
    return (1 / (1 + np.exp(distance_mm - 7))).astype(np.float32), distance_mm <= 8


def test_the_band_is_in_millimetres(ball):
    _, truth = ball
    band = border_band(truth, (1, 1, 2), 3)
    along, across = band[:, 12, 6], band[12, 12]
    assert np.flatnonzero(along).tolist() == [1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22]
    assert np.flatnonzero(across).tolist() == [1, 2, 3, 8, 9, 10]
    assert not border_band(np.zeros_like(truth), (1, 1, 2)).any()
    assert border_band(truth, (1, 1, 2), 100).all()


def test_a_slice_has_its_band_in_the_plane(ball):
    _, truth = ball
    flat = border_band(truth[:, :, 6], (1, 1), 3)
    np.testing.assert_array_equal(border_band(truth[:, :, 6:7], (1, 1, 5), 3)[..., 0], flat)
    assert flat[12, 4:8].all() and not flat[12, 11]


def test_background_flatters_the_volume(ball):
    probability, truth = ball
    scores = calibration_scores(Label.of(probability, truth, probability >= 0.5, (1, 1, 2)))
    assert scores["ece_volume"] < scores["ece_band"] < scores["ece_foreground"]
    band = border_band(truth, (1, 1, 2))
    assert scores["ece_band"] == pytest.approx(expected_calibration_error(probability[band], truth[band]))
    assert len(scores) == 12 and np.isfinite(list(scores.values())).all()


def test_ignored_voxels_do_not_count(ball):
    probability, truth = ball
    counted = np.ones(truth.shape, bool)
    counted[:12] = False
    whole = Label.of(probability[12:], truth[12:], truth[12:], (1, 1, 2))
    part = Label.of(probability, truth, truth, (1, 1, 2), counted=counted)
    for place in ("ece_volume", "nll_foreground"):
        assert calibration_scores(part)[place] == pytest.approx(calibration_scores(whole)[place])


def test_study_k_and_error_detection(ball):
    probability, truth = ball
    prediction = probability >= 0.5
    label = Label.of(probability, truth, prediction, (1, 1, 2))
    drawn = curves(label)
    scores = uncertainty_scores(label, drawn.retention)
    p = probability.astype(float)
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    assert scores["entropy_mean"] == pytest.approx(entropy.mean(), rel=1e-4)
    assert scores["entropy_sd"] == pytest.approx(entropy.std(), rel=1e-4)
    assert scores["probability_mean"] == pytest.approx(p.mean(), rel=1e-5)
    assert scores["probability_sd"] == pytest.approx(p.std(), rel=1e-5)
    assert scores["uncertainty"] == pytest.approx(entropy.sum() / p.sum(), rel=1e-4)
    assert 0.5 < scores["error_auroc"] < 1 and scores["error_aupr"] < 1
    assert drawn.retention[0] == pytest.approx(2 * (truth & prediction).sum() / (truth.sum() + prediction.sum()))
    in_band = border_band(truth, (1, 1, 2)).sum()
    assert drawn.reliability.voxels.sum() == drawn.entropy.sum() == (drawn.right + drawn.wrong).sum() == in_band
    assert drawn.wrong.sum() == (truth != prediction).sum()


def test_an_empty_truth_has_no_band_and_an_empty_case_no_foreground():
    nothing = np.zeros((6, 6), bool)
    probability = np.full((6, 6), 0.1, np.float32)
    label = Label.of(probability, nothing, nothing, (1, 1))
    scores = calibration_scores(label) | uncertainty_scores(label, curves(label).retention)
    empty = {name for name, value in scores.items() if np.isnan(value)}
    places = {f"{name}_{place}" for name in ("ece", "ace", "brier", "nll") for place in ("foreground", "band")}
    assert empty == places | {"error_auroc", "error_aupr", "retention_dice"}
    assert scores["ece_volume"] == pytest.approx(0.1)
