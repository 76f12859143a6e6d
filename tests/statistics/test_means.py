import numpy as np
import pandas as pd
import pytest

from tfseg.metrics import summarise
from tfseg.statistics import arm_means, network_means, questions, ranking


def test_means_with_intervals(draw_scores):
    scores = draw_scores({"a": 0.0, "b": 0.05}, labels=("left", "right"))
    table = arm_means(questions(scores, {})).set_index(["label", "metric", "arm"])
    expected = scores[scores["metric"] == "dice"].groupby(["label", "loss"])["value"].mean()
    for label in ("left", "right"):
        assert table.loc[label, "dice", "a"]["mean"] == pytest.approx(expected[label, "a"])
    mean = table.loc["mean", "dice", "b"]
    assert mean["mean"] == pytest.approx(expected[:, "b"].mean())
    assert mean["low"] < mean["mean"] < mean["high"]
    assert (mean["seeds"], mean["networks"], mean["subjects"]) == (3, 15, 20)
    of_subjects = scores[(scores["metric"] == "dice") & (scores["loss"] == "b")].groupby("subject")["value"].mean()
    assert mean["sd"] == pytest.approx(of_subjects.std())


def test_means_are_those_of_the_summary_whatever_other_arms_do(make_scores):
    usual = {"dice": 0.8, "hd95": 2.0, "hd": 3.0, "specificity": 0.9}
    empty = {"dice": np.nan, "hd95": np.nan, "hd": np.nan, "specificity": 1.0}
    alarm = {"dice": 0.0, "hd95": np.inf, "hd": np.inf, "specificity": 0.9}
    scores = make_scores({"careful": {"a": usual, "b": empty}, "eager": {"a": usual, "b": alarm}})
    table = arm_means(questions(scores, {"b": 30.0})).set_index(["metric", "arm"])["mean"]
    summary = summarise(scores, {"b": 30.0}).query("label == 'lesion'").set_index(["metric", "loss"])["penalised_mean"]
    for key in (("dice", "careful"), ("dice", "eager"), ("hd95", "careful"), ("hd95", "eager")):
        assert table[key] == pytest.approx(summary[key])


def test_one_subject_has_no_interval(make_scores):
    table = arm_means(questions(make_scores({"a": {"x": {"dice": 0.5}}, "b": {"y": {"dice": np.nan}}}), {}))
    assert table["mean"].tolist() == pytest.approx([0.5, np.nan], nan_ok=True)
    assert table[["low", "high"]].isna().all(axis=None)


def test_intervals_end_where_the_metric_does(draw_scores):
    table = arm_means(questions(draw_scores({"a": 0.1}, seeds=1, folds=2, network_sd=0.1), {})).set_index("metric")
    assert table.loc["dice", "high"] == 1 > table.loc["dice", "mean"]
    assert table.loc["hd95", "low"] == 0 < table.loc["hd95", "mean"]
    assert table.loc["hd95", "high"] > 1


def test_means_of_networks(draw_scores):
    scores = draw_scores({"a": 0.0, "b": 0.05}, subjects=10, seeds=2)
    (dice, *_) = questions(scores, {})
    table = network_means(dice)
    assert len(table) == 2 * 2 * 5
    expected = scores[scores["metric"] == "dice"].groupby(["loss", "seed", "fold"])["value"].mean()
    for _, row in table.iterrows():
        assert row["mean"] == pytest.approx(expected[row["arm"], row["seed"], row["fold"]])
        assert row["subjects"] == 2


def test_the_ranking_is_stable_if_arms_differ_much(draw_scores):
    (dice, _, hd95, _) = questions(draw_scores({"poor": 0.0, "good": 0.1, "fair": 0.05}), {})
    for question in (dice, hd95):
        table = ranking(question, resamples=200)
        assert table["arm"].tolist() == ["good", "fair", "poor"]
        assert table["rank"].tolist() == table["rank_low"].tolist() == table["rank_high"].tolist() == [1, 2, 3]
        assert table["best"].tolist() == [1, 0, 0]


def test_equal_arms_share_the_first_rank(draw_scores):
    scores = draw_scores({"a": 0.0})
    twice = pd.concat([scores, scores.assign(loss="b")])
    table = ranking(questions(twice, {})[0], resamples=50)
    assert table["rank"].tolist() == [1, 1]
    assert table["best"].tolist() == [0.5, 0.5]


def test_arms_that_hardly_differ_change_ranks(draw_scores):
    table = ranking(questions(draw_scores({"a": 0.0, "b": 0.0005, "c": 0.0}), {})[0], resamples=300)
    assert table["best"].max() < 0.95
    assert (table["rank_high"] > table["rank_low"]).all()
    assert table["best"].sum() == pytest.approx(1)
