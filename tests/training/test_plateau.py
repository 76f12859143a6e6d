"""When a training is on a plateau."""

import pytest

from tfseg.training.plateau import Plateau


def reached(values, **settings):
    plateau = Plateau(**{"sign": -1, "patience": 2, "min_delta": 0.0} | settings)
    found = []
    for value in values:
        again = Plateau(**{"sign": -1, "patience": 2, "min_delta": 0.0} | settings)
        again.restore(plateau.state())  # as after a kill
        plateau = again
        found.append(plateau.reached(value))
    return [index for index, hit in enumerate(found) if hit]


def test_a_value_that_gains_is_on_no_plateau():
    assert reached([5, 4, 3, 2]) == []
    assert reached([1, 2, 3, 4], sign=1) == []


def test_a_plateau_is_patience_epochs_without_gain_and_then_counted_anew():
    assert reached([5, 5, 5, 5, 5, 5]) == [2, 4]
    assert reached([5, 6, 4, 4, 3.9, 4, 4]) == [6]


def test_gains_too_small_do_not_count_but_add_up():
    assert reached([5.0, 4.9, 4.8], min_delta=0.5) == [2]
    assert reached([5.0, 4.7, 4.4, 4.1, 3.8], min_delta=0.5) == []


def test_a_moving_average_hides_a_jump():
    """He 2024 looks at an average of the training loss: 0.93·last + 0.07·new."""
    values = [1.0, 0.0, 1.0, 1.0, 1.0]
    assert reached(values, patience=2) == [3]
    assert reached(values, patience=2, average=0.93) == [3]
    # Averages 1, .93, .9349, .9395, .9437: the best is the second; a single low value does not stay the best for good.
    assert reached([1.0, 0.0, *[0.9] * 4], patience=4) == [5]
    assert reached([1.0, 0.0, *[0.9] * 4], patience=4, average=0.93) == []


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_the_first_value_is_the_first_average(average):
    plateau = Plateau(1, 1, 0.0, average)
    plateau.reached(3.0)
    assert plateau.state()["average"] == 3.0
