"""Smoothed truths against Keras's own losses and by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import get
from tfseg.losses.label_smoothing import SmoothedLabels, smooth_labels

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, (2, 6, 6, 1)).astype(np.uint8)
SOFTMAX = RNG.dirichlet([1, 1, 1], (2, 6, 6)).astype(np.float32)
SIGMOID = RNG.uniform(0.05, 0.95, (2, 6, 6, 1)).astype(np.float32)


def test_cross_entropy_is_that_of_keras():
    peer = keras.losses.CategoricalCrossentropy(label_smoothing=0.2)
    expected = peer(np.eye(3)[LABELS[..., 0]], SOFTMAX)
    np.testing.assert_allclose(SmoothedLabels(get("ce"), 0.2)(LABELS, SOFTMAX), expected, rtol=1e-5)
    peer = keras.losses.BinaryCrossentropy(label_smoothing=0.2)
    found = SmoothedLabels(get("ce"), 0.2)(LABELS // 2, SIGMOID)
    np.testing.assert_allclose(found, peer((LABELS // 2).astype(np.float32), SIGMOID), rtol=1e-5)


def test_regions_are_smoothed_one_by_one():
    truth = np.uint8([[[[1, 0], [0, 0]]]])
    smoothed = np.asarray(smooth_labels(truth, 2, 0.2, regions=True))
    np.testing.assert_allclose(smoothed, [[[[0.9, 0.1], [0.1, 0.1]]]], rtol=1e-6)


@pytest.mark.parametrize(("classes", "prediction"), [(3, SOFTMAX), (2, SIGMOID)])
def test_ignored_voxels_stay_ignored(classes, prediction):
    marked = np.minimum(LABELS, classes - 1).copy()
    marked[:, :3] = 255
    loss = SmoothedLabels(get("dice_ce", ignore_label=255), 0.1, ignore_label=255)
    changed = prediction.copy()
    changed[:, :3] = prediction[:, :3][:, ::-1]
    np.testing.assert_array_equal(loss(marked, changed), loss(marked, prediction))
    whole = SmoothedLabels(get("dice_ce"), 0.1)(marked[:, 3:], prediction[:, 3:])
    np.testing.assert_allclose(loss(marked, prediction), whole, rtol=1e-6)


@pytest.mark.parametrize("name", ["dice_ce", "lovasz", "cldice", "boundary", "ml1_ace"])
def test_losses_take_a_smoothed_truth_in_a_graph(name):
    """The value and the gradient are finite, for certain probabilities too."""
    loss = SmoothedLabels(get(name), 0.1)
    sure = np.eye(3, dtype=np.float32)[LABELS[..., 0]]

    @tf.function
    def gradient(prediction):
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            value = loss(LABELS, prediction)
        return value, tape.gradient(value, prediction)

    for prediction in (SOFTMAX, sure):
        value, slope = gradient(tf.constant(prediction))
        assert np.isfinite(value) and np.isfinite(slope).all()


def test_a_weight_of_a_sample_is_passed_on():
    loss = SmoothedLabels(get("ce"), 0.1)
    first = loss(LABELS[:1], SOFTMAX[:1])
    np.testing.assert_allclose(loss(LABELS, SOFTMAX, np.float32([1, 0])), first / 2, rtol=1e-6)


def test_a_share_of_one_is_refused():
    with pytest.raises(ValueError, match=r"label_smoothing must be a number in \[0, 1\); received 1"):
        SmoothedLabels(get("ce"), 1)
