"""A training that cannot continue says why in one line and loses nothing."""

import errno
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.cli import app as cli
from tfseg.config.config import load_config
from tfseg.core.errors import DataError
from tfseg.core.resumable import resumable
from tfseg.datasets.splits import Split
from tfseg.prepared.batches import SliceBatches
from tfseg.prepared.prepared import Prepared
from tfseg.runs.cell import run_cell
from tfseg.training.divergence import Diverged
from tfseg.training.fit import Progress, train

HERE = tf.distribute.get_strategy()
TINY = ["model.filters=2", "model.depth=1", "training.epochs=2", "training.batch_size=4", "folds=3", "loss=dice"]


@pytest.fixture
def poisoned(prepared, tmp_path):
    """Copy the prepared cases, with a NaN in one slice of case_1."""
    folder = tmp_path / "prepared"
    shutil.copytree(prepared.folder, folder)
    path = folder / "cases" / "case_1" / "image.npy"
    image = np.load(path)
    image[3, 5, 5] = np.nan
    np.save(path, image)
    return Prepared(folder)


def step_of(prepared, subjects, epoch, case, index):
    """Return the step of an epoch, from 1, in which a slice is first used."""
    cases = prepared.cases_of(subjects)
    order = SliceBatches(cases, 4, 0).plan(epoch)
    number = [each.name for each in cases].index(case)
    return int(np.argmax((order == (number, index)).all(axis=-1).any(axis=-1))) + 1


def test_a_nan_loss_is_reported_with_step_and_slices_and_the_best_network_is_kept(poisoned, tmp_path):
    (tmp_path / "best.keras").write_text("the best so far")
    split = Split(("case_0", "case_1"), ("case_4",), ())
    step = step_of(poisoned, split.train, 0, "case_1", 3)
    place = rf"the loss is nan in epoch 1, step {step}, on .*case_1 \(slices .*3.*\)"
    with pytest.raises(Diverged, match=f"{place}; the image holds NaN or infinite values"):
        train(load_config(None, TINY), poisoned, split, 0, tmp_path, HERE)
    assert (tmp_path / "best.keras").read_text() == "the best so far"


def test_a_class_that_is_none_is_named_with_its_slices(prepared, tmp_path):
    shutil.copytree(prepared.folder, tmp_path / "prepared")
    path = tmp_path / "prepared" / "cases" / "case_1" / "label.npy"
    label = np.load(path)
    label[3, 5, 5] = 9
    np.save(path, label)
    damaged, wrong = Prepared(tmp_path / "prepared"), "the truth holds 9, expected 0 to 2"
    for split, error, message in (
        (Split(("case_0", "case_1"), ("case_4",), ()), Diverged, rf"case_1 \(slices .*3.*\); {wrong}$"),
        (Split(("case_0",), ("case_1",), ()), DataError, f"^case_1, slice 3: {wrong}$"),
    ):
        with pytest.raises(error, match=message):
            train(load_config(None, TINY), damaged, split, 0, tmp_path, HERE)


def test_weights_that_become_nan_in_the_last_step_are_not_kept(prepared, tmp_path):
    """The loss of that step is still finite, and a network that predicts nothing has an ordinary Dice."""
    wild = ["training.optimizer=sgd", "training.learning_rate=1e38", "training.epochs=1", "training.steps_per_epoch=1"]
    split = Split(("case_0",), ("case_1",), ())
    with pytest.raises(Diverged, match="the validation loss is nan in epoch 1, step 1, on case_0"):
        train(load_config(None, [*TINY, *wild]), prepared, split, 0, tmp_path, HERE)
    assert not (tmp_path / "best.keras").exists()


