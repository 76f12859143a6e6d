import numpy as np
import pandas as pd
import pytest

from tfseg.core.errors import ConfigError
from tfseg.statistics import VERDICT_COLUMNS, Role, Verdict, compare_arms, primary_question, questions
from tfseg.statistics.effects import holm
from tfseg.statistics.verdicts import TEST_COLUMNS


def compared(scores: pd.DataFrame, **options) -> pd.DataFrame:
    return compare_arms(questions(scores, {}), **options)


def row(table: pd.DataFrame, first: str, second: str, metric: str = "dice", label: str = "lesion") -> pd.Series:
    names = dict(first=first, second=second, metric=metric, label=label)
    matches = table[np.logical_and.reduce([table[column] == name for column, name in names.items()])]
    assert len(matches) == 1
    return matches.iloc[0]


def test_a_row_for_every_question_and_pair(draw_scores):
    table = compared(draw_scores({"a": 0, "b": 0, "c": 0}, labels=("left", "right")))
    assert list(table.columns) == list(TEST_COLUMNS)
    assert set(VERDICT_COLUMNS) < set(TEST_COLUMNS)
    assert len(table) == 3 * 3 * 4  # pairs, labels with the mean, metrics
    roles = table.set_index(["label", "metric"])["role"]
    assert set(roles["mean", "dice"]) == {Role.PRIMARY}
    assert set(roles["left", "iou"]) == set(roles["mean", "iou"]) == {Role.EXPLORATORY}
    for other in (("left", "dice"), ("right", "hd95"), ("mean", "nsd")):
        assert set(roles[other]) == {Role.SECONDARY}


def test_a_real_difference_is_called_in_its_direction(draw_scores):
    table = compared(draw_scores({"poor": 0.0, "good": 0.05}))
    dice, hd95 = row(table, "poor", "good"), row(table, "poor", "good", "hd95")
    assert (dice["verdict"], hd95["verdict"]) == (Verdict.WORSE, Verdict.WORSE)
    assert dice["difference"] == pytest.approx(-0.05, abs=0.01)
    assert hd95["difference"] == pytest.approx(1.0, abs=0.2)
    assert dice["low"] < -0.05 < dice["high"] < 0
    assert dice["p_better"] < 0.01
    assert hd95["p_better"] == pytest.approx(dice["p_better"], rel=0.01)
    assert dice["p_margin"] < 0.001
    assert np.isnan(hd95["p_margin"])
    turned = row(compared(draw_scores({"good": 0.05, "poor": 0.0})), "good", "poor")
    assert turned["verdict"] == Verdict.BETTER
    assert turned["p_margin"] > 0.99
    assert (dice["seeds"], dice["networks"], dice["subjects"]) == (3, 15, 20)


def test_equal_arms_are_equivalent_within_a_margin(draw_scores):
    scores = draw_scores({"a": 0.0, "b": 0.0}, residual_sd=0.003, network_sd=0.001)
    equal = row(compared(scores), "a", "b")
    assert equal["verdict"] == Verdict.EQUIVALENT
    assert -0.01 < equal["low"] < equal["high"] < 0.01
    assert row(compared(scores, margins={"hd95": 2.0}), "a", "b")["verdict"] == Verdict.EQUIVALENT
    assert np.isnan(row(compared(scores), "a", "b", "nsd")["p_equivalent"])  # it has no margin
    narrow = row(compared(scores, margins={"dice": 1e-4}), "a", "b")
    assert narrow["verdict"] == Verdict.OPEN
    assert "would settle it" in narrow["note"]


def test_a_difference_below_the_margin_says_so(draw_scores):
    small = row(compared(draw_scores({"a": 0.004, "b": 0.0}, residual_sd=0.002, network_sd=0.0005)), "a", "b")
    assert small["verdict"] == Verdict.BETTER
    assert small["note"] == "smaller than the margin of 0.010"
    assert small["p_margin"] < 0.05


