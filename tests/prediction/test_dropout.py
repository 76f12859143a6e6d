"""Dropout passes: only dropout is random, seeds decide which units, and what comes first is the same for all."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.models import unet
from tfseg.prediction.dropout import dropout_passes, has_dropout
from tfseg.prediction.forward import compiled_forward

IMAGE = (16, 16, 1)


def network_of(dropout, depth=2, **options):
    keras.utils.set_random_seed(0)
    return unet(IMAGE, 3, filters=4, depth=depth, dropout=dropout, **options)


@pytest.fixture(scope="module")
def network():
    """With moving statistics that are not those of a batch."""
    network = network_of((0.15, 0.3))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(tf.fill(layer.moving_mean.shape, 0.1))
            layer.moving_variance.assign(tf.fill(layer.moving_variance.shape, 2.0))
    return network


@pytest.fixture(scope="module")
def images():
    return tf.constant(np.random.default_rng(0).normal(size=(3, *IMAGE)).astype("float32"))


SEEDS = tf.constant([[1, 2], [3, 4], [1, 2]])


def test_without_a_rate_every_pass_is_the_prediction_bit_for_bit(images):
    for network in (network_of((0, 0)), network_of((1e-9, 1e-9))):  # the second is taken apart, and drops no unit
        passes = dropout_passes(network)
        np.testing.assert_array_equal(passes(images, SEEDS), compiled_forward(network)(images.numpy()))
    assert not has_dropout(network_of((0, 0)))
    assert has_dropout(network_of((0, 0.5)))


def test_the_same_seed_drops_the_same_units_whatever_else_is_in_the_batch(network, images):
    passes = dropout_passes(network)
    same = tf.stack([images[0], images[1], images[0]])
    first, second, third = passes(same, SEEDS).numpy()
    np.testing.assert_allclose(third, first, atol=2e-6)
    alone = passes(images[1:2], SEEDS[1:2]).numpy()[0]
    np.testing.assert_allclose(alone, second, atol=2e-6)
    for other in (tf.add(SEEDS, [[1, 0]]), tf.add(SEEDS, [[0, 100]])):
        assert np.abs(passes(same, other).numpy() - [first, second, third]).mean() > 0.01


def test_moving_statistics_are_used_and_do_not_change(network, images):
    before = [variable.numpy() for variable in network.variables]
    passes = dropout_passes(network)
    passes(images, SEEDS)
    for variable, value in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    shifted = passes(tf.concat([images[:1], 100 * images[1:]], axis=0), SEEDS)
    np.testing.assert_allclose(shifted[0], passes(images, SEEDS)[0], atol=2e-6)


def only_dropout(layer, channels=3):
    image = keras.Input((8, 8, channels))
    return tf.function(dropout_passes(keras.Model(image, layer(image))), autograph=False)


def test_a_unit_is_dropped_with_its_rate_and_the_others_are_scaled():
    seeds = tf.stack([tf.range(400), tf.zeros(400, tf.int32)], axis=1)
    passed = only_dropout(keras.layers.Dropout(0.3))(tf.ones([400, 8, 8, 3]), seeds).numpy()
    assert set(np.unique(passed.round(3))) == {0, np.float32(1.429)}
    assert passed.mean() == pytest.approx(1, abs=0.01)  # its SD is 0.0024
    np.testing.assert_allclose((passed == 0).mean(axis=0), 0.3, atol=0.1)  # SD 0.023, of 192 units
    neighbours = np.corrcoef((passed == 0).reshape(400, -1)[:, :40], rowvar=False) - np.eye(40)
    assert np.abs(neighbours).max() < 0.25  # SD 0.05, of 780 pairs


def test_layers_of_one_network_drop_other_units():
    image = keras.Input((8, 8, 3))
    both = [keras.layers.Dropout(0.5)(image) for _ in range(2)]
    passes = dropout_passes(keras.Model(image, keras.layers.Concatenate()(both)))
    first, second = np.split(passes(tf.ones([1, 8, 8, 3]), tf.constant([[5, 6]])).numpy(), 2, axis=-1)
    assert 0.3 < (first == second).mean() < 0.7


def test_spatial_dropout_drops_whole_maps_and_a_noise_shape_is_kept():
    seeds = tf.constant([[1, 1], [2, 2]])
    maps = only_dropout(keras.layers.SpatialDropout2D(0.5), channels=9)(tf.ones([2, 8, 8, 9]), seeds).numpy()
    assert (maps == maps[:, :1, :1]).all()
    assert set(np.unique(maps)) == {0, 2}
    rows = only_dropout(keras.layers.Dropout(0.5, noise_shape=(None, None, 1, 1)))(tf.ones([2, 8, 8, 3]), seeds).numpy()
    assert (rows == rows[:, :, :1, :1]).all()
    assert set(np.unique(rows)) == {0, 2}


def test_what_stands_before_the_first_dropout_is_computed_once(network, images):
    """Two features of 4 filters leave the first part of this U-Net: the skip connection and what is pooled."""
    passes = dropout_passes(network)
    features = passes.before(images)
    assert [tuple(each.shape) for each in features] == [(3, 8, 8, 4), (3, 16, 16, 4)]
    np.testing.assert_array_equal(passes.after(features, SEEDS), passes(images, SEEDS))


def test_networks_inside_a_network_drop_too(network, images):
    image = keras.Input(IMAGE)
    other = network_of((0, 0), name="other")
    outer = keras.Model(image, keras.layers.Average()([network(image), other(image)]))
    passes = dropout_passes(outer)
    assert has_dropout(outer)
    inner = dropout_passes(network)
    expected = (inner(images, SEEDS) + compiled_forward(other)(images.numpy())) / 2
    np.testing.assert_allclose(passes(images, SEEDS), expected, atol=1e-6)


def test_mixed_precision_keeps_its_type():
    layer = keras.layers.Dropout(0.5, dtype="mixed_bfloat16")
    assert only_dropout(layer)(tf.ones([1, 8, 8, 3]), tf.constant([[1, 1]])).dtype == tf.bfloat16
