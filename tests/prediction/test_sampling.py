"""The same seed gives the same maps, whatever the batch size, over slices, windows and whole volumes."""

import keras
import numpy as np
import pytest

from tfseg.models import unet
from tfseg.prediction.choice import predictor_of_shape
from tfseg.prediction.dropout import dropout_passes
from tfseg.prediction.ensemble import MeanPredictor
from tfseg.prediction.flips import FlippedPredictor
from tfseg.prediction.forward import compiled_forward
from tfseg.prediction.moments import Moments
from tfseg.prediction.sampling import pass_seed, sample, sampling_predictor

MOMENTS, PASSES = Moments(2, "softmax"), 3
SHAPES = {"slices": (8, 8), "windows": (4, 8, 8), "whole volume": (8, 8, 8)}


def network_of(shape, seed=0, dropout=(0.2, 0.4)):
    keras.utils.set_random_seed(seed)
    return unet((*shape, 1), 2, filters=4, depth=1, dropout=dropout)


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES.keys())
def case(request):
    network = network_of(request.param)
    image = np.random.default_rng(0).normal(size=(7, 8, 8, 1)).astype("float32")
    return request.param, MOMENTS.of_passes(dropout_passes(network)), image


def predictor_of(drawn, shape, batch_size, name="a", seed=0):
    def make(forward):
        return predictor_of_shape(forward, shape, 0.5, batch_size)

    return sampling_predictor(drawn, MOMENTS, make, name, PASSES, seed, batch_size)


def maps(sampled):
    return np.concatenate(
        [sampled.mean, *(m[..., None] for m in (sampled.entropy, sampled.std, sampled.mutual_information))], axis=-1
    )


def test_the_batch_size_does_not_matter_and_the_seed_and_the_case_do(case):
    shape, drawn, image = case
    one, other = (maps(sample(predictor_of([drawn], shape, size), MOMENTS, image)) for size in (1, 3))
    assert one.shape == (7, 8, 8, 5)
    np.testing.assert_allclose(other, one, atol=2e-6)
    for change in ({"name": "b"}, {"seed": 1}):
        changed = maps(sample(predictor_of([drawn], shape, 3, **change), MOMENTS, image))
        assert np.abs(changed - other)[..., 3].mean() > 0.001


def test_equal_slices_drop_other_units():
    drawn = MOMENTS.of_passes(dropout_passes(network_of((8, 8))))
    image = np.ones((3, 8, 8, 1), "float32")
    spread = sample(predictor_of([drawn], (8, 8), 2), MOMENTS, image).std
    assert np.abs(spread[0] - spread[1]).mean() > 0.001
    assert np.abs(spread[0] - spread[2]).mean() > 0.001


def test_without_dropout_the_mean_is_the_prediction_bit_for_bit():
    """Over windows and mirror images, of one network and of several; one network without dropout has no spread."""
    networks = [network_of((4, 8, 8), seed, dropout=(1e-9, 0)) for seed in range(2)]
    image = np.random.default_rng(0).normal(size=(7, 8, 8, 1)).astype("float32")
    plain = [predictor_of_shape(compiled_forward(network), (4, 8, 8), 0.5, 2) for network in networks]
    drawn = [MOMENTS.of_passes(dropout_passes(network)) for network in networks]
    for number in (1, 2):
        predictor = predictor_of(drawn[:number], (4, 8, 8), 2)
        expected = plain[0] if number == 1 else MeanPredictor(plain)
        for ours, theirs in (
            (predictor, expected),
            (FlippedPredictor(predictor, (0, 2)), FlippedPredictor(expected, (0, 2))),
        ):
            sampled = sample(ours, MOMENTS, image)
            np.testing.assert_array_equal(sampled.mean, np.concatenate(list(theirs.blocks(image))))
            assert (sampled.std.max() == 0) == (number == 1)


def test_windows_average_the_variance_of_their_draws():
    """Two windows of 4 over 6 slices; where one alone counts, its variance is the map's."""
    shape = (4, 8, 8)
    drawn = MOMENTS.of_passes(dropout_passes(network_of(shape)))
    image = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype("float32")
    sampled = sample(predictor_of([drawn], shape, 2), MOMENTS, image)
    seeds = np.array([[pass_seed(0, "a", place, number) for number in range(PASSES)] for place in (0, 1)], np.int32)
    first, second = drawn(np.stack([image[:4], image[2:]]), seeds, 1)
    np.testing.assert_allclose(sampled.std[:2], np.sqrt(first[:2, ..., 3]), atol=2e-6)
    np.testing.assert_allclose(sampled.std[4:], np.sqrt(second[2:, ..., 3]), atol=2e-6)
    between = np.sort(np.stack([first[2:, ..., 3], second[:2, ..., 3]]), axis=0)
    assert (sampled.std[2:4] >= np.sqrt(between[0]) - 1e-6).all()
    assert (sampled.std[2:4] <= np.sqrt(between[1]) + 1e-6).all()


def test_seeds_of_passes_differ_and_stay():
    seeds = {
        pass_seed(seed, case, place, number)
        for seed in (0, 1)
        for case in "ab"
        for place in (0, 12)
        for number in (0, 12)
    }
    assert len(seeds) == 16
    assert all(-(2**31) <= half < 2**31 for pair in seeds for half in pair)
    assert pass_seed(0, "case_1", 2, 3) == pass_seed(0, "case_1", 2, 3)
