"""A run: every case once, finished folds kept, other runs left alone."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import make_splits
from tfseg.runs.cell import claim, epoch_steps, run_folds
from tfseg.runs.environment import describe_environment, describe_start
from tfseg.training.fit import QUIET

SMALL = ["model.filters=2", "model.depth=1", "training.epochs=1", "training.batch_size=6", "folds=3", "loss=dice"]


class Heard:
    """Remembers which folds were trained and which were not."""

    def __init__(self):
        self.trained, self.before = [], []

    def begin(self, name, steps):
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


def test_steps_are_those_of_every_stage(prepared):
    """Six slices a subject."""
    split = make_splits(prepared.subjects, 3, 0)[0]
    stages = (
        "stages=[{training: {epochs: 2}}, {training: {epochs: 3, batch_size: 4}}, {training: {steps_per_epoch: 7}}]"
    )
    config = load_config(None, [*SMALL, stages])
    assert epoch_steps(config, prepared, split) == [3, 3, 5, 5, 5, 7]
    assert epoch_steps(load_config(None, SMALL), prepared, split) == [3]


def test_an_interrupted_run_goes_on_with_what_is_missing_and_ends_the_same(run, prepared, tmp_path):
    out = tmp_path / "run"
    cross_validate(prepared, out)
    (out / "fold_1" / "scores.csv").unlink()
    (out / "fold_0" / "checkpoint").mkdir()  # as a kill after the last file leaves it
    (out / "scores.csv").unlink()
    kept = (out / "fold_0" / "best.keras").stat().st_mtime_ns
    _, heard = cross_validate(prepared, out)
    assert (heard.trained, heard.before) == (["fold 2/3"], ["fold 1/3", "fold 3/3"])
    assert (out / "fold_0" / "best.keras").stat().st_mtime_ns == kept
    assert not list(out.glob("fold_*/checkpoint"))
    assert (out / "scores.csv").read_bytes() == (run / "scores.csv").read_bytes()


def test_claim_writes_once_and_then_agrees(tmp_path):
    claim(tmp_path / "run", {"config.yaml": "seed: 1\n"})
    claim(tmp_path / "run", {"config.yaml": "seed: 1\n"})
    assert (tmp_path / "run" / "config.yaml").read_text() == "seed: 1\n"


def test_claim_refuses_another_run_and_leaves_it_alone(tmp_path):
    claim(tmp_path / "run", {"config.yaml": "seed: 1\n"})
    with pytest.raises(ConfigError, match=r"another config\.yaml"):
        claim(tmp_path / "run", {"config.yaml": "seed: 2\n"})
    assert (tmp_path / "run" / "config.yaml").read_text() == "seed: 1\n"


def test_a_run_goes_on_with_other_threads_and_pictures_and_with_nothing_else_changed(tmp_path):
    """Threads are checked as they are, by each training that was begun; no network depends on pictures."""
    stages = "stages=[{training: {picture_every: 1}}, {training: {epochs: 2}}]"
    claim(tmp_path, {"config.yaml": load_config(None, [stages]).to_yaml(), "splits.json": "[]"})
    before = (tmp_path / "config.yaml").read_text()
    stages = "stages=[{training: {}}, {training: {epochs: 2, picture_every: null}}]"
    other = [stages, "training.threads=8", "training.picture_every=2"]
    claim(tmp_path, {"config.yaml": load_config(None, other).to_yaml()})
    assert (tmp_path / "config.yaml").read_text() == before
    for changed in ("training.epochs=3", "folds=3", "scoring.tolerance_mm=2", "stages=[]"):
        with pytest.raises(ConfigError, match=r"another config\.yaml"):
            claim(tmp_path, {"config.yaml": load_config(None, [*other, changed]).to_yaml()})
    with pytest.raises(ConfigError, match=r"another splits\.json"):
        claim(tmp_path, {"splits.json": "[ ]"})


def test_other_weights_to_start_from_under_the_same_name_are_another_run(tmp_path):
    weights = tmp_path / "weights.keras"
    config = load_config(None, [f"training.start_from={weights}"])
    with pytest.raises(ConfigError, match=r"training\.start_from: cannot read .*weights\.keras"):
        describe_start(config)
    weights.write_bytes(b"one")
    claim(tmp_path / "run", {"config.yaml": config.to_yaml(), **describe_start(config)})
    claim(tmp_path / "run", {"config.yaml": config.to_yaml(), **describe_start(config)})
    weights.write_bytes(b"two")
    with pytest.raises(ConfigError, match=r"another start_from\.json"):
        claim(tmp_path / "run", {"config.yaml": config.to_yaml(), **describe_start(config)})
    assert describe_start(load_config()) == {}


def test_claim_refuses_a_folder_that_is_not_a_run(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="not a run's"):
        claim(tmp_path, {"config.yaml": "seed: 1\n"})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_whose_first_file_was_being_written_is_taken(tmp_path):
    (tmp_path / ".unfinished-config.yaml").write_text("se")
    claim(tmp_path, {"config.yaml": "seed: 1\n"})
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_environment_names_versions_and_inputs(prepared):
    described = json.loads(describe_environment(prepared, ["CPU:0"], command="tfseg fit", seed=3))
    assert described["prepared_sha256"] == prepared.digest
    assert described["versions"]["numpy"] == np.__version__
    assert described["threads"] >= 1
    assert (described["command"], described["seed"], described["devices"]) == ("tfseg fit", 3, ["CPU:0"])
