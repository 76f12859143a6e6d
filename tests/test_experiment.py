"""A run: every case once, finished folds kept, other runs left alone."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config import ConfigError, load_config
from tfseg.data.splits import make_splits
from tfseg.experiment import claim, describe_environment, run_folds
from tfseg.training.fit import QUIET

SMALL = ["model.filters=2", "model.depth=1", "training.epochs=1", "training.batch_size=6", "folds=3", "loss=dice"]


class Heard:
    """Remembers which folds were trained and which were not."""

    def __init__(self):
        self.trained, self.before = [], []

    def begin(self, name, steps, epochs):
        self.trained.append(name)
        return QUIET

    def skipped(self, name):
        self.before.append(name)


def cross_validate(prepared, out):
    config = load_config(None, SMALL)
    heard = Heard()
    folds = make_splits(prepared.subjects, config.folds, config.seed)
    return run_folds(config, prepared, folds, out, tf.distribute.get_strategy(), heard), heard


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    cross_validate(prepared, out)
    return out


def test_every_case_is_scored_once_out_of_fold(run, prepared):
    scores = pd.read_csv(run / "scores.csv")
    assert list(scores.columns) == ["loss", "seed", "fold", "subject", "case", "label", "metric", "value"]
    assert not scores.duplicated(["case", "label", "metric"]).any()
    assert set(scores["case"]) == set(prepared.index["case"])
    for fold, split in enumerate(make_splits(prepared.subjects, 3, 0)):
        assert set(scores.loc[scores["fold"] == fold, "subject"]) == set(split.test)


def test_summary_is_that_of_the_scores(run):
    scores, summary = (pd.read_csv(run / name) for name in ("scores.csv", "summary.csv"))
    assert set(summary["label"]) == {"left", "right", "mean"}
    dice = scores[(scores["metric"] == "dice") & (scores["label"] == "left")]["value"]
    row = summary[(summary["metric"] == "dice") & (summary["label"] == "left")].iloc[0]
    assert row["n"] == dice.notna().sum()
    assert row["mean_finite"] == pytest.approx(dice.mean())


def test_a_fold_holds_what_made_it(run):
    for fold in range(3):
        folder = run / f"fold_{fold}"
        names = {"best.keras", "history.csv", "fold.json", "scores.csv", "predictions", "controls.json", "logs"}
        assert names == {path.name for path in folder.iterdir()}
        assert json.loads((folder / "fold.json").read_text())["best_epoch"] == 1
        assert len(list((folder / "predictions").glob("*.nii.gz"))) == 2


def test_an_interrupted_run_goes_on_with_what_is_missing_and_ends_the_same(run, prepared, tmp_path):
    out = tmp_path / "run"
    cross_validate(prepared, out)
    (out / "fold_1" / "scores.csv").unlink()
    (out / "scores.csv").unlink()
    kept = (out / "fold_0" / "best.keras").stat().st_mtime_ns
    _, heard = cross_validate(prepared, out)
    assert (heard.trained, heard.before) == (["fold 2/3"], ["fold 1/3", "fold 3/3"])
    assert (out / "fold_0" / "best.keras").stat().st_mtime_ns == kept
    assert (out / "scores.csv").read_bytes() == (run / "scores.csv").read_bytes()


def test_claim_writes_once_and_then_agrees(tmp_path):
    claim(tmp_path / "run", {"config.yaml": "a: 1\n"})
    claim(tmp_path / "run", {"config.yaml": "a: 1\n"})
    assert (tmp_path / "run" / "config.yaml").read_text() == "a: 1\n"


def test_claim_refuses_another_run_and_leaves_it_alone(tmp_path):
    claim(tmp_path / "run", {"config.yaml": "a: 1\n"})
    with pytest.raises(ConfigError, match=r"another config\.yaml"):
        claim(tmp_path / "run", {"config.yaml": "a: 2\n"})
    assert (tmp_path / "run" / "config.yaml").read_text() == "a: 1\n"


def test_claim_refuses_a_folder_that_is_not_a_run(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="not a run's"):
        claim(tmp_path, {"config.yaml": "a: 1\n"})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_environment_names_versions_and_inputs(prepared):
    described = json.loads(describe_environment(prepared, ["CPU:0"], command="tfseg fit", seed=3))
    assert described["prepared_sha256"] == prepared.digest
    assert described["versions"]["numpy"] == np.__version__
    assert described["threads"] >= 1
    assert (described["command"], described["seed"], described["devices"]) == ("tfseg fit", 3, ["CPU:0"])