def exit_code():
    """Run `tfseg` with the arguments of `sys.argv` and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


class Killed(BaseException):
    """Raised in place of a kill."""


def test_a_fold_that_diverges_is_reported_and_trained_again(prepared, poisoned, tmp_path, monkeypatch, capsys):
    """One of two folds trains on a slice with a NaN; it is repaired, and the next call is killed before it scores."""
    settings = [argument for setting in (*TINY, "folds=2", "training.epochs=1") for argument in ("--set", setting)]
    out = tmp_path / "run"
    call = ["tfseg", "fit", "--prepared", str(poisoned.folder), "--out", str(out), *settings]
    monkeypatch.setattr(sys, "argv", call)
    assert exit_code() == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("tfseg: 1 of 2 folds failed: fold ")
    reason = re.search(r"the (validation )?loss is nan in epoch 1, step \d, on case_[^;]*", error).group()
    assert reason in (out / "report.html").read_text()
    assert pd.read_csv(out / "scores.csv")["fold"].nunique() == 1
    whole = prepared.folder / "cases" / "case_1" / "image.npy"
    shutil.copy(whole, poisoned.folder / "cases" / "case_1" / "image.npy")
    with monkeypatch.context() as killed, pytest.raises(Killed):
        killed.setattr("tfseg.cli.train.collect", lambda *_: (_ for _ in ()).throw(Killed))
        exit_code()
    assert exit_code() == 0
    assert "already finished" not in capsys.readouterr().out
    assert pd.read_csv(out / "scores.csv")["fold"].nunique() == 2
    assert not list(out.glob("fold_*/failure.json"))
    assert exit_code() == 0
    assert "already finished" in capsys.readouterr().out


def test_a_training_resumes_once_there_is_space_again(prepared, tmp_path, monkeypatch):
    """The disk is full after the first checkpoint."""
    config, split = load_config(None, TINY), Split(("case_0",), ("case_1",), ("case_2",))
    replace, full = os.replace, []

    def refused(source, target):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)
        full.extend(["checkpoint"] * (target.suffix == ".npz"))

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(OSError, match="No space left on device"):
        run_cell(config, prepared, split, 0, "dice", tmp_path / "cell", HERE)
    assert not list(tmp_path.rglob(".unfinished-*"))
    full.clear()
    monkeypatch.setattr(os, "replace", replace)
    resumed = []
    run_cell(config, prepared, split, 0, "dice", tmp_path / "cell", HERE, Progress(on_resume=resumed.append))
    assert resumed == [1]
    assert (tmp_path / "cell" / "scores.csv").is_file()
    assert not (tmp_path / "cell" / "checkpoint").exists()  # a finished cell needs none


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "?"),
            "No space left on device: cannot write to {out}; once it can be written to, the same command",
        ),
        (OSError(errno.EROFS, "?", "{out}/fold_0/best.keras"), "Read-only file system: cannot write to {out}; once"),
        (OSError("99999 requested and 2484 written"), "No space left on device: cannot write to {out}; once"),
        (OSError(errno.EACCES, "denied", "scans/case_0.nii.gz"), "denied: 'scans/case_0.nii.gz'"),
        (OSError(errno.ENOENT, "not there"), "not there"),
        (OSError("cannot identify image file"), "cannot identify image file"),
    ],
)
def test_a_failed_write_is_reported_in_one_line(tmp_path, error, message):
    if error.filename:
        error.filename = error.filename.format(out=tmp_path)
    with pytest.raises(OSError) as raised, resumable(tmp_path):
        raise error
    assert message.format(out=tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))  # Python ignores the signal that comes with it
from tfseg.cli.app import main
main()
"""


def test_a_disk_full_during_preparation_is_reported_in_one_line(decathlon, prepared, tmp_path, monkeypatch, capsys):
    """A limit on file size, smaller than a case's array, stands in for a full disk; then it is lifted."""
    arguments = ["prep", "--data", str(decathlon), "--out", str(tmp_path / "prepared")]
    done = subprocess.run([sys.executable, "-c", FULL, *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    (message,) = done.stderr.strip().splitlines()
    assert re.fullmatch(
        r"tfseg: .*(No space left on device|File too large): cannot write to .*prepared; once it can be "
        "written to, the same command resumes",
        message,
    )
    assert not list((tmp_path / "prepared").rglob("*.npy"))
    monkeypatch.setattr(sys, "argv", ["tfseg", *arguments])
    assert exit_code() == 0
    assert Prepared(tmp_path / "prepared").subjects == prepared.subjects
