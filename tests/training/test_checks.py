"""Learning curves are judged, on curves made by hand."""

import numpy as np
import pandas as pd
import pytest

from tfseg.training.checks import check_training


def history(val_dice, **more):
    return pd.DataFrame({"epoch": np.arange(1, len(val_dice) + 1), "val_dice": val_dice, **more})


FLAT = [0.1, 0.4, 0.6, 0.7, 0.75, 0.78, 0.80, 0.79, 0.805, 0.80, 0.803, 0.802]


def test_a_flat_end_passes():
    assert check_training(history(FLAT), best_epoch=9, epochs=12) == {}


def test_a_rising_end_is_not_converged_and_its_last_epoch_is_at_the_edge():
    failed = check_training(history(np.linspace(0.1, 0.65, 12)), best_epoch=12, epochs=12)
    assert failed == {
        "unconverged": "val_dice still rose by 0.100 in the last quarter",
        "edge": "the last of 12 epochs was the best",
    }


@pytest.mark.parametrize(("rise", "fails"), [(0.009, False), (0.011, True)])
def test_a_hundredth_over_the_last_quarter_is_the_limit(rise, fails):
    curve = [0.5] * 9 + [0.5, 0.5 + rise / 2, 0.5 + rise]
    assert ("unconverged" in check_training(history(curve), best_epoch=9, epochs=12)) == fails


def test_noise_around_a_flat_end_is_not_a_rise():
    assert "unconverged" not in check_training(history([*FLAT, 0.79, 0.81, 0.78, 0.80]), best_epoch=9, epochs=16)


def test_a_loss_still_falls():
    loss = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    failed = check_training(history([0.8] * 7 + [0.81], val_loss=loss), 7, 8, select_by="val_loss")
    assert failed == {"unconverged": "val_loss still fell by 67 % in the last quarter"}


def test_three_epochs_cannot_tell_whether_a_network_has_converged():
    failed = check_training(history([0.1, 0.3, 0.5]), best_epoch=2, epochs=5)
    assert failed == {"unconverged": "3 epochs cannot tell"}


def test_a_label_that_is_never_found_at_the_kept_epoch_is_a_collapse():
    curves = {"val_dice_liver": FLAT, "val_dice_pancreas": [0.0] * 8 + [0.004, 0.5, 0.5, 0.5]}
    failed = check_training(history(FLAT, **curves), best_epoch=9, epochs=12)
    assert failed == {"collapsed": "validation Dice of pancreas is 0.004"}
    assert check_training(history(FLAT, **curves), best_epoch=10, epochs=12) == {}


def test_a_label_without_a_value_is_no_collapse():
    assert check_training(history(FLAT, val_dice_rare=np.full(12, np.nan)), best_epoch=9, epochs=12) == {}


def test_a_constant_score_is_a_collapse_unless_it_is_perfect():
    constant = history([0.2, 0.3, *[0.25] * 10])
    assert check_training(constant, best_epoch=2, epochs=12) == {"collapsed": "val_dice stays 0.250"}
    assert check_training(history([0.2, 0.3, *[1.0] * 10]), best_epoch=3, epochs=12) == {}


def test_a_network_that_loses_what_it_had_learnt_diverged():
    failed = check_training(history([0.2, 0.5, 0.7, 0.8, 0.3, 0.2, 0.31, 0.3]), best_epoch=4, epochs=8)
    assert failed["diverged"] == "val_dice fell from 0.800 to 0.305"


def test_epochs_that_were_not_scored_do_not_count():
    sparse = [np.nan if number % 2 == 0 else value for number, value in enumerate(np.repeat(FLAT, 2))]
    assert check_training(history(sparse), best_epoch=18, epochs=24) == {}


def test_only_the_last_stage_counts():
    stages = {"stage": [1] * 4 + [2] * 8}
    curve = [0.9, 0.9, 0.9, 0.9, *FLAT[-8:]]
    assert check_training(history(curve, **stages), best_epoch=9, epochs=12) == {}
    assert "diverged" in check_training(history([*[0.8] * 4, *[0.3, 0.31] * 4]), best_epoch=1, epochs=12)
    assert "diverged" not in check_training(history([*[0.8] * 4, *[0.3, 0.31] * 4], **stages), 6, epochs=12)
