"""Differences of sources within an arm, and subjects flagged by their uncertainty."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from tfseg.statistics import (
    compare_arms,
    described_findings,
    flagging,
    has_probabilities,
    questions,
    source_differences,
    study_k,
)


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    """Twelve subjects, two seeds, two arms: dropout lowers the error of `ce` by 0.02, and temperature by 0.03."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(12):
        dice, uncertainty = 0.9 - 0.02 * subject, 0.1 + 0.01 * subject
        for seed in range(2):
            for arm, shift in (("ce", 0.0), ("dice", 0.05)):
                known = {"loss": arm, "seed": seed, "fold": subject % 3, "subject": f"s{subject:02}"}
                ece = 0.1 + shift + rng.normal(0, 0.01)
                values = {
                    "dice": dice,
                    "ece_band": ece,
                    "ece_band_dropout": ece - (0.02 if arm == "ce" else 0) + rng.normal(0, 0.002),
                    "ece_band_calibrated": ece - 0.03 + rng.normal(0, 0.002),
                    "error_auroc": rng.normal(0.8, 0.05),
                    "uncertainty": uncertainty if arm == "ce" else rng.random(),
                    "entropy_mean": 0.01 + shift,
                    "entropy_sd": 0.02,
                    "probability_mean": 0.1,
                    "probability_sd": 0.2,
                }
                rows += [
                    {**known, "case": f"s{subject:02}", "label": "liver", "metric": metric, "value": value}
                    for metric, value in values.items()
                ]
    return pd.DataFrame(rows)


def test_sources_are_compared_within_an_arm(scores):
    table = source_differences(scores).set_index(["arm", "source"])
    assert set(table["metric"]) == {"ece_band"}, "only what two sources have"
    for (arm, source), expected in {
        ("ce", "dropout"): -0.02,
        ("ce", "calibrated"): -0.03,
        ("dice", "dropout"): 0.0,
        ("dice", "calibrated"): -0.03,
    }.items():
        row = table.loc[(arm, source)]
        assert row["difference"] == pytest.approx(expected, abs=0.002)
        assert row["low"] < row["difference"] < row["high"] and (row["networks"], row["subjects"]) == (6, 12)
        assert (row["high"] < 0) == (expected < 0)
    of_ce = scores[scores["loss"] == "ce"].pivot(index=["subject", "seed"], columns="metric", values="value")
    mean = (of_ce["ece_band_dropout"] - of_ce["ece_band"]).mean()
    assert table.loc[("ce", "dropout"), "difference"] == pytest.approx(mean)


def test_an_uncertainty_that_orders_subjects_flags_them(scores):
    table = flagging(scores).set_index("arm")
    assert set(table["source"]) == {"plain"} and set(table["subjects"]) == {12}
    assert table.loc["ce", ["correlation", "correlation_low", "correlation_high"]].to_list() == pytest.approx([-1] * 3)
    risk = np.sort(0.1 + 0.02 * np.arange(12))
    assert table.loc["ce", "aurc"] == pytest.approx((np.cumsum(risk) / np.arange(1, 13)).mean())
    chance = table.loc["dice"]
    assert chance["correlation_low"] < chance["correlation"] < chance["correlation_high"]
    assert chance["aurc_low"] < chance["aurc"] < chance["aurc_high"]
    own = scores[(scores["loss"] == "dice")].groupby(["metric", "subject"])["value"].mean()
    assert chance["correlation"] == pytest.approx(scipy.stats.spearmanr(own["uncertainty"], own["dice"]).statistic)


def test_too_few_subjects_have_no_correlation(scores):
    table = flagging(scores[scores["subject"].isin(["s00", "s01"])])
    assert table[["correlation", "aurc", "aurc_low"]].isna().all(axis=None)


def test_scores_of_masks_have_no_probabilities(scores):
    assert has_probabilities(scores)
    masks = scores[scores["metric"] == "dice"]
    assert not has_probabilities(masks)
    assert source_differences(masks).empty


def test_calibration_is_described_in_a_comparison_with_the_lower_value_better(scores):
    tests = compare_arms(questions(scores, {}))
    row = tests[tests["metric"] == "ece_band"].iloc[0]
    assert (row["role"], row["verdict"]) == ("exploratory", "untested")
    assert row["difference"] == pytest.approx(-0.05, abs=0.01) and row["high"] < 0
    (sentence,) = described_findings(tests, "liver", ["ece_band", "nll_band"])
    started = "ECE in the band of liver: ce has the best mean; an interval separates it from dice: by 0.0"
    assert sentence.startswith(started) and "better" not in sentence
    assert "95 % interval 0.0" in sentence
    in_nats = tests.replace({"metric": {"ece_band": "nll_band"}})
    assert re.search(
        r"by [\d.]+ nats \(95 % interval [\d.]+ to [\d.]+ nats\)", *described_findings(in_nats, "liver", ["nll_band"])
    )
    (unclear,) = described_findings(tests, "liver", ["error_auroc"])
    assert re.fullmatch(
        r"AUROC of errors in the band of liver: (ce|dice) has the best mean; no interval separates it from (ce|dice)\.",
        unclear,
    )


def test_no_interval_separates_arms_of_one_network_each(scores):
    one = scores[(scores["seed"] == 0)].assign(fold=0)
    tests = compare_arms(questions(one, {}))
    row = tests[tests["metric"] == "ece_band"].iloc[0]
    assert row["networks"] == 1 and row["high"] < 0
    (sentence,) = described_findings(tests, "liver", ["ece_band"])
    assert sentence == (
        "ECE in the band of liver: ce has the best mean; with one network of an arm, another training may change the "
        "order."
    )


def test_study_k_has_a_row_per_subject_and_a_column_per_arm(scores):
    columns = study_k(scores, "")
    assert list(columns) == ["dice", "entropy_mean", "entropy_sd", "probability_mean", "probability_sd"]
    assert columns["entropy_mean"].shape == (12, 2)
    assert columns["entropy_mean"].mean().to_dict() == pytest.approx({"ce": 0.01, "dice": 0.06})
