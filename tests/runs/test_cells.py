"""The loop over networks skips finished cells, reports failures, and resumes with the same result."""

import errno
import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError, RunError
from tfseg.core.folds import fold_folder
from tfseg.datasets.splits import make_splits
from tfseg.runs import cell as one
from tfseg.runs.cells import Cell, collect, epoch_steps, run_cells
from tfseg.runs.folder import FAILURE, read_failures
from tfseg.training.progress import Progress

SMALL = ["model.filters=2", "model.depth=1", "training.epochs=1", "training.batch_size=6", "folds=3", "loss=dice"]
CONFIG = load_config(None, SMALL)


class Followed:
    """Record which networks began, which were skipped, and the messages."""

    def __init__(self):
        self.begun, self.skipped_names, self.said = [], [], []

    def begin(self, name, steps):
        self.begun.append(name)
        return Progress(say=self.said.append)

    def skipped(self, name):
        self.skipped_names.append(name)


def cells_of(prepared, out):
    folds = make_splits(prepared.subjects, 3, 0)
    return [Cell(f"fold {fold + 1}/3", "dice", CONFIG, split, fold, out) for fold, split in enumerate(folds)]


def cross_validate(prepared, out):
    followed = Followed()
    failed = run_cells(cells_of(prepared, out), prepared, None, followed)
    return failed, followed


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert cross_validate(prepared, out)[0] == {}
    collect(out, prepared, make_splits(prepared.subjects, 3, 0))
    return out


@pytest.fixture
def failing(monkeypatch):
    """Replace the training of a cell: write its last file, or raise the error set for its fold."""
    errors: dict[int, BaseException] = {}

    def run_cell(config, prepared, split, fold, arm, out, strategy, progress):
        if fold in errors:
            raise errors[fold]
        (out / "scores.csv").write_text(f"{arm} {config.seed} {fold}")

    monkeypatch.setattr(one, "run_cell", run_cell)
    return errors


def test_every_case_is_scored_once_out_of_fold(run, prepared):
    scores = pd.read_csv(run / "scores.csv")
    assert list(scores.columns) == ["arm", "loss", "seed", "fold", "subject", "case", "label", "metric", "value"]
    assert (scores["arm"] == "dice").all() and (scores["loss"] == "dice").all()
    assert not scores.duplicated(["case", "label", "metric"]).any()
    assert set(scores["case"]) == set(prepared.index["case"])
    for fold, split in enumerate(make_splits(prepared.subjects, 3, 0)):
        assert set(scores.loc[scores["fold"] == fold, "subject"]) == set(split.test)


def test_the_summary_follows_from_the_scores(run):
    scores, summary = (pd.read_csv(run / name) for name in ("scores.csv", "summary.csv"))
    assert set(summary["label"]) == {"left", "right", "mean"}
    dice = scores[(scores["metric"] == "dice") & (scores["label"] == "left")]["value"]
    row = summary[(summary["metric"] == "dice") & (summary["label"] == "left")].iloc[0]
    assert row["n"] == dice.notna().sum()
    assert row["mean_finite"] == pytest.approx(dice.mean())


def test_steps_are_counted_for_every_stage(prepared):
    """Each subject has six slices."""
    split = make_splits(prepared.subjects, 3, 0)[0]
    stages = (
        "stages=[{training: {epochs: 2}}, {training: {epochs: 3, batch_size: 4}}, {training: {steps_per_epoch: 7}}]"
    )
    assert epoch_steps(load_config(None, [*SMALL, stages]), prepared, split) == [3, 3, 5, 5, 5, 7]
    assert epoch_steps(CONFIG, prepared, split) == [3]


def test_an_interrupted_run_trains_only_the_missing_fold_and_ends_the_same(run, prepared, tmp_path):
    out = shutil.copytree(run, tmp_path / "run")
    (out / "fold_1" / "scores.csv").unlink()
    (out / "fold_0" / "checkpoint").mkdir()  # as left by a kill after the last file
    kept = (out / "fold_0" / "best.keras").stat().st_mtime_ns
    _, followed = cross_validate(prepared, out)
    assert (followed.begun, followed.skipped_names) == (["fold 2/3"], ["fold 1/3", "fold 3/3"])
    assert (out / "fold_0" / "best.keras").stat().st_mtime_ns == kept
    assert not list(out.glob("fold_*/checkpoint"))
    collect(out, prepared, make_splits(prepared.subjects, 3, 0))
    assert (out / "scores.csv").read_bytes() == (run / "scores.csv").read_bytes()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FloatingPointError("the loss is\n nan"), "the loss is nan"),
        (ValueError("class_weights: expected 3"), "class_weights: expected 3"),
        (MemoryError(), "out of memory: MemoryError"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory: [Errno 12] Cannot allocate memory"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), "out of memory: OOM when"),
    ],
    ids=["diverged", "loss", "memory", "errno", "tensorflow"],
)
def test_a_failure_is_reported_and_the_others_finish(prepared, tmp_path, failing, error, reason):
    failing[1] = error
    failed, followed = cross_validate(prepared, tmp_path)
    assert list(failed) == ["fold 2/3"] and failed["fold 2/3"].startswith(reason)
    assert followed.said == [f"fold 2/3 failed: {failed['fold 2/3']}"]
    assert len(followed.begun) == 3
    assert read_failures(tmp_path) == {1: failed["fold 2/3"]}
    failure = json.loads((tmp_path / "fold_1" / FAILURE).read_text())
    assert failure["arm"] == "dice"
    assert failure["traceback"].startswith("Traceback") and type(error).__name__ in failure["traceback"]
    failing.clear()
    failed, followed = cross_validate(prepared, tmp_path)
    assert (failed, followed.begun) == ({}, ["fold 2/3"])
    assert read_failures(tmp_path) == {}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space left"), ConfigError("was started with 2 threads")])
def test_an_error_that_affects_every_cell_ends_the_loop(prepared, tmp_path, failing, error):
    failing[1] = error
    with pytest.raises(type(error), match=str(error.args[-1])):
        cross_validate(prepared, tmp_path)
    assert not fold_folder(tmp_path, 2).exists()
    assert read_failures(tmp_path) == {}


def test_a_run_without_a_finished_fold_has_no_scores(prepared, tmp_path):
    with pytest.raises(RunError, match="no fold is finished"):
        collect(tmp_path, prepared, make_splits(prepared.subjects, 3, 0))


def test_scores_come_only_from_finished_folds(run, prepared, tmp_path):
    """The subjects of a failed fold are left out of scores and summary."""
    folds = make_splits(prepared.subjects, 3, 0)
    for fold in (0, 2):
        (tmp_path / f"fold_{fold}").mkdir()
        (tmp_path / f"fold_{fold}" / "scores.csv").write_bytes((run / f"fold_{fold}" / "scores.csv").read_bytes())
    summary = collect(tmp_path, prepared, folds)
    tested = {subject for fold in (0, 2) for subject in folds[fold].test}
    assert summary.loc[summary["metric"] == "dice", "n"].max() == len(tested)
    assert set(pd.read_csv(tmp_path / "scores.csv")["fold"]) == {0, 2}


def test_a_cell_belongs_to_its_run_folder(prepared, tmp_path):
    cell = cells_of(prepared, tmp_path)[2]
    assert cell.folder == tmp_path / "fold_2" == replace(cell, name="another").folder
