import numpy as np
import pandas as pd
import pytest

from tfseg.metrics import METRICS
from tfseg.statistics import paired_values
from tfseg.statistics.paired import fill_empty

INF, NAN = np.inf, np.nan


def only(paired):
    (each,) = paired
    return each


def test_the_subject_is_the_unit_and_seeds_are_averaged(make_scores):
    scores = make_scores(
        {
            ("focal", 0): {("a", "a1"): {"dice": 0.2}, ("a", "a2"): {"dice": 0.6}, "b": {"dice": 0.9}},
            ("focal", 1): {("a", "a1"): {"dice": 0.4}, ("a", "a2"): {"dice": 0.8}, "b": {"dice": 0.7}},
            ("dice", 0): {("a", "a1"): {"dice": 0.1}, ("a", "a2"): {"dice": 0.3}, "b": {"dice": 0.5}},
        }
    )
    each = only(paired_values(scores, {}))
    assert (each.label, each.metric, each.losses) == ("lesion", "dice", ["focal", "dice"])
    assert list(each.runs.columns) == [("focal", 0), ("focal", 1), ("dice", 0)]
    assert each.values.index.tolist() == ["a", "b"]
    assert each.values["focal"].tolist() == pytest.approx([(0.4 + 0.6) / 2, (0.9 + 0.7) / 2])
    assert each.values["dice"].tolist() == pytest.approx([0.2, 0.5])


def test_a_false_alarm_never_vanishes_from_a_pair(make_scores):
    empty = {"dice": NAN, "nsd": NAN, "hd95": NAN}
    alarm = {"dice": 0.0, "nsd": 0.0, "hd95": INF}
    found = {"dice": 0.8, "nsd": 0.9, "hd95": 2.0}
    scores = make_scores(
        {
            "careful": {"a": found, "b": empty, "c": empty},
            "eager": {"a": found, "b": alarm, "c": empty},
        }
    )
    values = {each.metric: each.values for each in paired_values(scores, {"b": 30.0})}
    assert values["dice"].loc["b"].tolist() == values["nsd"].loc["b"].tolist() == [1, 0]
    assert values["hd95"].loc["b"].tolist() == [0, 30]
    assert values["dice"].loc["a"].tolist() == [0.8, 0.8]
    assert values["dice"].index.tolist() == ["a", "b", "c"]
    assert values["dice"].loc["c"].isna().all(), "what all find empty is left out"


def test_an_alarm_of_one_seed_is_half_of_one(make_scores):
    scores = make_scores(
        {
            ("focal", 0): {"a": {"dice": NAN}},
            ("focal", 1): {"a": {"dice": 0.0}},
            ("dice", 0): {"a": {"dice": NAN}},
            ("dice", 1): {"a": {"dice": NAN}},
        }
    )
    assert only(paired_values(scores, {})).values.loc["a"].tolist() == [0.5, 1.0]


def test_empties_are_filled_case_by_case(make_scores):
    scores = make_scores(
        {
            "focal": {("a", "a1"): {"dice": 0.6}, ("a", "a2"): {"dice": NAN}, ("a", "a3"): {"dice": NAN}},
            "dice": {("a", "a1"): {"dice": 0.6}, ("a", "a2"): {"dice": 0.0}, ("a", "a3"): {"dice": NAN}},
        }
    )
    assert only(paired_values(scores, {})).values.loc["a"].tolist() == pytest.approx([0.8, 0.3])


def test_a_subject_that_was_not_scored_is_not_filled(make_scores):
    scores = make_scores({"focal": {"a": {"dice": 0.6}, "b": {"dice": 0.4}}, "dice": {"a": {"dice": 0.5}}})
    values = only(paired_values(scores, {})).values
    assert values.loc["b", "focal"] == 0.4
    assert np.isnan(values.loc["b", "dice"])


def test_the_mean_over_labels_is_each_subjects_own(make_scores):
    left = make_scores({"focal": {"a": {"dice": 0.2}, "b": {"dice": 0.4}}}, label="left")
    right = make_scores({"focal": {"a": {"dice": 0.8}, "b": {"dice": NAN}}}, label="right")
    paired = paired_values(pd.concat([left, right]), {})
    assert [(each.label, each.metric) for each in paired] == [("left", "dice"), ("right", "dice"), ("mean", "dice")]
    assert paired[-1].values["focal"].tolist() == pytest.approx([0.5, 0.4])


def test_the_order_of_rows_does_not_matter(draw_scores):
    scores = draw_scores({"focal": 0.0, "dice": 0.01})
    shuffled = scores.sample(frac=1, random_state=3)
    expected = {(each.label, each.metric): each.values for each in paired_values(scores, {})}
    for each in paired_values(shuffled, {}):
        pd.testing.assert_frame_equal(each.values, expected[each.label, each.metric], check_like=True)


def test_every_metric_is_filled_with_its_best(make_scores):
    compared = [name for name, metric in METRICS.items() if metric.better]
    nothing, something = dict.fromkeys(compared, NAN), dict.fromkeys(compared, 0.3)
    filled = fill_empty(make_scores({"focal": {"a": nothing}, "dice": {"a": something}}))
    got = filled[filled["loss"] == "focal"].set_index("metric")["value"].to_dict()
    assert {name for name, value in got.items() if value == 0} == {"hd", "hd95", "assd", "masd"}
    assert {value for value in got.values()} == {0, 1}


def test_volumes_and_counts_are_not_compared(make_scores):
    scores = make_scores({"focal": {"a": {"volume_truth_ml": 3.0, "lesions_false": 2.0, "my_score": 1.0}}})
    assert paired_values(scores, {}) == []


def test_what_is_wrong_with_scores_is_said(make_scores):
    scores = make_scores({"focal": {"a": {"hd": INF}}})
    with pytest.raises(ValueError, match=r"diagonal_mm: expected .* missing \['a'\]"):
        paired_values(scores, {})
    with pytest.raises(ValueError, match=r"scores: expected the columns .* missing seed"):
        paired_values(scores.drop(columns="seed"), {})
    with pytest.raises(ValueError, match="expected every case once, received a twice"):
        paired_values(pd.concat([scores, scores]), {"a": 1.0})
