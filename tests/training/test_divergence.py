"""A loss that is not finite stops a training; the error says where."""

import math

import pytest

from tfseg.training.divergence import Diverged, FiniteLoss


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_reported_with_its_epoch_step_and_slices(loss):
    callback = FiniteLoss(lambda epoch, step: f"slices of {epoch}, {step}", epochs_before=10)
    callback.on_epoch_begin(2)
    callback.on_train_batch_end(0, {"loss": 0.5})
    with pytest.raises(Diverged, match=f"the loss is {loss} in epoch 13, step 2, on slices of 12, 1;") as diverged:
        callback.on_train_batch_end(1, {"loss": loss})
    assert (diverged.value.epoch, diverged.value.step, diverged.value.slices) == (13, 2, "slices of 12, 1")
