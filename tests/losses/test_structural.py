"""SSIM at one size and at several, against SciPy's filters, on images that hold more than one window."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfseg.losses import get

SHAPES = {"2D": (2, 50, 47, 2), "3D": (2, 24, 23, 26, 1)}  # three scales and two
WEIGHTS = (0.0448, 0.2856, 0.3001)
NAMES = ("ssim", "ms_ssim")


def images(shape: str) -> tuple[np.ndarray, np.ndarray, dict]:
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.standard_normal(SHAPES[shape]), 3, axes=range(1, len(SHAPES[shape]) - 1))
    truth = (noise > 0).astype(float)
    return truth, np.clip(0.7 * truth + 0.3 * rng.random(truth.shape), 0, 1), {"regions": shape == "2D"}


def windows(image: np.ndarray) -> np.ndarray:
    """Gaussian means with σ = 1.5 in windows of 11 that lie wholly inside."""
    means = ndimage.gaussian_filter(image, 1.5, radius=5)
    return means[(slice(5, -5),) * image.ndim]


def halved(image: np.ndarray) -> np.ndarray:
    for axis, side in enumerate(image.shape):
        weights, first = ([0.25, 0.5, 0.25], 1) if side % 2 else ([0.5, 0.5, 0.0], 1)
        image = ndimage.correlate1d(image, weights, axis=axis).take(range(first, side, 2), axis=axis)
    return image


def terms(t: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """Mean SSIM, and the mean of its contrast-structure factor."""
    mean_t, mean_p = windows(t), windows(p)
    variances = windows(t * t) - mean_t**2 + windows(p * p) - mean_p**2
    contrast = (2 * (windows(t * p) - mean_t * mean_p) + 0.03**2) / (variances + 0.03**2)
    luminance = (2 * mean_t * mean_p + 0.01**2) / (mean_t**2 + mean_p**2 + 0.01**2)
    return (luminance * contrast).mean(), contrast.mean()


def reference(name: str, t: np.ndarray, p: np.ndarray) -> float:
    if name == "ssim":
        return 1 - terms(t, p)[0]
    scales = 3 if t.ndim == 2 else 2
    product = 1.0
    for scale, weight in enumerate(WEIGHTS[:scales]):
        ssim, contrast = terms(t, p)
        product *= (ssim if scale == scales - 1 else contrast) ** (weight / sum(WEIGHTS[:scales]))
        t, p = halved(t), halved(p)
    return 1 - product


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_values_are_the_reference(name, shape):
    truth, prediction, params = images(shape)
    expected = [
        np.mean([reference(name, t[..., c], p[..., c]) for c in range(t.shape[-1])])
        for t, p in zip(truth, prediction, strict=True)
    ]
    computed = get(name, reduction=None, dtype="float64", **params)(truth, prediction)
    np.testing.assert_allclose(computed, expected, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_several_scales_flip_with_the_image(shape):
    truth, prediction, params = images(shape)
    loss = get("ms_ssim", reduction=None, dtype="float64", **params)
    for axis in range(1, truth.ndim - 1):
        flipped = loss(np.flip(truth, axis), np.flip(prediction, axis))
        np.testing.assert_allclose(flipped, loss(truth, prediction), rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_several_scales_in_a_graph_have_the_gradient_of_finite_differences_and_none_where_ignored(shape):
    truth, prediction, params = images(shape)
    ignored = np.random.default_rng(1).random((*truth.shape[:-1], 1)) < 0.3
    truth = np.where(ignored, 255, truth)
    loss = get("ms_ssim", ignore_label=255, dtype="float64", **params)

    @tf.function
    def slope(prediction: tf.Tensor) -> tf.Tensor:
        return tf.gradients(loss(truth, prediction), prediction)[0]

    gradient = slope(tf.constant(prediction)).numpy()
    assert (gradient[np.broadcast_to(ignored, truth.shape)] == 0).all()
    direction = np.random.default_rng(2).standard_normal(prediction.shape)
    difference = (loss(truth, prediction + 1e-6 * direction) - loss(truth, prediction - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum() == pytest.approx(float(difference), rel=1e-5)
    other = np.where(ignored, 1 - prediction, prediction)
    np.testing.assert_allclose(loss(truth, other), loss(truth, prediction), rtol=1e-12)