def test_primary_and_secondary_are_adjusted_apart(draw_scores):
    table = compared(draw_scores({"a": 0, "b": 0.01, "c": 0.02}, labels=("left", "right")), primary=("left", "nsd"))
    assert set(table[table["role"] == Role.PRIMARY][["label", "metric"]].agg(" ".join, axis=1)) == {"left nsd"}
    for role, count in ((Role.PRIMARY, 3), (Role.SECONDARY, 3 * 8)):
        family = table[table["role"] == role]
        assert len(family) == count
        np.testing.assert_allclose(family["p_holm"], holm(family["p"]))
        np.testing.assert_allclose(family["p_equivalent_holm"], holm(family["p_equivalent"]), equal_nan=True)


def test_exploratory_questions_are_described_and_not_tested(draw_scores):
    table = compared(draw_scores({"poor": 0.0, "good": 0.2}))
    iou = row(table, "poor", "good", "iou")
    assert (iou["role"], iou["verdict"]) == (Role.EXPLORATORY, Verdict.UNTESTED)
    assert "exploratory" in iou["note"]
    assert iou["difference"] < 0
    assert np.isnan(iou["p_holm"])


PER_PAIR = ["difference", "low", "high", "p", "p_better", "p_margin", "p_beyond", "beyond_low", "d_z", "wilcoxon_p"]


def test_a_third_arm_changes_no_estimate(draw_scores):
    scores = draw_scores({"a": 0.0, "b": 0.01, "c": 0.3})
    three, two = compared(scores), compared(scores[scores["loss"] != "c"])
    for metric in ("dice", "hd95"):
        expected = row(two, "a", "b", metric)[PER_PAIR].astype(float)
        np.testing.assert_allclose(row(three, "a", "b", metric)[PER_PAIR].astype(float), expected, rtol=1e-6)


def test_swapping_arms_mirrors_everything(draw_scores):
    scores = draw_scores({"a": 0.0, "b": 0.01})
    there, back = row(compared(scores), "a", "b"), row(compared(scores.iloc[::-1]), "b", "a")
    for column in ("difference", "d_z", "rank_biserial"):
        assert there[column] == pytest.approx(-back[column])
    assert (there["low"], there["beyond_low"]) == pytest.approx((-back["high"], -back["beyond_high"]))
    assert there["p_better"] == pytest.approx(1 - back["p_better"])
    assert there["p"] == pytest.approx(back["p"])


def test_only_networks_that_both_arms_have_count(draw_scores):
    scores = draw_scores({"a": 0.0, "b": 0.0, "c": 0.0})
    failed = scores[(scores["loss"] != "b") | (scores["seed"] != 1) | (scores["fold"] != 2)]
    table = compared(failed)
    incomplete, whole = row(table, "a", "b"), row(table, "a", "c")
    assert (incomplete["seeds"], incomplete["networks"], incomplete["subjects"]) == (2, 14, 20)
    assert "14 of 15 networks" in incomplete["note"]
    assert (whole["seeds"], whole["networks"]) == (3, 15)
    without = scores[(scores["seed"] != 1) | (scores["fold"] != 2)]
    for column in ("difference", "low", "p"):
        assert incomplete[column] == pytest.approx(row(compared(without), "a", "b")[column])


def test_one_network_of_each_is_never_enough(draw_scores):
    scores = draw_scores({"poor": 0.0, "good": 0.3}, seeds=1, folds=1)
    pair = row(compared(scores), "poor", "good")
    assert pair["verdict"] == Verdict.UNTESTED
    assert "one network of each arm" in pair["note"]
    assert pair["low"] < pair["difference"] < pair["high"] < -0.25
    assert np.isnan([pair["p"], pair["p_better"], pair["p_margin"]]).all()


