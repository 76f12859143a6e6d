"""A plateau is a value that no longer improves; the learning rate falls there."""

import math

import pytest

from tfseg.config.config import TrainingConfig
from tfseg.training.plateau import Plateau, PlateauRate
from tfseg.training.schedules import learning_rate_schedule


def reached(values, **settings):
    plateau = Plateau(**{"sign": -1, "patience": 2, "min_delta": 0.0} | settings)
    hits = []
    for value in values:
        again = Plateau(**{"sign": -1, "patience": 2, "min_delta": 0.0} | settings)
        again.restore(plateau.state())  # as after an interruption
        plateau = again
        hits.append(plateau.reached(value))
    return [index for index, hit in enumerate(hits) if hit]


def test_a_value_that_improves_is_on_no_plateau():
    assert reached([5, 4, 3, 2]) == []
    assert reached([1, 2, 3, 4], sign=1) == []


def test_a_plateau_is_patience_epochs_without_improvement_and_counting_restarts():
    assert reached([5, 5, 5, 5, 5, 5]) == [2, 4]
    assert reached([5, 6, 4, 4, 3.9, 4, 4]) == [6]


def test_improvements_below_min_delta_do_not_count_but_add_up():
    assert reached([5.0, 4.9, 4.8], min_delta=0.5) == [2]
    assert reached([5.0, 4.7, 4.4, 4.1, 3.8], min_delta=0.5) == []


def test_a_moving_average_hides_a_jump():
    """He 2024 watches an average of the training loss: 0.93·last + 0.07·new."""
    values = [1.0, 0.0, 1.0, 1.0, 1.0]
    assert reached(values, patience=2) == [3]
    assert reached(values, patience=2, average=0.93) == [3]
    # Averages 1, .93, .9349, .9395, .9437: the second is the best; one low value does not remain the best forever.
    assert reached([1.0, 0.0, *[0.9] * 4], patience=4) == [5]
    assert reached([1.0, 0.0, *[0.9] * 4], patience=4, average=0.93) == []


@pytest.mark.parametrize("average", [0.0, 0.93])
def test_a_value_that_is_not_finite_is_skipped(average):
    with_nan = [5, math.nan, 5, math.inf, 5, math.nan, 4, 5, 5]
    assert reached(with_nan, average=average) == [4, 8]
    assert reached([math.nan, 5, 4, 3], average=average) == []


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_the_first_value_is_the_first_average(average):
    plateau = Plateau(1, 1, 0.0, average)
    plateau.reached(3.0)
    assert plateau.state()["average"] == 3.0


@pytest.mark.parametrize(("watch", "gains"), [("val_dice", 1), ("val_iou", 1), ("val_loss", -1), ("loss_average", -1)])
def test_each_watched_value_improves_in_its_own_direction(watch, gains):
    """The rate falls if the value gets worse; an epoch without the value is skipped."""
    schedule = {"name": "plateau", "watch": watch, "patience": 1, "factor": 0.5, "average": 0}
    training = TrainingConfig.model_validate({"learning_rate": 0.1, "schedule": schedule})
    rate = learning_rate_schedule(training, steps_per_epoch=1)
    callback = PlateauRate(training.schedule, rate)
    rates = []
    for value in (0.5, 0.5 + 0.1 * gains, None, 0.5, 0.5 + 0.2 * gains):
        callback.on_epoch_end(0, {} if value is None else {watch.removesuffix("_average"): value})
        rates.append(float(rate(0)))
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05])
