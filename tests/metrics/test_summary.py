import numpy as np
import pandas as pd
import pytest

from tfseg.core.geometry import diagonal_mm
from tfseg.metrics import score, subject_values, summarise
from tfseg.metrics.summary import count_outcomes

INF, NAN = np.inf, np.nan


def rows(metric, by_case, *, loss="dice", seed=0, label="lesion", hd=1.0, specificity=0.9):
    """Rows of one metric, {(subject, case): value}, and the hd and specificity that every case needs."""
    values = {"hd": hd, "specificity": specificity}
    return pd.DataFrame(
        [
            (loss, seed, 0, subject, case, label, name, value)
            for (subject, case), of_metric in by_case.items()
            for name, value in {**values, metric: of_metric}.items()
        ],
        columns=["loss", "seed", "fold", "subject", "case", "label", "metric", "value"],
    )


def row(table, metric, label="lesion", loss="dice"):
    found = table[(table["metric"] == metric) & (table["label"] == label) & (table["loss"] == loss)]
    assert len(found) == 1
    return found.iloc[0]


def test_the_subject_is_the_unit():
    scores = rows("dice", {("a", "a1"): 0.2, ("a", "a2"): 0.4, ("a", "a3"): 0.6, ("b", "b1"): 0.8})
    got = row(summarise(scores, {}), "dice")
    assert got["n"] == 2
    assert got["mean_finite"] == got["median"] == got["penalised_mean"] == pytest.approx(0.6)
    assert got["sd_finite"] == pytest.approx(0.4 / 2**0.5)


def test_seeds_are_averaged_per_subject_first():
    scores = pd.concat(
        [
            rows("dice", {("a", "a1"): 0.2, ("a", "a2"): 0.4, ("b", "b1"): 0.9}, seed=0),
            rows("dice", {("a", "a1"): 0.5, ("a", "a2"): NAN, ("b", "b1"): 0.7}, seed=1),
        ]
    )
    values = subject_values(scores, {}).query("metric == 'dice'")
    assert values["subject"].tolist() == ["a", "b"]
    assert values["raw"].tolist() == pytest.approx([(0.3 + 0.5) / 2, 0.8])


def test_infinite_distances_count_as_largest_and_cost_the_diagonal():
    scores = rows("hd", {("a", "a"): 2.0, ("b", "b"): INF, ("c", "c"): 6.0, ("d", "d"): NAN}, specificity=1.0)
    got = row(summarise(scores, {"b": 100.0}), "hd")
    assert got["n"] == 3
    assert got["median"] == 6
    assert got["mean_finite"] == 4
    assert got["sd_finite"] == pytest.approx(8**0.5)
    assert got["penalised_mean"] == 36
    assert got["both_empty"] == got["missed"] == 1
    assert got["false_alarm"] == 0


def test_a_median_among_failures_is_infinite():
    scores = rows("hd", {("a", "a"): 2.0, ("b", "b"): INF, ("c", "c"): INF, ("d", "d"): 3.0})
    got = row(summarise(scores, {"b": 10.0, "c": 20.0}), "hd")
    assert got["median"] == INF
    assert got["penalised_mean"] == 35 / 4


def test_a_failed_case_does_not_erase_the_finite_ones_of_its_subject():
    values = subject_values(rows("hd", {("a", "a1"): 4.0, ("a", "a2"): INF, ("a", "a3"): NAN}), {"a2": 10.0})
    got = values[values["metric"] == "hd"].iloc[0]
    assert (got["raw"], got["finite"], got["penalised"]) == (INF, 4, 7)


def test_mean_over_subjects_per_label_first_then_over_labels():
    scores = pd.concat(
        [
            rows("dice", {("a", "a"): 0.2, ("b", "b"): 0.4}, label="left"),
            rows("dice", {("a", "a"): 0.9, ("b", "b"): NAN}, label="right"),
            rows("dice", {("a", "a"): NAN, ("b", "b"): NAN}, label="absent"),
        ]
    )
    table = summarise(scores, {})
    assert row(table, "dice", "absent")["n"] == 0
    assert np.isnan(row(table, "dice", "absent")["median"])
    got = row(table, "dice", "mean")
    assert got["n"] == 2
    assert got["mean_finite"] == got["penalised_mean"] == got["median"] == pytest.approx((0.3 + 0.9) / 2)


