"""Masks that no known network made, beside trained arms: they count once, and only what is known of them is said."""

import numpy as np
import pandas as pd
import pytest

from tfseg.statistics import Verdict, arm_means, compare_arms, network_means, questions

MASKS = ("m", "n")


@pytest.fixture
def scores(draw_scores):
    """A trained arm, and two methods whose masks are the same under each of three seeds."""
    drawn = draw_scores({"a": 0.0, "m": 0.01, "n": 0.0})
    once = drawn[(drawn["seed"] == 0) & drawn["loss"].isin(MASKS)]
    folds = drawn.loc[drawn["loss"] == "a", ["seed", "fold", "subject"]].drop_duplicates()
    every_seed = once.drop(columns=["seed", "fold"]).merge(folds, on="subject")[drawn.columns]
    return pd.concat([drawn[drawn["loss"] == "a"], every_seed], ignore_index=True)


def primary(table):
    return table[table["role"] == "primary"].set_index(["first", "second"])


def test_two_methods_are_compared_as_without_trained_arms(scores):
    beside = primary(compare_arms(questions(scores, {}, masks=MASKS))).loc["m", "n"]
    once = scores[(scores["seed"] == 0) & scores["loss"].isin(MASKS)]
    alone = primary(compare_arms(questions(once, {}, masks=MASKS))).loc["m", "n"]
    numbers = ["difference", "low", "high", "p", "p_better", "seeds", "networks", "sd_networks"]
    np.testing.assert_allclose(beside[numbers].astype(float), alone[numbers].astype(float))
    assert (beside["networks"], beside["seeds"], beside["sd_networks"]) == (1, 1, 0)
    assert "networks" not in beside["note"]


def test_a_pair_with_a_trained_arm_is_about_new_trainings_of_that_arm_and_no_other_dataset(scores):
    pair = primary(compare_arms(questions(scores, {}, masks=MASKS))).loc["a", "m"]
    assert (pair["networks"], pair["seeds"]) == (15, 3)
    assert pair["sd_networks"] > 0
    assert np.isnan([pair["beyond_low"], pair["beyond_high"], pair["p_beyond"]]).all()
    one = scores[(scores["seed"] == 0)].assign(fold=0)
    table = primary(compare_arms(questions(one, {}, masks=MASKS)))
    assert table.loc[("a", "m"), "note"].startswith("one network of a: what another training makes is unknown")
    assert table["verdict"].to_dict() == {
        ("a", "m"): Verdict.UNTESTED,
        ("a", "n"): Verdict.UNTESTED,
        ("m", "n"): table.loc[("m", "n"), "verdict"],
    }
    assert table.loc[("m", "n"), "verdict"] != Verdict.UNTESTED


def test_masks_that_miss_everything_are_worse_and_no_network_of_theirs_collapsed(scores):
    """By the number of collapsed networks of two folds it would be open."""
    few = scores[(scores["seed"] == 0) & (scores["metric"] == "dice")]
    few = few.assign(fold=few["fold"] % 2, value=few["value"].mask(few["loss"] == "m", 0.0))
    pair = primary(compare_arms(questions(few, {}, masks=MASKS))).loc["a", "m"]
    assert (pair["collapsed_first"], pair["collapsed_second"], pair["verdict"]) == (0, 0, Verdict.BETTER)
    assert primary(compare_arms(questions(few, {}))).loc["a", "m"]["verdict"] == Verdict.OPEN


def test_the_mean_of_masks_has_no_networks(scores):
    dice, *_ = questions(scores, {}, masks=MASKS)
    means = arm_means([dice]).set_index("arm")
    assert means["networks"].to_dict() == {"a": 15, "m": 1, "n": 1}
    once = scores[(scores["seed"] == 0) & (scores["loss"] == "m")]
    alone = arm_means([questions(once, {}, masks=["m"])[0]]).iloc[0]
    assert (means.loc["m", "low"], means.loc["m", "high"]) == pytest.approx((alone["low"], alone["high"]))
    assert set(network_means(dice)["arm"]) == {"a"}
