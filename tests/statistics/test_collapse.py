import numpy as np
import pytest
import scipy.stats

from tfseg.statistics import Verdict, compare_arms, questions
from tfseg.statistics.collapse import Collapses, collapses, p_without


@pytest.fixture
def collapsed_scores(draw_scores):
    """Return scores of arms that do not differ, of which some networks (arm, seed, fold) lose nearly all Dice."""

    def draw(arms: str, fallen: set, **options):
        scores = draw_scores(dict.fromkeys(arms, 0.0), **options)
        fell = scores.set_index(["loss", "seed", "fold"]).index.isin(list(fallen))
        dice = (scores["metric"] == "dice") & fell
        scores.loc[dice, "value"] = scores.loc[dice, "value"] / 10
        scores.loc[(scores["metric"] == "hd95") & fell, "value"] += 40
        return scores

    return draw


def primary(scores, **options):
    table = compare_arms(questions(scores, {}), **options)
    return table[table["role"] == "primary"].iloc[0]


def test_what_rests_on_three_networks_of_one_start_is_open(collapsed_scores):
    scores = collapsed_scores("ab", {("b", 0, fold) for fold in range(3)}, seeds=1, folds=3)
    pair = primary(scores)
    assert pair["low"] > 0.5  # the model by itself has no doubt
    assert pair["p"] == pytest.approx(0.1)  # 3 of 3 and 0 of 3
    assert (pair["verdict"], pair["collapsed_first"], pair["collapsed_second"]) == (Verdict.OPEN, 0, 3)
    assert pair["note"] == "networks collapsed: 3 of 3 of b; more seeds would show whether that is chance"


def test_an_arm_that_always_collapses_is_worse(collapsed_scores):
    scores = collapsed_scores("ab", {("b", seed, fold) for seed in range(3) for fold in range(5)})
    pair = primary(scores)
    assert pair["verdict"] == Verdict.BETTER
    assert pair["note"] == "rests on networks that collapsed: 15 of 15 of b"
    table = compare_arms(questions(scores, {}))
    assert set(table["collapsed_second"]) == {15}  # distances depend on the same networks


def test_what_holds_without_the_collapsed_network_stands(draw_scores):
    scores = draw_scores({"a": 0.1, "b": 0.0}, seeds=3)
    gone = (scores["loss"] == "b") & (scores["seed"] == 1) & (scores["fold"] == 0) & (scores["metric"] == "dice")
    scores.loc[gone, "value"] = 0.1
    asked = questions(scores, {})
    dice = next(each for each in asked if each.metric == "dice")
    found = collapses([dice], "a", "b", np.ones((3, 20), bool))
    assert (found.first, found.second, found.networks, found.alone.sum()) == (0, 1, 15, 56)
    rest = p_without(dice.differences("a", "b"), dice.folds, found.alone)
    assert rest < 1e-6 < found.p_counts()
    without = scores[(scores["seed"] != 1) | (scores["fold"] != 0)]
    assert rest == pytest.approx(primary(without)["p"])
    assert primary(scores)["p"] >= rest


def test_low_scores_of_every_network_are_no_collapse(draw_scores):
    scores = draw_scores({"a": 0.0, "b": 0.0})
    scores.loc[scores["metric"] == "dice", "value"] /= 50
    assert primary(scores)["collapsed_first"] == 0


def test_the_mean_over_labels_counts_a_collapse_on_any(collapsed_scores, draw_scores):
    fallen = {("a", 0, fold) for fold in range(5)}
    scores = collapsed_scores("ab", fallen, labels=("left", "right"))
    only_left = draw_scores({"a": 0.0, "b": 0.0}, labels=("left", "right"))
    only_left.loc[only_left["label"] == "left"] = scores[scores["label"] == "left"]
    table = compare_arms(questions(only_left, {})).set_index(["label", "metric"])
    assert table.loc["mean", "hd95"]["collapsed_first"] == table.loc["left", "dice"]["collapsed_first"] == 5
    assert table.loc["right", "dice"]["collapsed_first"] == 0


def test_numbers_of_collapses_by_fisher():
    alone = np.zeros((1, 1), bool)
    assert Collapses(5, 0, 5, alone).p_counts() == pytest.approx(2 / 252)
    assert Collapses(2, 2, 9, alone).p_counts() == 1
    expected = scipy.stats.fisher_exact([[4, 6], [1, 9]]).pvalue
    assert Collapses(4, 1, 10, alone).p_counts() == pytest.approx(expected)
