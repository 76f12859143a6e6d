"""Learning-rate schedules, at steps whose rates are known."""

import pytest

from tfseg.config import TrainingConfig
from tfseg.training.schedules import learning_rate_schedule


def rates(steps, **schedule):
    training = TrainingConfig.model_validate({"learning_rate": 0.1, "epochs": 10, "schedule": schedule})
    made = learning_rate_schedule(training, steps_per_epoch=5)
    return [made if isinstance(made, float) else float(made(step)) for step in steps]


def test_constant():
    assert rates([0, 30, 49], name="constant") == [0.1, 0.1, 0.1]


def test_step_falls_tenfold_every_four_epochs():
    assert rates([0, 19, 20, 39, 40], name="step") == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_cosine_halves_at_the_middle_and_ends_at_zero():
    assert rates([0, 25, 50], name="cosine") == pytest.approx([0.1, 0.05, 0.0], abs=1e-8)


def test_warm_up_rises_linearly_and_then_the_cosine_begins():
    assert rates([0, 5, 10, 30, 50], name="cosine", warmup_epochs=2) == pytest.approx([0, 0.05, 0.1, 0.05, 0], abs=1e-8)
