"""Dropout seeds are set at the beginning of an epoch."""

import keras
import numpy as np

from tfseg.training.epochs import EpochSeeds


def masks(epoch, seed=3, epochs_before=0):
    """Return two consecutive dropout masks."""
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Dropout(0.5)(image))
    callback = EpochSeeds(seed, epochs_before)
    callback.set_model(model)
    callback.on_epoch_begin(epoch)
    ones = np.ones((1, 8, 8, 1), "float32")
    return [np.asarray(model.layers[1](ones, training=True)) for _ in range(2)]


def test_dropout_is_a_function_of_seed_epoch_and_step():
    first, second = masks(epoch=4)
    np.testing.assert_array_equal(first, masks(epoch=4)[0])
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, masks(epoch=5)[0])
    assert not np.array_equal(first, masks(epoch=4, seed=4)[0])


def test_epochs_are_counted_across_stages():
    np.testing.assert_array_equal(masks(epoch=1, epochs_before=3)[0], masks(epoch=4)[0])
