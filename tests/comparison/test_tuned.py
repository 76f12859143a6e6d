"""Arms as they are and tuned within each fold, side by side."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfseg.cli.tuned import Tuning
from tfseg.comparison import estimate
from tfseg.comparison.study import Arm
from tfseg.comparison.tuned import Budget, sentence, side_by_side, with_tuned
from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split
from tfseg.runs.dispatch import Outcome

RATE = {"training.learning_rate": {"choice": [0.001, 0.003, 0.03]}}


def means(**values):
    """Means of the primary question, by arm."""
    rows = [
        {"arm": arm.replace("_", " "), "label": "mean", "metric": "dice", "mean": value}
        for arm, value in values.items()
    ]
    return pd.DataFrame(rows).replace({"arm": {"a tuned": "a (tuned)", "b tuned": "b (tuned)"}})


def test_the_order_may_turn():
    table = side_by_side(means(a=0.7, a_tuned=0.71, b=0.6, b_tuned=0.8, c=0.9), "mean", "dice", True)
    assert table.to_dict("list") == {
        "arm": ["a", "b"],
        "default": [0.7, 0.6],
        "tuned": [0.71, 0.8],
        "default_place": [1, 2],
        "tuned_place": [2, 1],
    }
    assert sentence(table) == "Tuning turns the order of the means: a > b as they are, b > a if each is tuned."
    same = side_by_side(means(a=0.7, a_tuned=0.8, b=0.6, b_tuned=0.75), "mean", "dice", True)
    assert sentence(same) == "Tuned or not, the order of the means is a > b."


def test_every_arm_gets_a_tuned_one_once():
    arms = with_tuned(with_tuned([Arm.of_loss({"name": "dice"}), Arm.of_loss({"name": "bce"})]))
    assert [arm.name for arm in arms] == ["dice", "dice (tuned)", "bce", "bce (tuned)"]
    assert arms[1].overrides == arms[0].overrides


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"training.epochs": {"grid": [1, 2]}}, "--space: training.epochs is held equal in a comparison"),
        ({"training.batch_size": {"grid": [1, 2]}}, "--space: training.batch_size is held equal in a comparison"),
        ({**RATE, "search": {"hours": 1}}, "every loss gets the same trials and epochs"),
    ],
)
def test_a_space_that_would_not_be_fair(space, message):
    with pytest.raises(ConfigError, match=message):
        Tuning(Budget(4, space))


def test_a_field_of_another_loss_is_refused_and_a_conditional_one_left_out():
    dice = load_config(None, ["loss=dice"])
    alpha = {"loss.alpha": {"uniform": [0.1, 0.9]}}
    with pytest.raises(ConfigError, match="the loss dice has no parameter 'alpha'"):
        Tuning(Budget(3, {**RATE, **alpha})).of_arm("dice", dice)
    alpha["loss.alpha"]["if"] = {"loss.name": ["focal", "tversky"]}
    assert Tuning(Budget(3, {**RATE, **alpha})).of_arm("dice", dice)[0].fields == ["training.learning_rate"]
    with pytest.raises(ConfigError, match="none of its fields is searched for the loss dice"):
        Tuning(Budget(4, alpha)).of_arm("dice", dice)
    with pytest.raises(ConfigError, match="a budget of 3 is smaller than one batch, 4"):
        Tuning(Budget(3, {**RATE, "search": {"method": "optuna"}})).of_arm("dice", dice)
    with pytest.raises(ConfigError, match="but the space has 3 combinations for dice; received 4"):
        Tuning(Budget(4, {**RATE, **alpha})).of_arm("dice", dice)


def test_every_fold_needs_subjects_for_the_inner_folds():
    tuning = Tuning(Budget(3, {**RATE, "search": {"inner_folds": 3}}))
    enough, few = Split(("a", "b"), ("c",), ("d",)), Split(("a",), ("b",), ("c", "d"))
    tuning.check_folds([enough])
    with pytest.raises(ConfigError, match=r"inner_folds: expected at most 2, .*; received 3"):
        tuning.check_folds([enough, few])


def test_a_comparison_is_tuned_in_one_way(tmp_path):
    Budget(4, RATE).write(tmp_path / "tuning.yaml")
    Budget(4, RATE).joined_to(tmp_path / "tuning.yaml")
    with pytest.raises(ConfigError, match="was tuned with another --tune-budget"):
        Budget(5, RATE).joined_to(tmp_path / "tuning.yaml")
    with pytest.raises(ConfigError, match="was tuned with another --space"):
        Budget(4, {"training.l1": {"uniform": [0, 1]}}).joined_to(tmp_path / "tuning.yaml")


@pytest.fixture
def trials(monkeypatch):
    """Stand in for the trainings of a search, which score higher at a higher rate; returns the jobs as they come."""
    jobs = []

    def run(job, gpus=None):
        jobs.append(job)
        folder, rate = Path(job.cell), job.config["training"]["learning_rate"]
        folder.mkdir(parents=True, exist_ok=True)
        row = {"epoch": 1, "val_dice": rate, "train_seconds": 1.0, "validation_seconds": 0.5}
        pd.DataFrame([row]).to_csv(folder / "history.csv", index=False)
        (folder / "scores.csv").touch()
        return Outcome()

    monkeypatch.setattr("tfseg.runs.pools.run_fresh", run)
    return jobs


def test_a_tuned_comparison_chooses_on_validation_subjects_and_reports_both(
    compare, trials, tmp_path, read_page, monkeypatch
):
    monkeypatch.setattr(estimate, "estimate", lambda *_: estimate.Estimate(np.nan, 1, 0, 1, {}))
    out = tmp_path / "cmp"
    tuning = Tuning(Budget(2, {**RATE, "search": {"batch": 2}}))
    compare("dice,ce", out, "folds={scheme: holdout, ratio: [3, 1, 2]}", "training.epochs=1", tuning=tuning)
    (split,) = json.loads((out / "splits.json").read_text())["0"]
    assert [job.split for job in trials] == [{**split, "test": []}] * 4  # two arms, two trials
    chosen = json.loads((out / "runs" / "dice_tuned_s0" / "fold_0" / "tuned.json").read_text())
    table = pd.read_csv(out / "sweeps" / "dice_tuned_s0" / "fold_0" / "trials.csv")
    assert chosen["score"] == table["score"].max() and chosen["trials"] == 2
    assert chosen["values"]["training.learning_rate"] == table["training.learning_rate"].max()
    cell = json.loads((out / "runs" / "dice_tuned_s0" / "fold_0" / "fold.json").read_text())
    assert cell["learning_rate"] == chosen["values"]["training.learning_rate"]
    page = read_page((out / "report.html").read_text())
    assert "Default and tuned" in page.text and "the order of the means" in page.text
    assert "Not a fair comparison" not in page.text
    assert set(pd.read_csv(out / "means.csv")["arm"]) == {"dice", "dice (tuned)", "ce", "ce (tuned)"}
