"""The Lovász loss of large images: its steps stay exact in float32."""

import numpy as np
import tensorflow as tf

from tfseg.losses import get
from tfseg.losses.lovasz import jaccard_steps


def steps_by_difference(truth):
    """Increases of the Jaccard loss in float64, as its definition says."""
    total = truth.sum()
    loss = 1 - (total - np.cumsum(truth)) / np.maximum(total + np.cumsum(1 - truth), 1)
    return np.diff(loss, prepend=0)


def test_steps_are_the_differences_of_the_jaccard_loss():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 1.0):
        for truth in ((rng.random(200) < share).astype(float), share * rng.random(200)):
            np.testing.assert_allclose(jaccard_steps(truth[None])[0], steps_by_difference(truth), atol=1e-12)


def test_the_gradient_is_exact_in_an_image_of_2048_by_2048():
    """Errors k / 2048² in random order, which float32 holds exactly, so that the order is known."""
    rng = np.random.default_rng(0)
    voxels = 2048**2
    rank = rng.permutation(voxels)
    truth = (rng.random(voxels) < 0.1).astype("float32")
    error = (voxels - rank.astype("float32")) / voxels  # the largest first
    ordered = np.empty_like(truth)
    ordered[rank] = truth
    expected = steps_by_difference(ordered.astype(float))[rank] * np.where(truth > 0, -1, 1)
    prediction = tf.constant(np.abs(truth - error).reshape(1, 2048, 2048, 1))
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = get("lovasz")(truth.reshape(prediction.shape), prediction)
    gradient = tape.gradient(value, prediction).numpy().ravel()
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-15)  # a difference of float64 near 1 holds 1e-16
    np.testing.assert_allclose(float(value), np.dot(np.abs(expected), error.astype(float)), rtol=1e-5)