def test_counts_of_the_mean_are_sums_and_its_n_takes_failed_subjects_in():
    scores = pd.concat(
        [
            rows("hd", {("a", "a"): INF, ("b", "b"): 2.0, ("c", "c"): NAN}, label="left", specificity=1.0),
            rows("hd", {("a", "a"): INF, ("b", "b"): INF, ("c", "c"): NAN}, label="right"),
        ]
    )
    got = row(summarise(scores, {"a": 8.0, "b": 4.0}), "hd", "mean")
    assert got["n"] == 2
    assert (got["both_empty"], got["missed"], got["false_alarm"]) == (2, 1, 2)
    assert got["median"] == INF
    assert got["mean_finite"] == 2
    assert got["penalised_mean"] == ((8 + 2) / 2 + (8 + 4) / 2) / 2


def test_volumes_have_no_mean_over_labels():
    table = summarise(rows("volume_truth_ml", {("a", "a"): 0.2}), {})
    assert row(table, "volume_truth_ml")["mean_finite"] == 0.2
    assert set(table.loc[table["label"] == "mean", "metric"]) == {"hd", "specificity"}


def test_columns_and_order_follow_the_input():
    scores = pd.concat([rows("dice", {("a", "a"): 0.5}, loss=loss) for loss in ("tversky", "dice")])
    table = summarise(scores, {})
    assert list(table.columns) == [
        "loss", "label", "metric", "n", "both_empty", "missed", "false_alarm",
        "median", "mean_finite", "sd_finite", "penalised_mean",
    ]  # fmt: skip
    assert table["loss"].tolist() == ["tversky"] * 6 + ["dice"] * 6
    assert table["label"].tolist() == (["lesion"] * 3 + ["mean"] * 3) * 2
    assert table["metric"].tolist() == ["hd", "specificity", "dice"] * 4


@pytest.mark.parametrize("spacing_mm", [None, (2.0, 1.0), (2.0, 1.0, 3.0)])
def test_outcomes_of_scored_masks_with_and_without_volumes(spacing_mm):
    shape = (4, 5, 3)[: len(spacing_mm)] if spacing_mm else (4, 5)
    empty, full = np.zeros((2, *shape), np.uint8)
    part = empty.copy()
    full[:] = 1
    part[0, 0] = 1
    masks = {
        "both_empty": [(empty, empty)],
        "missed": [(part, empty), (full, empty)],
        "false_alarm": [(empty, part), (empty, full), (empty, full)],
        "found": [(part, full), (full, part), (part, part), (part, np.roll(part, 2, axis=0))],
    }
    tables = [
        score(*pair, labels={1: "lesion"}, spacing_mm=spacing_mm).assign(
            loss="dice", seed=0, fold=0, subject=outcome, case=f"{outcome} {i}"
        )
        for outcome, pairs in masks.items()
        for i, pair in enumerate(pairs)
    ]
    scores = pd.concat(tables, ignore_index=True)
    diagonal = diagonal_mm(shape, spacing_mm or (1, 1))
    table = summarise(scores, dict.fromkeys(scores["case"], diagonal))
    for metric in ("dice", "hd95", "accuracy"):
        for label in ("lesion", "mean"):
            got = row(table, metric, label)
            assert (got["both_empty"], got["missed"], got["false_alarm"]) == (1, 2, 3)
    assert row(table, "dice")["n"] == row(table, "hd")["n"] == 3
    assert row(table, "volume_truth_ml")["n"] == (4 if len(shape) == 3 else 0)
    assert row(table, "hd")["penalised_mean"] <= diagonal


def test_outcomes_are_counted_in_every_seed():
    scores = pd.concat([rows("hd", {("a", "a"): INF}, seed=seed, specificity=1.0) for seed in range(3)])
    got = row(summarise(scores, {"a": 9.0}), "hd")
    assert (got["n"], got["missed"]) == (1, 3)


def test_the_input_is_left_alone():
    scores = rows("hd", {("a", "a"): INF, ("b", "b"): NAN})
    before = scores.copy()
    summarise(scores, {"a": 9.0})
    pd.testing.assert_frame_equal(scores, before)