def test_one_seed_takes_its_folds_for_networks(draw_scores):
    table = compared(draw_scores({"poor": 0.0, "good": 0.2}, seeds=1))
    assert (row(table, "poor", "good")["networks"], row(table, "poor", "good")["verdict"]) == (5, Verdict.WORSE)
    wide, narrow = (row(compared(draw_scores({"a": 0.0, "b": 0.0}, seeds=seeds)), "a", "b") for seeds in (1, 4))
    assert np.subtract(*wide[["high", "low"]]) > 1.5 * np.subtract(*narrow[["high", "low"]])


def test_networks_that_differ_count_more_than_many_subjects(draw_scores):
    """One seed, 60 subjects: over subjects alone the difference would be beyond doubt."""
    scores = draw_scores({"a": 0.0, "b": 0.01}, subjects=60, seeds=1, network_sd=0.03, residual_sd=0.005, draw=2)
    pair = row(compared(scores), "a", "b")
    assert pair["wilcoxon_p"] < 0.001
    assert pair["verdict"] == Verdict.OPEN
    assert pair["sd_networks"] > 0.02


def test_nothing_to_test(make_scores):
    same = {f"s{i}": {"dice": 0.5 + i / 100} for i in range(8)}
    shifted = {name: {"dice": values["dice"] + 0.25} for name, values in same.items()}
    table = compared(make_scores({"a": same, "b": same, "c": shifted}))
    for first, second, difference in (("a", "b", 0.0), ("a", "c", -0.25)):
        pair = row(table, first, second)
        assert (pair["verdict"], pair["difference"]) == (Verdict.UNTESTED, difference)
        assert pair["note"] == "all 8 subjects have the same difference"
    apart = compared(make_scores({"a": {"x": {"dice": 0.5}}, "b": {"y": {"dice": 0.5}}}))
    assert row(apart, "a", "b")["note"] == "fewer than two subjects have a value under both arms; 0 of 1 networks"
    assert compared(make_scores({"a": same})).empty


def test_a_label_absent_in_some_subjects(make_scores):
    rng = np.random.default_rng(0)
    parts = []
    for label in ("left", "rare"):
        runs = {
            (arm, seed): {
                f"s{i}": {"dice": np.nan if label == "rare" and i > 3 else rng.uniform(0.4, 0.6) + gain}
                for i in range(12)
            }
            for arm, gain in (("a", 0.0), ("b", 0.01))
            for seed in range(3)
        }
        parts.append(make_scores(runs, label=label))
    table = compared(pd.concat(parts))
    assert row(table, "a", "b", label="rare")["subjects"] == 4
    mean = row(table, "a", "b", label="mean")
    of_labels = [row(table, "a", "b", label=label)["difference"] for label in ("left", "rare")]
    assert mean["difference"] == pytest.approx(np.mean(of_labels))
    assert mean["subjects"] == 12


def test_what_is_not_in_the_data_is_refused(draw_scores):
    asked = questions(draw_scores({"a": 0, "b": 0}), {})
    with pytest.raises(ConfigError, match=r"primary: expected one of dice of lesion, .* received dice of liver"):
        compare_arms(asked, primary=("liver", "dice"))
    with pytest.raises(ConfigError, match="margins: expected metrics that are scored, received assd"):
        compare_arms(asked, margins={"assd": 1.0})
    with pytest.raises(ConfigError, match="margins: expected a positive number for dice, received 0"):
        compare_arms(asked, margins={"dice": 0})
    assert primary_question(asked) == ("lesion", "dice")


def test_fewer_training_subjects_widen_what_holds_beyond(draw_scores):
    scores = draw_scores({"a": 0.0, "b": 0.01})
    default = row(compared(scores), "a", "b")
    few = row(compared(scores, training_subjects=4), "a", "b")
    assert few["beyond_high"] - few["beyond_low"] > default["beyond_high"] - default["beyond_low"]
    assert default["beyond_low"] < default["low"]
    assert few["p_better"] == default["p_better"]
