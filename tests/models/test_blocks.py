"""Blocks of the U-Net against formulas: interpolation, attention, residual blocks, norms."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from tfseg.models.blocks import Blocks, attention_gate, enlarge


@pytest.mark.parametrize(("shape", "strides"), [((3, 5), (2, 2)), ((3, 4, 5), (2, 2, 2)), ((3, 4, 5), (1, 2, 2))])
def test_enlarging_is_linear_interpolation(shape, strides):
    values = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype("float32")
    image = keras.Input((*shape, 3))
    enlarged = np.asarray(keras.Model(image, enlarge(image, strides))(values))
    factors = (1, *strides, 1)
    expected = ndimage.zoom(values, factors, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(enlarged, expected, atol=1e-5)


def test_a_volume_of_unknown_size_cannot_be_enlarged():
    with pytest.raises(ValueError, match="trilinear interpolation needs a fixed size"):
        enlarge(keras.Input((None, 4, 4, 1)), (2, 2, 2))


def test_an_attention_gate_weighs_the_skip_connection_by_the_formula():
    """With 1×1 convolutions, every voxel is weighed by sigmoid(ψ · ReLU(W_x x + W_g g))."""
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(1, 4, 4, 2)).astype("float32"), rng.normal(size=(1, 4, 4, 3)).astype("float32")
    skip, gate = keras.Input((4, 4, 2)), keras.Input((4, 4, 3))
    model = keras.Model([skip, gate], attention_gate(skip, gate, (1, 1)))
    w_x, w_g, b_g, psi, b_psi = (rng.normal(size=each.shape) for each in model.get_weights())
    model.set_weights([w_x, w_g, b_g, psi, b_psi])
    features = np.maximum(x @ w_x[0, 0] + g @ w_g[0, 0] + b_g, 0)
    weights = 1 / (1 + np.exp(-(features @ psi[0, 0] + b_psi)))
    np.testing.assert_allclose(np.asarray(model([x, g])), x * weights, rtol=1e-5, atol=1e-6)


def test_a_residual_block_adds_its_input():
    """With its last norm at zero, a block of as many filters as channels is the activation alone."""
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, Blocks(residual=True).stage(image, filters=2, convolutions=2))
    last = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)][-1]
    last.gamma.assign(np.zeros(2))
    values = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    np.testing.assert_allclose(np.asarray(model(values)), np.maximum(values, 0), atol=1e-6)


def test_leaky_relu_keeps_a_hundredth_of_negative_values():
    image = keras.Input((1, 2))
    model = keras.Model(image, Blocks(activation="leaky_relu").activate(image))
    np.testing.assert_allclose(np.asarray(model(np.float32([[[-1.0, 2.0]]]))), [[[-0.01, 2.0]]])


@pytest.mark.parametrize(("norm", "axes"), [("instance", (1, 2)), ("group", (1, 2, 4))])
def test_norms_have_mean_0_and_deviation_1_over_their_axes(norm, axes):
    image = keras.Input((6, 6, 4))
    model = keras.Model(image, Blocks(norm=norm, norm_groups=2).normalize(image))
    values = np.random.default_rng(0).normal(3, 5, size=(2, 6, 6, 4)).astype("float32")
    grouped = np.asarray(model(values)).reshape(2, 6, 6, 2, 2)
    np.testing.assert_allclose(grouped.mean(axes), 0, atol=1e-3)
    np.testing.assert_allclose(grouped.std(axes), 1, atol=1e-3)
