"""Moments of draws, checked against a stack in NumPy and by hand."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfseg.models import unet
from tfseg.prediction.dropout import dropout_passes
from tfseg.prediction.forward import compiled_forward
from tfseg.prediction.moments import Moments
from tfseg.prediction.uncertainty import entropy, foreground

IMAGE, PASSES = (8, 8, 1), 5
KINDS = {"one channel": (1, "sigmoid"), "softmax": (3, "softmax"), "regions": (2, "sigmoid")}


def test_entropy_is_that_of_scipy_and_by_hand():
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=50).astype("float32")
    np.testing.assert_allclose(entropy(p, "softmax"), scipy.stats.entropy(p, axis=-1), atol=1e-6)
    both = [scipy.stats.entropy([each, 1 - each]) for each in p]
    np.testing.assert_allclose(entropy(p, "sigmoid"), np.sum(both, axis=-1), atol=1e-6)
    np.testing.assert_array_equal(entropy(np.eye(3, dtype="float32"), "softmax"), 0)
    np.testing.assert_array_equal(entropy(np.float32([[0, 1]]), "sigmoid"), 0)
    assert float(entropy(np.full(4, 0.25), "softmax")) == pytest.approx(np.log(4))
    assert float(entropy(np.array([0.9]), "sigmoid")) == pytest.approx(-0.9 * np.log(0.9) - 0.1 * np.log(0.1))


def test_foreground_is_all_but_background_or_any_region():
    assert float(foreground(np.array([0.7, 0.2, 0.1]), "softmax")) == pytest.approx(0.3)
    assert float(foreground(np.array([0.7]), "sigmoid")) == pytest.approx(0.7)
    assert float(foreground(np.array([0.5, 0.2]), "sigmoid")) == pytest.approx(0.6)


def passes_of(classes, activation, dropout=(0.3, 0.3)):
    keras.utils.set_random_seed(1)
    options = {"filters": 4, "depth": 1, "dropout": dropout, "output_activation": activation}
    network = unet(IMAGE, classes, **options)
    return network, dropout_passes(network)


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS.keys())
def drawn(request):
    """Moments, the function that gives them, and the same passes one by one, `[passes, batch, h, w, classes]`."""
    moments = Moments(*request.param, per_class=True)
    _, passes = passes_of(*request.param)
    images = np.random.default_rng(0).normal(size=(4, *IMAGE)).astype("float32")
    seeds = np.random.default_rng(1).integers(-(2**31), 2**31, (4, PASSES, 2)).astype("int32")
    single = tf.function(passes)
    stack = np.stack([single(tf.constant(images), tf.constant(seeds[:, k])) for k in range(PASSES)])
    return moments, moments.of_passes(passes), images, seeds, stack


def measures(stack, activation):
    """Mean, entropy, SD of the foreground, mutual information and SD of each class, straight from a stack."""
    stack = stack.astype(np.float64)
    mean = stack.mean(axis=0)
    each = np.stack([np.asarray(entropy(p, activation)) for p in stack])
    information = np.asarray(entropy(mean, activation)) - each.mean(axis=0)
    spread = np.asarray(foreground(stack, activation)).std(axis=0)
    return mean, np.asarray(entropy(mean, activation)), spread, information, stack.std(axis=0)


def check(sampled, expected):
    received = (sampled.mean, sampled.entropy, sampled.std, sampled.mutual_information, sampled.class_std)
    for ours, theirs in zip(received, expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("together", [1, 2, 9])
def test_running_moments_are_those_of_the_stack(drawn, together):
    moments, forward, images, seeds, stack = drawn
    sampled = moments.sampled(forward(images, seeds, together))
    check(sampled, measures(stack, moments.activation))
    assert sampled.std.mean() > 0.01
    assert sampled.mutual_information.mean() > 1e-4


def test_the_mean_of_two_passes_is_the_mean_of_those_two_run_alone(drawn):
    moments, forward, images, seeds, _ = drawn
    both, first, second = (moments.sampled(forward(images, seeds[:, some], 1)) for some in ([0, 3], [0], [3]))
    np.testing.assert_allclose(both.mean, (first.mean + second.mean) / 2, atol=1e-7)
    np.testing.assert_array_equal(first.std, 0)
    np.testing.assert_allclose(first.mutual_information, 0, atol=1e-6)


def test_networks_are_pooled_as_one_stack(drawn):
    """Of several networks with several passes each, and of plain predictions alone: a deep ensemble."""
    moments, forward, images, seeds, stack = drawn
    groups = [forward(images, seeds[:, some], 1) for some in ([0, 1], [2, 3])]
    check(moments.sampled(moments.pool(groups)), measures(stack[:4], moments.activation))
    plain = [moments.of_forward(lambda _, p=p: p)(images, seeds[:, :1], 1) for p in stack]
    check(moments.sampled(moments.pool(plain)), measures(stack, moments.activation))
    np.testing.assert_array_equal(moments.pool(groups[:1]), groups[0])


def test_passes_that_drop_nothing_are_the_prediction_bit_for_bit():
    """The network has dropout, but at a rate that 16 bits round to 0."""
    for dropout in ((0, 0), (1e-9, 1e-9)):
        network, passes = passes_of(3, "softmax", dropout)
        images = np.random.default_rng(0).normal(size=(4, *IMAGE)).astype("float32")
        moments = Moments(3, "softmax")
        sampled = moments.sampled(moments.of_passes(passes)(images, np.zeros((4, PASSES, 2), np.int32), 1))
        np.testing.assert_array_equal(sampled.mean, compiled_forward(network)(images))
        np.testing.assert_array_equal(sampled.std, 0)
        np.testing.assert_allclose(sampled.mutual_information, 0, atol=1e-6)
        assert sampled.class_std is None


def test_measures_by_hand():
    """Two draws, 0.2 and 0.6, of one channel."""
    moments = Moments(1, "sigmoid")
    draws = [moments.of_forward(lambda _, p=p: np.float32([[[[p]]]]))(None, None, 1) for p in (0.2, 0.6)]
    sampled = moments.sampled(moments.pool(draws))
    binary = [-p * np.log(p) - (1 - p) * np.log(1 - p) for p in (0.2, 0.4, 0.6)]
    assert sampled.mean.item() == pytest.approx(0.4)
    assert sampled.std.item() == pytest.approx(0.2)
    assert sampled.entropy.item() == pytest.approx(binary[1])
    assert sampled.mutual_information.item() == pytest.approx(binary[1] - (binary[0] + binary[2]) / 2)
