"""The command line as users call it: `fit`, its exit codes, and what it does not overwrite."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from tfseg.cli.app import main

TFSEG = [sys.executable, "-c", "import sys; sys.argv[0] = 'tfseg'; from tfseg.cli.app import main; main()"]
TINY = ["--set", "model.filters=2", "--set", "model.depth=1", "--epochs", "2", "--batch-size", "6"]
SMALL = [*TINY, "--folds", "2"]


def tfseg(*arguments, folder=None):
    return subprocess.run([*TFSEG, *map(str, arguments)], cwd=folder, capture_output=True, text=True)


def called(*arguments, folder="."):
    """As `tfseg`, in this process, which has imported TensorFlow already."""
    printed, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
        pytest.MonkeyPatch.context() as patched,
        pytest.raises(SystemExit) as ended,
    ):
        patched.setattr(sys, "argv", ["tfseg", *map(str, arguments)])
        main()
    return subprocess.CompletedProcess(arguments, ended.value.code, printed.getvalue(), errors.getvalue())


def one_line(done):
    """Return the only line of an error message; a traceback fails."""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def no_report(monkeypatch):
    """Leave out the reports of runs, which take as long as a small training."""
    monkeypatch.setattr("tfseg.cli.train.write_report", lambda run: None)


@pytest.fixture(scope="module")
def run(decathlon, tmp_path_factory):
    """Run `fit` on a small dataset, in a process of its own."""
    out = tmp_path_factory.mktemp("cli") / "run"
    done = tfseg("fit", "--data", decathlon, "--loss", "dice_ce", *SMALL, "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_help_lists_the_commands():
    done = tfseg("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("fit", "prep", "compare", "phantom", "export", "report"))


def test_onednn_is_on_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    called("--version")
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    called("--version")
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_commands_run_on_tensorflow_whatever_backend_keras_has_elsewhere(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    called("--version")
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_help_loads_nothing_heavy():
    script = (
        "import sys; sys.argv = ['tfseg', '--help']\n"
        "from tfseg.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'pandas', 'pydantic', 'yaml', 'matplotlib', 'scipy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_fit_ends_with_the_table_and_the_paths(run):
    out, printed = run
    assert printed.splitlines()[-3:] == [f"{n:8} {out / f}" for n, f in FILES]
    summary = pd.read_csv(out / "summary.csv")
    dice = summary[(summary["label"] == "left") & (summary["metric"] == "dice")].iloc[0]
    assert f"{dice['mean_finite']:.3f}±{dice['sd_finite']:.3f}" in printed


FILES = [("report", "report.html"), ("scores", "scores.csv"), ("summary", "summary.csv")]


def test_fit_records_its_inputs_and_results(run):
    out, _ = run
    names = {path.name for path in out.iterdir()}
    folds = {"fold_0", "fold_1"}
    made = {"config.yaml", "environment.json", "inputs.json", "splits.json", "prepared"}
    assert names == folds | made | {"scores.csv", "summary.csv", "report.html"}
    environment = json.loads((out / "environment.json").read_text())
    assert environment["phantoms"] is False and environment["onednn"] == "1"
    scores = pd.read_csv(out / "scores.csv")
    assert scores["case"].nunique() == 6
    assert not scores.duplicated(["case", "label", "metric"]).any()


def test_a_finished_run_is_reported_and_not_changed(run, decathlon):
    out, _ = run
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.csv")}
    done = called("fit", "--data", decathlon, "--loss", "dice_ce", *SMALL, "--out", out)
    assert done.returncode == 0
    assert "already finished" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.csv")} == before


def test_run_with_other_settings_is_refused(run, decathlon):
    out, _ = run
    done = called("fit", "--data", decathlon, "--loss", "dice", *SMALL, "--out", out)
    assert done.returncode == 2
    assert "another config.yaml" in one_line(done)


def test_run_with_other_splits_is_refused(run, decathlon, tmp_path):
    out, _ = run
    folds = json.loads((out / "splits.json").read_text())
    (tmp_path / "splits.json").write_text(json.dumps(folds[::-1]))
    arguments = ["--splits", tmp_path / "splits.json", "--out", out]
    done = called("fit", "--data", decathlon, "--loss", "dice_ce", *SMALL, *arguments)
    assert done.returncode == 2
    assert "another splits.json" in one_line(done)


@pytest.mark.usefixtures("no_report")
def test_prepared_folder_gives_the_same_run(run, tmp_path):
    """Scores are bit-identical whether scans are prepared separately or by `fit`."""
    out, _ = run
    again = tmp_path / "again"
    done = called("fit", "--prepared", out / "prepared", "--loss", "dice_ce", *SMALL, "--out", again)
    assert done.returncode == 0, done.stderr
    assert (again / "scores.csv").read_bytes() == (out / "scores.csv").read_bytes()


def test_export_of_a_run_is_servable_without_tfseg(run, tmp_path):
    out, _ = run
    done = called("export", out, "--out", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    metadata = json.loads((tmp_path / "model" / "metadata.json").read_text())
    assert metadata["networks"] == 2
    case = next((out / "prepared" / "cases").iterdir())
    script = (
        "import sys; sys.modules['tfseg'] = None\n"
        "import numpy as np, tensorflow as tf\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "np.save(sys.argv[3], serve(tf.constant(np.load(sys.argv[2])))['probability'])\n"
    )
    arguments = [tmp_path / "model", case / "image.npy", tmp_path / "answer.npy"]
    subprocess.run([sys.executable, "-c", script, *map(str, arguments)], check=True, capture_output=True)
    image = np.load(case / "image.npy")
    folds = [keras.saving.load_model(out / f"fold_{fold}" / "best.keras")(image) for fold in range(2)]
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), np.mean(folds, axis=0), atol=1e-5)


def test_export_of_a_folder_that_is_not_a_run_is_refused(tmp_path):
    done = called("export", tmp_path, "--out", tmp_path / "model")
    assert done.returncode == 2
    assert "not a finished run" in one_line(done)


def test_report_is_written_again(run):
    out, _ = run
    report = (out / "report.html").read_text()
    (out / "report.html").unlink()
    done = called("report", out)
    assert done.returncode == 0, done.stderr
    assert len((out / "report.html").read_text()) == pytest.approx(len(report), rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--loss", "dise"], 2, "did you mean dice"),
        (["--loss", "tversky:alpah=0.3"], 2, "did you mean alpha"),
        (["--loss", "tversky:alpha=-1"], 2, "alpha must be a number in [0, 1]; received -1"),
        (["--set", "training.epoch=3"], 2, "did you mean training.epochs?"),
        (["--set", "training.epochs=none"], 2, "--set training.epochs=none: training.epochs: Input should be"),
        (["--folds", "1"], 2, "--folds: folds: Input should be greater than or equal to 2; received 1"),
        (["--data", "nowhere"], 1, "nowhere: no such file or folder"),
        (["--prepared", "nowhere"], 1, "not a finished prepared folder"),
        (["--prepared", "nowhere", "--data", "x"], 2, "leave out --data"),
        (["--config", "nowhere.yaml"], 2, "cannot read nowhere.yaml"),
        (["--devices", "GPU:9"], 2, "no device 'GPU:9'"),
    ],
)
def test_a_wrong_call_is_one_clear_line_and_leaves_nothing(tmp_path, arguments, code, message):
    done = called("fit", *arguments, "--out", "run", folder=tmp_path)
    assert done.returncode == code
    assert message in one_line(done)
    assert not list(tmp_path.rglob("*.csv")) and not (tmp_path / "run" / "fold_0").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--losses", "dice,dise"], "did you mean dice"),
        (["--losses", "dice"], "a comparison needs two losses or arms"),
        (
            ["--losses", "dice,ce", "--rates", "0.01,-1"],
            "--rates: training.rates.1: Input should be greater than 0; received -1",
        ),
        (["--study", "nowhere.yaml"], "cannot read nowhere.yaml"),
    ],
)
def test_a_wrong_comparison_is_one_clear_line_and_leaves_nothing(tmp_path, arguments, message):
    done = called("compare", *arguments, "--out", "cmp", folder=tmp_path)
    assert done.returncode == 2
    assert message in one_line(done)
    assert list(tmp_path.iterdir()) == []


def test_too_many_folds_are_refused(decathlon, tmp_path):
    done = called("fit", "--data", decathlon, "--folds", "7", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "7 folds need at least 7 subjects, received 6" in one_line(done)


def test_a_folder_that_is_not_a_run_is_not_changed(decathlon, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = called("fit", "--data", decathlon, "--out", tmp_path)
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_scan_is_named_before_training(decathlon, tmp_path):
    shutil.copytree(decathlon, tmp_path / "data")
    scan = sorted((tmp_path / "data" / "imagesTr").iterdir())[2]
    scan.write_bytes(scan.read_bytes()[:200])
    done = called("fit", "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert done.returncode == 1
    assert scan.name in one_line(done)
    assert not (tmp_path / "run" / "fold_0").exists()


def test_debug_shows_the_traceback(tmp_path):
    done = called("fit", "--data", "nowhere", "--debug", folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.usefixtures("no_report")
def test_one_label_trains_with_a_sigmoid(decathlon_one_label, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("median_kernel: 3\nscaling: minmax\n")
    one_network = [*TINY, "--set", "folds={scheme: holdout}"]
    arguments = ["--prep", recipe, "--loss", "focal:alpha=0.6", *one_network, "--out", tmp_path / "run"]
    done = called("fit", "--data", decathlon_one_label, *arguments)
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(tmp_path / "run" / "scores.csv")["loss"]) == {"focal:alpha=0.6"}
    assert "median_kernel: 3" in (tmp_path / "run" / "prepared" / "recipe.yaml").read_text()


def test_without_data_phantoms_are_made_and_reported(tmp_path):
    """It fails at the number of folds, which is checked after the phantoms are prepared."""
    done = called("fit", "--folds", "99", "--out", "run", folder=tmp_path)
    assert done.returncode == 2
    assert "no --data: 16 synthetic abdomen subjects are used instead of scans" in done.stdout
    assert len(list(Path(tmp_path / "run" / "phantoms" / "imagesTr").iterdir())) == 16


def test_a_network_without_probabilities_is_refused_before_anything_trains(prepared, tmp_path):
    code = "import keras\n\ndef build(image_shape, classes):\n    return keras.layers.Conv2D(classes, 1)\n"
    (tmp_path / "networks_of_logits.py").write_text(code)
    model = ["--set", "model={import: networks_of_logits:build}"]
    done = called("fit", "--prepared", prepared.folder, *model, "--out", "run", folder=tmp_path)
    assert done.returncode == 2
    assert "model.import: expected probabilities between 0 and 1 from networks_of_logits:build" in one_line(done)
    assert not list((tmp_path / "run").glob("fold_*"))
