"""Learning-rate schedules at steps with known rates."""

import pytest

from tfseg.config.config import TrainingConfig
from tfseg.training.schedules import learning_rate_schedule


def rates(steps, **schedule):
    training = TrainingConfig.model_validate({"learning_rate": 0.1, "epochs": 10, "schedule": schedule})
    rate = learning_rate_schedule(training, steps_per_epoch=5)
    return [rate if isinstance(rate, float) else float(rate(step)) for step in steps]


def test_constant():
    assert rates([0, 30, 49], name="constant") == [0.1, 0.1, 0.1]


def test_step_falls_tenfold_every_four_epochs():
    assert rates([0, 19, 20, 39, 40], name="step") == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_cosine_halves_at_the_middle_and_ends_at_zero():
    assert rates([0, 25, 50], name="cosine") == pytest.approx([0.1, 0.05, 0.0], abs=1e-8)


def test_warm_up_rises_linearly_before_the_cosine():
    """No step has a rate of zero."""
    expected = [0.01, 0.06, 0.1, 0.1, 0.05, 0]
    assert rates([0, 5, 9, 10, 30, 50], name="cosine", warmup_epochs=2) == pytest.approx(expected, abs=1e-8)


def test_exponential_falls_evenly_by_the_factor_every_few_epochs():
    expected = [0.1, 0.1 * 0.1**0.5, 0.01, 0.001]
    assert rates([0, 10, 20, 40], name="exponential") == pytest.approx(expected)


def test_polynomial_ends_at_zero():
    expected = [0.1, 0.1 * 0.5**0.9, 0.1 * 0.02**0.9, 0.0]
    assert rates([0, 25, 49, 50], name="polynomial") == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("name", "after"), [("constant", 0.1), ("plateau", 0.1), ("step", 0.01), ("polynomial", 0.05)])
def test_every_schedule_begins_after_its_warm_up(name, after):
    """Ten steps of warm-up; step 30 is then the schedule's own step 20, half of its 40."""
    values = rates([0, 5, 9, 10, 30], name=name, warmup_epochs=2, power=1)
    assert values == pytest.approx([0.01, 0.06, 0.1, 0.1, after], abs=1e-8)


def test_a_plateau_scales_the_rate():
    training = TrainingConfig.model_validate({"learning_rate": 0.1, "schedule": {"name": "plateau"}})
    rate = learning_rate_schedule(training, 5)
    rate.scale.assign(0.25)
    assert float(rate(7)) == pytest.approx(0.025)
