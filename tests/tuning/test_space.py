"""Spaces are read, checked against the configuration, and proposed from."""

import numpy as np
import pytest

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.tuning.checks import check_space
from tfseg.tuning.space import read_space, with_values


@pytest.fixture
def space(tmp_path):
    """Reads a space from its text."""

    def read(text):
        (tmp_path / "space.yaml").write_text(text)
        return read_space(tmp_path / "space.yaml")

    return read


def test_a_grid_has_every_combination_once(space):
    read = space("training.epochs: {grid: [5, 10]}\nloss.alpha: {choice: [0.5, 0.7, 0.9]}")
    points = list(read.points(load_config(None, ["loss=focal"])))
    assert points[0] == {"training.epochs": 5, "loss.alpha": 0.5}
    assert len(points) == 6 == len({tuple(point.items()) for point in points})


def test_a_condition_may_stand_before_what_it_is_about(space):
    read = space(
        "training.momentum: {uniform: [0.8, 0.9], if: {training.optimizer: sgd}}\n"
        "training.optimizer: {choice: [adam, sgd]}"
    )
    assert read.fields == ["training.optimizer", "training.momentum"]
    rng = np.random.default_rng(0)
    drawn = [read.propose(load_config(), lambda each: each.draw(rng)) for _ in range(40)]
    with_momentum = [values for values in drawn if values["training.optimizer"] == "sgd"]
    assert 0 < len(with_momentum) < 40
    assert all(0.8 <= values["training.momentum"] <= 0.9 for values in with_momentum)
    assert all("training.momentum" not in values for values in drawn if values not in with_momentum)


def test_combinations_that_differ_in_what_a_condition_rules_out_are_one(space):
    read = space(
        "training.optimizer: {grid: [adam, sgd]}\ntraining.momentum: {grid: [0.8, 0.9], if: {training.optimizer: sgd}}"
    )
    assert len(list(read.points(load_config()))) == 3


def test_a_condition_about_the_configuration_keeps_a_field_for_some_losses(space):
    read = space(
        "training.learning_rate: {loguniform: [0.001, 0.1]}\n"
        "loss.alpha: {uniform: [0.3, 0.9], if: {loss.name: [focal, tversky]}}"
    )
    focal, dice = (load_config(None, [f"loss={name}"]) for name in ("focal", "dice"))
    assert read.applicable_to(focal).fields == ["training.learning_rate", "loss.alpha"]
    assert read.applicable_to(dice).fields == ["training.learning_rate"]


def test_a_field_whose_condition_can_never_hold_is_not_searched(space):
    text = "training.optimizer: {{choice: [adam, {}]}}\ntraining.momentum: {{uniform: [0.8, 0.9], if: {{{}}}}}"
    for other, condition, fields in (
        ("sgd", "training.optimizer: sgd", 2),
        ("adamw", "training.optimizer: sgd", 1),
        ("adamw", "training.batch_size: 2", 2),
        ("adamw", "training.batch_size: 4", 1),
    ):
        assert len(space(text.format(other, condition)).applicable_to(load_config()).fields) == fields


