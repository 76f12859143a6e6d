"""Temperatures against grids of likelihoods, known distortions, and the rule that one temperature decides nothing."""

import json

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from tfseg.config.training import TrainingConfig
from tfseg.core.errors import ConfigError
from tfseg.prediction.description import METADATA, describe, read_temperature, to_json
from tfseg.prediction.ensemble import Member, check_temperatures, predictor_of
from tfseg.prediction.temperature import CalibratedPredictor, Temperature, fit_temperature


def one_channel(temperature: float, voxels: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated logits, multiplied by `temperature`: the network is that much too sure."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (voxels, 1))
    truth = rng.random((voxels, 1)) < scipy.special.expit(logits)
    return scipy.special.expit(temperature * logits).astype(np.float32), truth


def softmax(temperature: float, voxels: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (voxels, 3))
    calibrated = scipy.special.softmax(logits, -1)
    truth = (rng.random((voxels, 1)) > calibrated.cumsum(-1)).sum(-1)
    return scipy.special.softmax(temperature * logits, -1).astype(np.float32), truth


def cost(truth: np.ndarray, probabilities: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(truth)), truth].astype(float)).mean())


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5])
def test_a_known_distortion_is_undone(factor):
    for probabilities, truth, activation in ((*one_channel(factor), "sigmoid"), (*softmax(factor), "softmax")):
        (fitted,) = fit_temperature(probabilities, truth, activation, per_class=False).values
        assert fitted == pytest.approx(factor, rel=0.05), activation


def test_it_is_the_best_of_a_grid():
    probabilities, truth = softmax(1.7, 3000)
    fitted = fit_temperature(probabilities, truth, "softmax", per_class=False)
    costs = {
        value: cost(truth, Temperature((value,), "softmax").apply(probabilities))
        for value in (*fitted.values, *np.geomspace(0.5, 5, 60))
    }
    assert min(costs, key=costs.get) == fitted.values[0]


def test_per_class_is_at_least_as_good_as_one_and_regions_are_fitted_apart():
    probabilities, truth = softmax(1.7)
    probabilities[:, 2] = probabilities[:, 2] ** 2
    probabilities /= probabilities.sum(-1, keepdims=True)
    one, each = (fit_temperature(probabilities, truth, "softmax", per_class) for per_class in (False, True))
    costs = [cost(truth, fitted.apply(probabilities)) for fitted in (one, each)]
    assert len(each.values) == 3 and costs[1] < costs[0] - 1e-4
    sure, unsure = one_channel(3), one_channel(0.6)
    regions = np.concatenate([sure[0], unsure[0]], -1), np.concatenate([sure[1], unsure[1]], -1)
    fitted = fit_temperature(*regions, "sigmoid", per_class=True).values
    assert fitted == pytest.approx([3, 0.6], rel=0.05)


def test_a_network_that_is_never_wrong_gets_the_sharpest_temperature_and_stays_finite():
    truth = np.array([[True], [False]])
    fitted = fit_temperature(np.float32([[0.9], [0.1]]), truth, "sigmoid", per_class=False)
    assert fitted.values[0] == pytest.approx(0.05, rel=0.01)
    certain = Temperature((20.0,), "sigmoid").apply(np.float32([[0.0], [1.0]]))
    assert np.isfinite(certain).all() and 0 < certain[0, 0] < 0.5 < certain[1, 0]


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=4), st.floats(0.1, 10))
def test_one_temperature_decides_nothing_anew(values, temperature):
    weights = np.float32(values) / np.float32(sum(values))
    scaled = Temperature((temperature,), "softmax").apply(weights)
    assert scaled.sum() == pytest.approx(1, abs=1e-5)
    assert weights[scaled.argmax()] == pytest.approx(weights.max(), rel=1e-4)
    single = np.float32(values[:1])
    assert (Temperature((temperature,), "sigmoid").apply(single) >= 0.5) == (single >= 0.5) or abs(single - 0.5) < 1e-3


def test_a_temperature_of_one_changes_nothing():
    probabilities, _ = softmax(1.0, 100)
    np.testing.assert_allclose(Temperature((1.0,), "softmax").apply(probabilities), probabilities, atol=1e-6)
    np.testing.assert_allclose(Temperature((1.0,), "sigmoid").apply(probabilities), probabilities, atol=1e-6)


def test_a_predictor_is_scaled_block_by_block():
    class Halves:
        def blocks(self, image):
            yield from np.split(image, 2)

    image = np.random.default_rng(0).random((4, 2, 2, 1)).astype(np.float32)
    temperature = Temperature((2.0,), "sigmoid")
    blocks = list(CalibratedPredictor(Halves(), temperature).blocks(image))
    np.testing.assert_array_equal(np.concatenate(blocks), temperature.apply(image))


class Constant:
    """Predicts the same probability everywhere."""

    def __init__(self, value):
        self.value = value

    def blocks(self, image):
        yield np.full((len(image), 1), self.value, np.float32)


def test_every_network_is_scaled_by_its_own_temperature_before_the_mean():
    members = [
        Member(f"fold {fold}", frozenset(), lambda value=value: value, temperature=Temperature((of_fold,), "sigmoid"))
        for fold, (value, of_fold) in enumerate(((0.9, 2.0), (0.2, 0.5)))
    ]
    (mean,) = predictor_of(members, Constant, calibrated=True).blocks(np.zeros((1, 1)))
    assert mean.item() == pytest.approx((0.75 + 1 / (1 + 16)) / 2)
    (plain,) = predictor_of(members, Constant).blocks(np.zeros((1, 1)))
    assert plain.item() == pytest.approx(0.55)


def test_networks_without_a_temperature_are_named():
    known = Member("fold 0", frozenset(), ..., temperature=Temperature((2.0,), "sigmoid"))
    check_temperatures([known], "run")
    with pytest.raises(ConfigError, match="--calibrated: no temperature of fold 1 in run; fit fits one on"):
        check_temperatures([known, Member("fold 1", frozenset(), ...)], "run")


def test_an_export_of_one_network_keeps_its_temperature(prepared, tmp_path):
    description = describe(prepared, TrainingConfig())
    one, other = Temperature((1.5,), "softmax"), Temperature((0.7,), "softmax")
    for name, temperatures, expected in (("one", [one], one), ("two", [one, other], None), ("none", [None], None)):
        (tmp_path / name).mkdir()
        text = to_json(description, "run", len(temperatures), temperatures=temperatures)
        (tmp_path / name / METADATA).write_text(text, encoding="utf-8")
        assert read_temperature(tmp_path / name) == expected
        assert json.loads(text)["temperatures"] == [each and list(each.values) for each in temperatures]
