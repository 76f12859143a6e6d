"""Somebody else's network through the commands: trained, reported, predicted with, exported, searched."""

import contextlib
import json
import sys

import pytest

from tfseg.cli.datasets import Source
from tfseg.cli.train import fit
from tfseg.config.config import load_config
from tfseg.core import files

NETWORK = """
import keras


class Plain(keras.Model):
    def __init__(self, width, classes):
        super().__init__()
        self.hidden = keras.layers.Conv2D(width, 3, padding="same", activation="relu")
        self.last = keras.layers.Conv2D(classes, 1, activation="softmax")

    def call(self, image):
        return self.last(self.hidden(image))


def build(image_shape, classes, width=2):
    return Plain(width, classes)
"""
IMPORT = "plain_network:build"
SETTINGS = [
    f"model={{import: {IMPORT}, settings: {{width: 3}}}}",
    "folds={scheme: holdout}",
    "training.epochs=1",
    "training.batch_size=6",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the commands are called in; it holds the network's code."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "plain_network.py").write_text(NETWORK)
    yield folder
    sys.modules.pop("plain_network", None)


@pytest.fixture(scope="module")
def run(folder, decathlon):
    out = folder / "run"
    with contextlib.chdir(folder):
        fit(load_config(None, SETTINGS), Source(data=decathlon), out, None, None, "tfseg fit")
    return out


def test_the_report_names_the_function_and_the_hash_of_its_file(run, folder):
    digest = files.sha256(folder / "plain_network.py")
    report = (run / "report.html").read_text()
    assert IMPORT in report and digest in report


def test_prediction_runs_its_code_only_if_it_is_named(run, folder, decathlon, tfseg, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    arguments = ("predict", run, "--input", decathlon / "imagesTr", "--output", tmp_path / "out")
    for named in ([], ["--trust", "plain_network:Plain"]):
        code, _, error = tfseg(*arguments, *named)
        assert (code, error.count("\n")) == (2, 1)
        assert f"loading this network runs {IMPORT}; if you trust that code, add --trust {IMPORT} to predict" in error
        assert not (tmp_path / "out").exists()
    code, _, error = tfseg(*arguments, "--trust", IMPORT)
    assert code == 0, error
    for path in run.glob("fold_*/predictions/*.nii.gz"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_export_too_runs_its_code_only_if_it_is_named(run, folder, tfseg, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    code, _, error = tfseg("export", run, "--out", tmp_path / "model")
    assert (code, error.count("\n"), f"add --trust {IMPORT}" in error) == (2, 1, True)
    assert not (tmp_path / "model").exists()
    code, printed, error = tfseg("export", run, "--out", tmp_path / "model", "--trust", IMPORT)
    assert code == 0, error
    assert "probabilities differ by" in printed and (tmp_path / "model" / "saved_model.pb").is_file()


def test_a_search_names_it_too(run, folder, tfseg, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    (tmp_path / "space.yaml").write_text("training.learning_rate: {grid: [0.003]}\n")
    arguments = ("--prepared", run / "prepared", "--space", tmp_path / "space.yaml", "--out", tmp_path / "sweep")
    code, _, error = tfseg("tune", *arguments, *(word for each in SETTINGS for word in ("--set", each)))
    assert code == 0, error
    named = f"{IMPORT} (SHA-256 {files.sha256(folder / 'plain_network.py')})"
    for place in (tmp_path / "sweep", tmp_path / "sweep" / "best"):
        assert json.loads((place / "environment.json").read_text())["imported_networks"] == [named]
        assert named in (place / "report.html").read_text()
        assert json.loads((place / "network.json").read_text())["import"] == IMPORT