def test_ranges_include_both_ends_and_are_drawn_evenly(space):
    read = space("training.epochs: {randint: [1, 3]}\ntraining.learning_rate: {loguniform: [0.0001, 1.0]}")
    rng = np.random.default_rng(0)
    epochs, rates = zip(*([each.draw(rng) for each in read.parameters] for _ in range(400)), strict=True)
    assert set(epochs) == {1, 2, 3}
    assert np.mean(np.log10(rates)) == pytest.approx(-2, abs=0.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training.lerning_rate: {grid: [1]}",
            "unknown key training.lerning_rate; did you mean training.learning_rate?",
        ),
        ("loss.alfa: {grid: [0.5]}", "loss.alfa: the loss focal has no parameter 'alfa'; did you mean alpha?"),
        ("loss.alpha: {grid: [0.5, 7]}", "loss.alpha: alpha"),
        ("trainning.epochs: {grid: [5]}", "trainning.epochs: cannot be searched; did you mean training?"),
        ("seed: {grid: [1, 2]}", "seed: cannot be searched; a search may change loss, model, training, stages"),
        ("training.threads: {grid: [1]}", "training.threads: cannot be searched"),
        ("training.epochs: {grid: [1], if: {training.optimiser: sgd}}", "did you mean training.optimizer?"),
        (
            "training.epochs: {grid: [1], if: {loss.name: [dice, focall]}}",
            "loss.name: no loss is called 'focall'; did you mean focal",
        ),
        ("training.l1: {grid: [0], if: {loss.name: dice}}", "none of its fields is searched for the loss focal"),
        ("loss.name: {choice: [focal, dice]}\nloss.alpha: {grid: [0.5]}", "the loss dice has no parameter 'alpha'"),
        ("training.l1: {uniform: [0, .inf]}", "training.l1: Input should be a finite number; received inf"),
        (
            "training.optimizer: {choice: [sgd, adam]}\ntraining.weight_decay: {uniform: [0, 1]}",
            "training: weight_decay needs the optimizer adamw or sgd; received adam",
        ),
        (
            "training.epochs: {randint: [0, 3]}",
            "training.epochs: Input should be greater than or equal to 1;",
        ),
    ],
)
def test_a_space_that_the_configuration_does_not_take(space, text, message):
    with pytest.raises(ConfigError) as refused:
        check_space(space(text), load_config(None, ["loss=focal"]))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected fields to search"),
        ("training.epochs: {grid: []}", "training.epochs.grid: expected a list of values, received []"),
        ("training.epochs: [1, 2]", "training.epochs: expected one of grid, choice, uniform, loguniform, randint"),
        ("training.epochs: {gird: [1]}", "no way to search is called gird; did you mean grid?"),
        ("training.epochs: {grid: [1, 1]}", "a value is listed twice"),
        ("training.l1: {uniform: [1, 1]}", "training.l1.uniform: an empty range; expected low < high, received [1, 1]"),
        ("training.l1: {loguniform: [0, 1]}", "expected low > 0, received [0, 1]"),
        ("training.epochs: {randint: [1, 2.5]}", "expected two whole numbers, low and high; received [1, 2.5]"),
        ("a.b: {grid: [1], if: {c.d: 1}}\nc.d: {grid: [1], if: {a.b: 1}}", "a.b is its own condition, through c.d"),
        ("training.epochs: {grid: [1]}\nsearch: {trails: 3}", "unknown key trails; did you mean trials?"),
        ("training.epochs: {grid: [1]}\nsearch: random", "search: expected settings, as in {method: random}; received"),
        ("- training.epochs", "must hold a mapping of names to values, received a list"),
        ("training.l1: {uniform: [.nan, 1]}", "an empty range; expected low < high, received [nan, 1]"),
        ("loss: {grid: [dice]}\nloss.gamma: {grid: [2]}", "loss.gamma is part of loss; search one of them"),
        ("loss: {grid: [dice]}\nmodel.depth: {grid: [2], if: {loss.name: dice}}", "loss.name is part of loss"),
    ],
)
def test_a_space_of_another_form(space, text, message):
    with pytest.raises(ConfigError) as refused:
        space(text)
    assert message in str(refused.value)


def test_a_search_that_would_see_test_subjects_is_refused(space):
    with pytest.raises(ConfigError, match="select_on: test would search on test subjects"):
        check_space(space("training.epochs: {grid: [1, 2]}"), load_config(None, ["select_on=test"]))


def test_values_are_checked_in_the_combinations_that_are_proposed(space):
    read = space(
        "training.optimizer: {choice: [sgd, adamw]}\ntraining.weight_decay: {uniform: [0.1, 1]}\n"
        "training.momentum: {uniform: [0.8, 0.9], if: {training.optimizer: sgd}}"
    )
    assert load_config().training.optimizer == "adam", "which takes no weight decay"
    checked = [config.training for config in check_space(read, load_config())]
    for field, values in (("optimizer", {"sgd", "adamw"}), ("weight_decay", {0.1, 1}), ("momentum", {0.8, 0.9})):
        assert {getattr(training, field) for training in checked} == values


def test_of_many_combinations_some_are_drawn(space):
    fields = [f"loss.{letter}" for letter in "abcdefghijkl"]
    read = space("\n".join(f"{field}: {{uniform: [0, 1]}}" for field in fields))
    corners = list(read.corners(load_config(), 100))
    assert 95 <= len(corners) <= 100, "of 4096"
    assert all({point[field] for point in corners} == {0, 1} for field in fields)


def test_a_name_does_not_undo_what_is_set_beside_it():
    config = with_values(load_config(), {"loss.gamma": 3.0, "loss.name": "focal"})
    assert config.loss == {"gamma": 3.0, "name": "focal"}
    assert with_values(load_config(), {"model.filters": 3, "model.name": "unet_2d_light"}).model.filters == 3


def test_a_loss_may_be_chosen_as_a_whole():
    config = with_values(
        load_config(None, ["loss={name: focal, alpha: 0.5}"]), {"loss": {"name": "tversky", "alpha": 0.3}}
    )
    assert config.loss == {"name": "tversky", "alpha": 0.3}