def test_wrong_scores_are_refused():
    scores = rows("dice", {("a", "a"): 0.5, ("b", "b"): 0.6})
    with pytest.raises(ValueError, match=r"scores: expected the columns loss, .* missing fold, case"):
        summarise(scores.drop(columns=["fold", "case"]), {})
    with pytest.raises(ValueError, match="scores: expected every case once, received b twice"):
        summarise(pd.concat([scores, scores[scores["case"] == "b"].assign(fold=1)]), {})
    with pytest.raises(ValueError, match='scores: expected labels other than "mean"'):
        summarise(scores.assign(label="mean"), {})
    with pytest.raises(ValueError, match="scores: expected hd and specificity of every case"):
        summarise(scores[scores["metric"] != "specificity"], {})
    with pytest.raises(ValueError, match="scores: expected hd and specificity of every case"):
        summarise(scores[(scores["metric"] != "hd") | (scores["case"] == "a")], {})


def test_a_failed_case_needs_a_diagonal():
    scores = rows("hd", {("a", "a"): INF, ("b", "b"): 1.0})
    for diagonals in ({}, {"b": 5.0}, {"a": 0.0}):
        with pytest.raises(ValueError, match="diagonal_mm: expected the diagonal of every failed case, missing"):
            summarise(scores, diagonals)


def test_a_quantity_that_is_not_in_the_table_is_summarised():
    scores = rows("dice", {("a", "a"): 0.5, ("b", "b"): 0.7})
    ece = pd.DataFrame(
        [("dice", 0, 0, name, name, "all", "my_score", value) for name, value in (("a", 0.1), ("b", INF))],
        columns=scores.columns,
    )
    table = summarise(pd.concat([scores, ece]), {})
    got = row(table, "my_score", "all")
    assert (got["n"], got["median"], got["mean_finite"], got["penalised_mean"]) == (2, INF, 0.1, INF)
    assert pd.isna(got["missed"])
    assert row(table, "dice")["missed"] == row(table, "dice", "mean")["missed"] == 0
    assert not ((table["metric"] == "my_score") & (table["label"] == "mean")).any()


def test_arms_of_one_loss_are_kept_apart():
    first = rows("dice", {("a", "a"): 0.5}).assign(arm="slow")
    second = rows("dice", {("a", "a"): 0.7}).assign(arm="quick")
    table = summarise(pd.concat([first, second]), {})
    assert list(table.columns[:4]) == ["arm", "loss", "label", "metric"]
    means = table[(table["metric"] == "dice") & (table["label"] == "lesion")]
    assert dict(zip(means["arm"], means["mean_finite"], strict=True)) == {"slow": 0.5, "quick": 0.7}
    assert set(table["loss"]) == {"dice"}


def test_an_arm_whose_folds_have_chosen_their_losses_is_one_arm():
    first = rows("dice", {("a", "a"): 0.5}, loss="focal:alpha=0.5").assign(fold=0)
    second = rows("dice", {("b", "b"): 0.7}, loss="focal:alpha=0.7").assign(fold=1)
    got = row(
        summarise(pd.concat([first, second]).assign(arm="focal (tuned)"), {}),
        *("dice", "lesion", "focal:alpha=0.5; focal:alpha=0.7"),
    )
    assert (got["n"], got["missed"], got["mean_finite"]) == (2, 0, pytest.approx(0.6))


def test_cases_with_empty_masks_are_counted_over_seeds_and_labels():
    good = {("a", "a1"): 0.5, ("b", "b1"): 0.5}
    scores = pd.concat(
        [
            rows("dice", good, seed=0),
            rows("dice", {("a", "a1"): 0.0}, seed=1, hd=INF, specificity=1.0),
            rows("dice", {("b", "b1"): NAN}, seed=1, hd=NAN, specificity=1.0),
            rows("dice", {("a", "a1"): 0.0}, label="other", hd=INF, specificity=0.8),
        ]
    )
    counts = count_outcomes(scores).set_index(["arm", "label"])
    columns = ["cases", "both_empty", "missed", "false_alarm"]
    assert counts.loc[("dice", "lesion"), columns].tolist() == [4, 1, 1, 0]
    assert counts.loc[("dice", "other"), columns].tolist() == [1, 0, 0, 1]
    assert counts.loc[("dice", "mean"), columns].tolist() == [5, 1, 1, 1]
