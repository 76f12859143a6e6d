"""Uncertainty in a comparison: scores, tables, and the part of the report."""

import pandas as pd
import pytest

from tfseg.comparison.folder import read_comparison
from tfseg.core.errors import RunError
from tfseg.evaluation.scored import compared_metrics
from tfseg.reports.comparison import write_comparison
from tfseg.runs.folder import read_scores


@pytest.fixture(scope="module")
def out(compare, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trust") / "cmp"
    one_split = "folds={scheme: holdout, ratio: [2, 1, 3]}"
    compare(
        "dice,ce",
        folder,
        "uncertainty.samples=2",
        "model.dropout=[0.15, 0.3]",
        "uncertainty.temperature=one",
        one_split,
    )
    return folder


def test_probabilities_are_compared_like_other_metrics(out):
    tests = pd.read_csv(out / "tests.csv")
    own = tests[tests["metric"].isin(["ece_band", "ece_band_dropout", "nll_volume_calibrated", "retention_dice"])]
    assert set(own["role"]) == {"exploratory"} and own["metric"].nunique() == 4
    assert "entropy_mean" not in set(tests["metric"]), "no direction is better"
    assert set(tests["metric"]) == set(compared_metrics(read_comparison(out).runs[0].config))
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


def test_the_report_shows_what_the_scores_say(out, read_page):
    page = read_page((out / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    scores = read_scores(out / "scores.csv")
    (table,) = [each for each in page.tables if each[0][:2] == ["Loss", "probabilities"] and len(each[0]) == 10]
    assert [(row[0], row[1]) for row in table[1:]] == [
        (arm, source) for arm in ("dice", "ce") for source in ("plain", "dropout", "calibrated")
    ]
    own = scores[(scores["loss"] == "ce") & (scores["metric"] == "ece_band_dropout")]
    mean = own.groupby(["label", "subject"])["value"].mean().groupby("label").mean().mean()
    means = pd.read_csv(out / "means.csv").query("label == 'mean' and metric == 'ece_band_dropout' and arm == 'ce'")
    assert means["mean"].iloc[0] == pytest.approx(mean)
    assert table[5][2] == f"{mean:.4f} {means['low'].iloc[0]:.4f} to {means['high'].iloc[0]:.4f}"
    (as_printed,) = [each for each in page.tables if each[0][:3] == ["Loss", "Dice", "mean entropy (nats)"]]
    lines = (out / "tables" / "by_uncertainty.md").read_text().splitlines()
    assert lines[0].split(" | ")[1:3] == ["Dice", "uncertainty, mean"]
    assert [line.strip("| ").split(" | ") for line in lines[2:4]] == as_printed[1:]
    assert "Best and worst subject of every loss" in page.text
    images = [attributes for tag, attributes in page.tags if tag == "img" and "entropy" in (attributes["alt"] or "")]
    assert len([each for each in images if "Violin" not in (each["alt"] or "")]) == 4, "two losses, best and worst"
    assert "One-way ANOVA of the mean entropies" in page.text


def test_a_missing_file_of_curves_is_named(out):
    path = next(out.glob("runs/ce_s0/fold_*/curves.csv"))
    kept = path.read_text()
    path.unlink()
    try:
        with pytest.raises(RunError, match=r"curves\.csv"):
            write_comparison(out)
    finally:
        path.write_text(kept)
