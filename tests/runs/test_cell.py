"""One cell from plain values: equal in this process and a fresh one, stopped, resumed, locked."""

import json
import subprocess
import sys
from dataclasses import asdict

import keras
import pytest

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError, RunError
from tfseg.datasets.splits import make_splits
from tfseg.runs.cell import CellFailed, network_seed, run_cell_here
from tfseg.runs.folder import FAILURE, STOPPED, is_finished
from tfseg.training.progress import Progress, Stopped
from tfseg.training.strategy import threads_used

SMALL = ["model.filters=2", "model.depth=1", "training.epochs=3", "training.batch_size=6", "folds=3", "loss=dice"]


def values_of(prepared):
    split = make_splits(prepared.subjects, 3, 0)[0]
    config = load_config(None, SMALL).model_dump(mode="json")
    return {
        "config": config,
        "prepared": prepared.folder,
        "split": asdict(split),
        "fold": 0,
        "seed": 0,
        "devices": None,
        "threads": threads_used(),
    }


@pytest.fixture
def values(prepared):
    """Return the arguments of `run_cell_here`, except the folder to write."""
    return values_of(prepared)


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """Return the folder of a cell that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "cell"
    run_cell_here(**values_of(prepared), out=out)
    return out


def test_a_cell_holds_all_results(whole):
    names = {"best.keras", "history.csv", "fold.json", "scores.csv", "predictions", "controls.json", "logs"}
    assert {path.name for path in whole.iterdir()} == names
    assert json.loads((whole / "fold.json").read_text())["epochs"] == 3
    assert len(list((whole / "predictions").glob("*.nii.gz"))) == 2


def test_a_cell_with_rates_keeps_the_network_of_one_and_reports_all(values, tmp_path):
    values["config"]["training"] |= {"rates": [1e-6, 0.01], "epochs": 2}
    run_cell_here(**values, out=tmp_path / "cell")
    names = {"best.keras", "history.csv", "fold.json", "scores.csv", "predictions", "controls.json", "logs"}
    assert {path.name for path in (tmp_path / "cell").iterdir()} == names
    facts = json.loads((tmp_path / "cell" / "fold.json").read_text())
    assert facts["learning_rate"] == float(max(facts["rates"], key=facts["rates"].get))
    assert list(facts["rates"]) == ["1e-06", "0.01"]
    assert facts["epochs"] == 2


FRESH = """
import json, sys
from pathlib import Path
from tfseg.runs.cell import run_cell_here
values = json.loads(sys.argv[1])
values |= {name: Path(values[name]) for name in ("prepared", "out")}
run_cell_here(**values)
"""


def test_a_fresh_process_gives_the_same_bits(values, whole, tmp_path):
    """The arguments are plain values, passed as JSON."""
    plain = values | {"prepared": str(values["prepared"]), "out": str(tmp_path)}
    subprocess.run([sys.executable, "-c", FRESH, json.dumps(plain)], check=True, capture_output=True)
    assert (tmp_path / "scores.csv").read_bytes() == (whole / "scores.csv").read_bytes()
    history = [(place / "history.csv").read_text().splitlines() for place in (whole, tmp_path)]
    assert [line.split(",")[:4] for line in history[0]] == [line.split(",")[:4] for line in history[1]]


def test_a_cell_stopped_after_an_epoch_is_marked_and_resumes_with_the_same_scores(values, whole, tmp_path):
    seen = []

    def stop_after(epoch, scores):
        seen.append((epoch, scores["val_dice"]))
        return epoch == 1

    out = tmp_path / "stopped"
    run_cell_here(**values, out=out, progress=Progress(stop_after=stop_after))
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert (out / STOPPED).is_file() and not is_finished(out)
    assert json.loads((out / STOPPED).read_text()) == {"epochs": 2}
    resumed = []
    run_cell_here(**values, out=out, progress=Progress(on_resume=resumed.append))
    assert resumed == [2]
    assert is_finished(out) and not (out / STOPPED).exists()
    assert (out / "scores.csv").read_bytes() == (whole / "scores.csv").read_bytes()


def test_a_failure_leaves_its_reason(values, tmp_path):
    unfit = values | {"config": values["config"] | {"loss": {"name": "jaccard", "class_weights": [1, 2, 3, 4]}}}
    with pytest.raises(CellFailed, match="class_weights"):
        run_cell_here(**unfit, out=tmp_path, arm="weighted")
    failure = json.loads((tmp_path / FAILURE).read_text())
    assert (failure["arm"], failure["seed"], failure["fold"]) == ("weighted", 0, 0)
    assert "class_weights" in failure["reason"]


def test_a_wrong_call_is_not_recorded_as_a_failure(values, tmp_path):
    for wrong in ({"config": {"training": {"epoch": 3}}}, {"devices": "GPU:9"}):
        with pytest.raises(ConfigError):
            run_cell_here(**(values | wrong), out=tmp_path / "cell")
    assert not (tmp_path / "cell" / FAILURE).exists()


def test_another_number_of_threads_than_tensorflow_uses_is_refused(values, tmp_path):
    """TensorFlow already runs in this process."""
    with pytest.raises(ConfigError, match=r"training\.threads: TensorFlow already runs with \d+ in this process"):
        run_cell_here(**(values | {"threads": threads_used() + 1}), out=tmp_path)


HOLD = """
import sys
from pathlib import Path
from tfseg.core.claims import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_share_a_cell(values, tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(RunError, match=f"in use by process {other.pid} on "):
            run_cell_here(**values, out=tmp_path)
        other.communicate()
    assert other.returncode == 0
    assert not (tmp_path / FAILURE).exists()


def test_every_network_has_its_own_start_the_same_for_every_arm(values, tmp_path, monkeypatch):
    """The controls are written before the first step, at which these trainings are stopped."""

    def stopped(*_, **__):
        raise Stopped(0)

    monkeypatch.setattr(keras.Model, "fit", stopped)
    starts = {}
    for seed, fold, arm in ((0, 0, "dice"), (0, 0, "ce"), (0, 1, "dice"), (1, 0, "dice")):
        config = values["config"] | {"loss": {"name": arm}}
        out = tmp_path / f"{arm}_{seed}_{fold}"
        run_cell_here(**(values | {"config": config, "seed": seed, "fold": fold}), out=out)
        controls = json.loads((out / "controls.json").read_text())
        starts[arm, seed, fold] = controls["initial_weights_sha256"], controls["batches_sha256"]
    assert starts["dice", 0, 0] == starts["ce", 0, 0]
    assert len(set(starts.values())) == 3
    seeds = {network_seed(seed, fold) for seed in range(40) for fold in range(10)}
    assert len(seeds) == 400 and min(seeds) >= 0 and max(seeds) < 2**31
