"""Tables in the shapes of studies."""

import numpy as np
import pandas as pd
import pytest

from tfseg.reports.tables import Table, study_tables, values_by_case
from tfseg.statistics import questions, t_interval

METRICS = ("accuracy", "dice", "iou", "precision", "recall", "specificity", "hd", "hd95", "masd", "nsd")
FOLDS = {"a": 0, "b": 0, "c": 1}


def made_scores() -> pd.DataFrame:
    """Two losses on three subjects; the value of subject a is 0.1, of b 0.2, of c 0.6; 0.05 more under the second."""
    rows = [
        (loss, seed, FOLDS[subject], subject, subject, "organ", metric, value + gain + shift)
        for loss, gain in (("dice", 0.0), ("a_b", 0.05))
        for seed, shift in ((0, -0.01), (1, 0.01))
        for subject, value in (("a", 0.1), ("b", 0.2), ("c", 0.6))
        for metric in METRICS
    ]
    return pd.DataFrame(rows, columns=["loss", "seed", "fold", "subject", "case", "label", "metric", "value"])


@pytest.fixture
def made() -> dict[str, Table]:
    tables = study_tables(questions(made_scores(), {}), FOLDS, {"dice": 3.5, "a_b": 2.0}, tolerance_mm=2.0, unit="mm")
    return {table.name: table for table in tables}


def test_by_fold_is_the_mean_of_subjects_then_of_folds(made):
    rows = made["by_fold"].numbers.set_index(["loss", "fold"])
    assert rows.loc[("dice", "0"), "Dice (%)"] == pytest.approx(14)  # the first seed is 0.01 below the mean
    assert rows.loc[("dice", "1"), "Dice (%)"] == pytest.approx(59)
    assert rows.loc[("dice", "mean"), "Dice (%)"] == pytest.approx(36.5)
    low, high = t_interval(np.array([0.14, 0.59]))
    assert rows.loc[("dice", "mean"), "HD (mm), 95 % interval"] == f"{low:.2f} to {high:.2f}"
    assert pd.isna(rows.loc[("dice", "0"), "HD (mm), 95 % interval"])


def test_the_interval_of_a_printed_study():
    """Neyestanak 2025 prints 43.22 to 52.92 for these five distances; Student's interval agrees to rounding."""
    assert t_interval(np.array([46.4, 42.5, 52.7, 50.6, 48.1])) == pytest.approx((43.22, 52.92), abs=0.04)
    assert np.isnan(t_interval(np.array([1.0]))).all()


def test_the_other_shapes(made):
    assert made["by_class"].numbers.iloc[1].to_dict() == {
        "loss": "a_b",
        "accuracy, organ": pytest.approx(0.35),
        "IoU, organ": pytest.approx(0.35),
    }
    assert made["by_surface"].numbers.iloc[0].to_dict() == {
        "label": "organ",
        "loss": "dice",
        "Dice": pytest.approx(0.3),
        "MSD (mm)": pytest.approx(0.3),
        "NSD at 2 mm": pytest.approx(0.3),
        "epochs": 3.5,
    }
    prepared = made_scores().assign(metric=lambda table: table["metric"] + "_prepared")
    both = questions(pd.concat([made_scores(), prepared.assign(value=prepared["value"] / 2)]), {})
    by_surface = next(table for table in study_tables(both, {}, {}, 2.0, "mm") if table.name == "by_surface")
    assert by_surface.numbers.iloc[0][["Dice", "Dice, prepared grid"]].tolist() == pytest.approx([0.3, 0.15])
    assert list(made["by_label"].numbers.columns) == ["loss", "Dice, organ", "HD95 (mm), organ"]


def test_texts_have_the_decimals_of_their_metric(made):
    assert made["by_label"].texts().iloc[0].tolist() == ["dice", "0.3000", "0.3000"]
    small = Table("x", "", pd.DataFrame({"p": [2.23e-4, np.nan]}), {"p": ".2e"})
    assert small.texts()["p"].tolist() == ["2.23e-04", "–"]
    assert made["by_surface"].to_markdown().splitlines()[:3] == [
        "| label | loss | Dice | MSD (mm) | NSD at 2 mm | epochs |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| organ | dice | 0.3000 | 0.3000 | 0.3000 | 3.5 |",
    ]


def test_names_survive_markdown_and_latex():
    table = Table("x", "50 % of a_b", pd.DataFrame({"loss_x": ["a|b_c{\\"], "Dice": [np.nan]}), {"Dice": 3})
    assert "| a\\|b_c{\\ | – |" in table.to_markdown()
    latex = table.to_latex()
    assert r"a|b\_c\{\textbackslash{} & -- \\" in latex
    assert r"\caption{50 \% of a\_b}" in latex
    assert r"loss\_x & Dice" in latex


def test_files_keep_all_digits(made, tmp_path):
    for table in made.values():
        table.write(tmp_path)
    assert len(list(tmp_path.iterdir())) == 15
    read = pd.read_csv(tmp_path / "by_label.csv")
    assert read["Dice, organ"].tolist() == pytest.approx([0.3, 0.35], abs=1e-12)


def test_a_row_per_case_and_a_column_per_arm():
    scores = made_scores().assign(arm=lambda table: table["loss"])
    failed = (scores["loss"] == "dice") & (scores["case"] == "b") & (scores["metric"] == "hd") & (scores["seed"] == 0)
    scores.loc[failed, "value"] = np.inf
    scores.loc[(scores["case"] == "c") & (scores["metric"] == "dice"), "value"] = np.nan
    table = values_by_case(scores, {"b": 100.0})
    assert list(table.columns) == ["label", "metric", "better", "subject", "case", "dice", "a_b"]
    assert len(table) == len(METRICS) * len(FOLDS)
    rows = table.set_index(["metric", "case"])
    assert rows.loc[("hd", "b"), ["better", "dice"]].tolist() == ["lower", pytest.approx((100 + 0.21) / 2)]
    assert rows.loc[("dice", "a"), ["better", "a_b"]].tolist() == ["higher", pytest.approx(0.15)]
    assert rows.loc[("dice", "c"), ["dice", "a_b"]].isna().all()


def test_paired_t_is_over_subjects_with_seeds_averaged():
    scores = made_scores()
    shift = scores["subject"].map({"a": 0.0, "b": 0.03, "c": 0.06}).where(scores["loss"] == "a_b", 0.0)
    table = study_tables(questions(scores.assign(value=scores["value"] + shift), {}), FOLDS, {}, 1.0, "mm")[2]
    row = table.numbers.set_index("metric").loc["IoU"]
    gains = np.array([0.05, 0.08, 0.11])  # mean 0.08, SD 0.03
    assert row["t"] == pytest.approx(-gains.mean() / (0.03 / np.sqrt(3)))
    assert row["p"] == pytest.approx(0.0436, abs=1e-3)
