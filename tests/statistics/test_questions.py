import numpy as np
import pandas as pd
import pytest

from tfseg.core.errors import DataError
from tfseg.metrics import METRICS, summarise
from tfseg.statistics import questions
from tfseg.statistics.questions import nan_mean

INF, NAN = np.inf, np.nan
EMPTY = {"dice": NAN, "nsd": NAN, "hd95": NAN}
ALARM = {"dice": 0.0, "nsd": 0.0, "hd95": INF}
OVERLAP = {"dice": 0.8, "nsd": 0.9, "hd95": 2.0}


def only(scores, diagonal_mm=None):
    (question,) = questions(scores, diagonal_mm or {})
    return question


def by_metric(scores, diagonal_mm):
    return {question.metric: question for question in questions(scores, diagonal_mm)}


def test_values_by_seed_and_subject(make_scores):
    scores = make_scores(
        {
            ("focal", 0): {("a", "a1"): {"dice": 0.2}, ("a", "a2"): {"dice": 0.6}, "b": {"dice": 0.9}},
            ("focal", 1): {("a", "a1"): {"dice": 0.4}, ("a", "a2"): {"dice": 0.8}, "b": {"dice": 0.7}},
            ("dice", 0): {("a", "a1"): {"dice": 0.1}, ("a", "a2"): {"dice": 0.3}, "b": {"dice": 0.5}},
        }
    )
    question = only(scores)
    assert (question.label, question.metric, question.arms) == ("lesion", "dice", ("focal", "dice"))
    assert (question.seeds, question.subjects) == ((0, 1), ("a", "b"))
    np.testing.assert_allclose(question.of_arm("focal"), [[0.4, 0.9], [0.6, 0.7]])
    np.testing.assert_allclose(question.of_arm("dice"), [[0.2, 0.5], [NAN, NAN]])
    np.testing.assert_allclose(question.differences("focal", "dice"), [[0.2, 0.4], [NAN, NAN]])
    assert question.values["focal"].to_dict() == pytest.approx({"a": 0.5, "b": 0.8})


def test_a_false_alarm_never_vanishes_from_a_pair(make_scores):
    scores = make_scores(
        {
            "careful": {"a": OVERLAP, "b": EMPTY, "c": EMPTY},
            "eager": {"a": OVERLAP, "b": ALARM, "c": EMPTY},
        }
    )
    asked = by_metric(scores, {"b": 30.0})
    for metric, expected in (("dice", 1), ("nsd", 1), ("hd95", -30)):
        got = asked[metric].differences("careful", "eager")
        np.testing.assert_allclose(got, [[0, expected, NAN]], err_msg="what both find empty is left out")
    np.testing.assert_allclose(asked["dice"].of_arm("careful"), [[0.8, NAN, NAN]])
    np.testing.assert_allclose(asked["hd95"].of_arm("eager"), [[2, 30, NAN]])


def test_a_third_arm_never_changes_a_pair(make_scores):
    two = {"careful": {"a": OVERLAP, "b": EMPTY}, "other": {"a": OVERLAP, "b": EMPTY}}
    pair = only(make_scores({name: {s: {"dice": v["dice"]} for s, v in of.items()} for name, of in two.items()}))
    three = two | {"eager": {"a": OVERLAP, "b": ALARM}}
    among = by_metric(make_scores(three), {"b": 9.0})["dice"]
    np.testing.assert_array_equal(among.differences("careful", "other"), pair.differences("careful", "other"))
    assert np.isnan(among.differences("careful", "other")[0, 1])
    assert among.differences("careful", "eager")[0, 1] == 1


def test_an_alarm_of_one_seed_is_half_of_one(make_scores):
    scores = make_scores(
        {
            ("focal", 0): {"a": {"dice": NAN}},
            ("focal", 1): {"a": {"dice": 0.0}},
            ("dice", 0): {"a": {"dice": NAN}},
            ("dice", 1): {"a": {"dice": NAN}},
        }
    )
    assert only(scores).differences("focal", "dice").tolist() == [[0], [-1]]


def test_empties_are_filled_case_by_case(make_scores):
    scores = make_scores(
        {
            "focal": {("a", "a1"): {"dice": 0.6}, ("a", "a2"): {"dice": NAN}, ("a", "a3"): {"dice": NAN}},
            "dice": {("a", "a1"): {"dice": 0.5}, ("a", "a2"): {"dice": 0.0}, ("a", "a3"): {"dice": NAN}},
        }
    )
    assert only(scores).differences("focal", "dice").tolist() == [[pytest.approx((0.1 + 1.0) / 2)]]


