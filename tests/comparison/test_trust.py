"""Uncertainty in a comparison: scores, tables, and the part of the report."""

import pandas as pd
import pytest

from tfseg.runs.folder import read_scores


@pytest.fixture(scope="module")
def out(compare, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trust") / "cmp"
    compare("dice,ce", folder, "uncertainty.samples=2", "uncertainty.temperature=one")
    return folder


def test_probabilities_are_compared_like_other_metrics(out):
    tests = pd.read_csv(out / "tests.csv")
    own = tests[tests["metric"].isin(["ece_band", "ece_band_dropout", "nll_volume_calibrated", "retention_dice"])]
    assert set(own["role"]) == {"exploratory"} and own["metric"].nunique() == 4
    assert "entropy_mean" not in set(tests["metric"]), "no direction is better"
    assert "entropy_mean_dropout" in set(read_scores(out / "scores.csv")["metric"])


def test_sources_and_flags_have_a_row_per_arm_and_label(out):
    sources, flags = (pd.read_csv(out / name) for name in ("sources.csv", "flags.csv"))
    assert set(sources["arm"]) == set(flags["arm"]) == {"dice", "ce"}
    assert set(sources["source"]) == {"dropout", "calibrated"} and set(flags["source"]) == {"plain", "dropout"}
    assert sources["label"].nunique() == 3 and flags["label"].nunique() == 2
    scores = read_scores(out / "scores.csv")
    liver = scores[(scores["label"] == "liver") & (scores["loss"] == "ce")].groupby("metric")["value"].mean()
    row = sources.query("arm == 'ce' and label == 'liver' and metric == 'nll_band' and source == 'calibrated'").iloc[0]
    assert row["difference"] == pytest.approx(liver["nll_band_calibrated"] - liver["nll_band"])
