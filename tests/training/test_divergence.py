"""A loss that is no number stops a training, and its step is named."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.training.divergence import Diverged, FiniteLoss, WatchedLoss


class Known(keras.losses.Loss):
    """Returns the values that it is given as predictions."""

    def call(self, y_true, y_pred):
        return y_pred


def watched(values):
    """A watched loss after steps, in a graph, whose losses are known."""
    loss = WatchedLoss(Known())
    step = tf.function(lambda value: loss(tf.zeros(1), value))
    for value in values:
        np.testing.assert_equal(step(tf.constant([value], tf.float32)).numpy(), np.float32(value))
    return loss


def name(epoch, step):
    return f"slices of {epoch}, {step}"


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_the_first_step_with_a_loss_that_is_no_number_is_named_with_its_slices(loss):
    """Four steps an epoch; the stage resumed after epoch 2 of 12 earlier ones in all."""
    callback = FiniteLoss(watched([0.5, 1, 2, 3, 4, loss, 1, math.nan]), 4, name, epochs_before=10, begin=2)
    with pytest.raises(Diverged, match=f"the loss is {loss} in epoch 14, step 2, on slices of 13, 1;") as diverged:
        callback.on_epoch_end(3, {"loss": math.nan})
    assert (diverged.value.epoch, diverged.value.step, diverged.value.slices) == (14, 2, "slices of 13, 1")


def test_what_is_finite_goes_unnoticed():
    loss = watched([0.5, -3, 1e38])
    assert loss.first_bad() is None
    FiniteLoss(loss, 3, name).on_epoch_end(0, {"loss": 1.0})


def test_a_mean_that_is_no_number_belongs_to_the_last_step():
    """Penalties on weights are in it, and in no step's own loss."""
    with pytest.raises(Diverged, match="the loss is inf in epoch 1, step 3, on slices of 0, 2"):
        FiniteLoss(watched([1, 1, 1]), 3, name).on_epoch_end(0, {"loss": math.inf})


def test_a_validation_loss_comes_after_the_losses_of_steps():
    with pytest.raises(Diverged, match="the validation loss is nan in epoch 2, step 1"):
        FiniteLoss(watched([1, 1]), 1, name).check(math.nan, 1, 0, "validation loss")
    with pytest.raises(Diverged, match="the loss is nan in epoch 1, step 1"):
        FiniteLoss(watched([math.nan, 1]), 1, name).check(math.nan, 1, 0, "validation loss")