def test_a_network_that_one_arm_lacks_is_not_compared(make_scores):
    rows = {("focal", 0): {"a": 0.6, "b": 0.4}, ("focal", 1): {"a": 0.7, "b": 0.5}, ("dice", 0): {"a": 0.5, "b": 0.5}}
    scores = make_scores({run: {s: {"dice": v} for s, v in of.items()} for run, of in rows.items()})
    np.testing.assert_allclose(only(scores).differences("focal", "dice"), [[0.1, -0.1], [NAN, NAN]])


def test_the_mean_over_labels_weighs_labels_alike(make_scores):
    left = make_scores({"focal": {"a": {"dice": 0.2}, "b": {"dice": 0.4}, "c": {"dice": 0.6}}}, label="left")
    right = make_scores({"focal": {"a": {"dice": NAN}, "b": {"dice": 0.9}, "c": {"dice": NAN}}}, label="right")
    asked = questions(pd.concat([left, right]), {})
    assert [(each.label, each.metric) for each in asked] == [("left", "dice"), ("right", "dice"), ("mean", "dice")]
    of_arm = asked[-1].of_arm("focal")
    assert of_arm.mean() == pytest.approx((0.4 + 0.9) / 2)
    assert asked[-1].values["focal"].tolist() == pytest.approx([0.2, 0.65, 0.6])


def test_the_mean_over_labels_is_each_subjects_own_if_all_have_all(make_scores):
    values = {"left": [0.2, 0.4], "right": [0.8, 0.7]}
    parts = [
        make_scores({"focal": {s: {"dice": v} for s, v in zip("ab", of, strict=True)}}, label=label)
        for label, of in values.items()
    ]
    np.testing.assert_allclose(questions(pd.concat(parts), {})[-1].of_arm("focal"), [[0.5, 0.55]])


def test_means_are_those_of_the_summary(make_scores):
    rng = np.random.default_rng(0)
    parts = []
    for label in ("left", "right", "rare"):
        runs = {
            (loss, seed): {
                f"s{i}": {
                    "dice": NAN if label == "rare" and i % 3 else rng.uniform(),
                    "hd95": rng.choice([INF, 1.0, 7.0]),
                    "hd": 1.0,
                    "specificity": 0.9,
                }
                for i in range(8)
            }
            for loss in ("focal", "dice")
            for seed in (0, 1)
        }
        parts.append(make_scores(runs, label=label))
    scores = pd.concat(parts)
    diagonals = {f"s{i}": 50.0 + i for i in range(8)}
    summary = summarise(scores, diagonals).set_index(["loss", "label", "metric"])["penalised_mean"]
    for question in questions(scores, diagonals):
        for arm in question.arms:
            mean = np.nanmean(nan_mean(question.of_arm(arm)))
            assert mean == pytest.approx(summary[arm, question.label, question.metric]), (question.label, arm)


def test_rows_in_any_order_and_an_arm_column(draw_scores):
    scores = draw_scores({"focal": 0.0, "dice": 0.01})
    shuffled = scores.sample(frac=1, random_state=3).assign(arm=lambda table: table["loss"], loss="same")
    others = by_metric(shuffled, {})
    for question in questions(scores, {}):
        expected = question.differences("focal", "dice")
        np.testing.assert_allclose(others[question.metric].differences("focal", "dice"), expected)


def test_only_metrics_with_a_direction_are_asked(make_scores):
    scores = make_scores({"focal": {"a": dict.fromkeys([*METRICS, "my_score"], 1.0)}})
    assert [question.metric for question in questions(scores, {})] == [name for name in METRICS if METRICS[name].better]


def test_label_maps_of_no_network_are_one(make_scores):
    scores = make_scores({"focal": {"a": {"dice": 0.5}}, "dice": {"a": {"dice": 0.4}}}).assign(seed=NAN, fold=NAN)
    assert only(scores).differences("focal", "dice").tolist() == [[pytest.approx(0.1)]]


def test_wrong_scores_are_refused(make_scores):
    scores = make_scores({"focal": {"a": {"hd": INF}}})
    with pytest.raises(DataError, match=r"diagonal_mm: expected .* missing \['a'\]"):
        questions(scores, {})
    with pytest.raises(DataError, match=r"scores: expected the columns .* missing seed"):
        questions(scores.drop(columns="seed"), {})
    with pytest.raises(DataError, match="expected every case once, received a twice"):
        questions(pd.concat([scores, scores]), {"a": 1.0})
    moved = pd.concat([scores.assign(value=1.0), scores.assign(value=1.0, loss="dice", fold=1)])
    with pytest.raises(DataError, match="expected every subject in one fold per seed, received a in several"):
        questions(moved, {})
