"""Cells on a real cluster end with the same bits, whatever is lost on the way."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tfseg.config.config import load_config
from tfseg.core.claims import InUse
from tfseg.core.errors import ConfigError, DataError, RunError
from tfseg.datasets.splits import make_splits
from tfseg.runs.cluster import check_answers, check_shared_devices
from tfseg.runs.dispatch import Outcome, run_fresh
from tfseg.runs.job import Job
from tfseg.runs.pools import OneAtATime, Parallel, _OnRay

EPOCHS = 16
SMALL = {"model": {"filters": 2, "depth": 1}, "training": {"epochs": EPOCHS, "batch_size": 6, "threads": 1}}
# The reports of runs, which take as long as their training, are left out.
FIT = """
import sys
from tfseg.cli import train
from tfseg.cli.app import main
sys.argv[0], train.write_report = "tfseg", lambda run: None
main()
"""


def fit(before, prepared, out, *more):
    """Cross-validate by the command; return the text of its configuration, and what it printed."""
    text = yaml.safe_dump({"loss": "dice", "folds": 2, **SMALL})
    config = out.with_suffix(".yaml")
    config.write_text(text)
    words = ["fit", "--prepared", str(prepared.folder), "--config", str(config), "--out", str(out), *more]
    done = subprocess.run([*before, sys.executable, "-c", FIT, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return text, done.stdout


@pytest.fixture(scope="module")
def one_after_another(prepared, tmp_path_factory):
    """A run folder, and the text of its configuration."""
    out = tmp_path_factory.mktemp("alone") / "run"
    return out, fit([], prepared, out)[0]


def test_a_fold_on_ray_has_the_bits_of_one_without(one_after_another, alone_on_network, prepared, tmp_path):
    earlier, _ = one_after_another
    run = shutil.copytree(earlier, tmp_path / "run")
    shutil.rmtree(run / "fold_1")
    (run / "scores.csv").unlink()
    assert "starting Ray" in fit(alone_on_network, prepared, run, "--parallel", "2")[1]
    for table in ("scores.csv", "summary.csv", "fold_1/scores.csv", "fold_1/history.csv"):
        drop = ["train_seconds", "validation_seconds"] if table.endswith("history.csv") else []
        tables = [pd.read_csv(folder / table).drop(columns=drop) for folder in (earlier, run)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_a_lost_worker_and_a_lost_machine_change_nothing(one_after_another, alone_on_network, prepared, tmp_path):
    run, config = one_after_another
    script = Path(__file__).with_name("losing_both.py")
    words = [sys.executable, str(script), str(prepared.folder), str(tmp_path / "run"), config]
    done = subprocess.run([*alone_on_network, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["failed"], result["lost"]) == ({}, ["worker", "machine"])
    assert len(result["resumed"]) >= 2
    for table in ("fold_0/scores.csv", "fold_1/scores.csv"):
        assert (run / table).read_bytes() == (tmp_path / "run" / table).read_bytes()


def job_of(prepared, out, **training):
    split = {name: list(part) for name, part in asdict(make_splits(prepared.subjects, 3, 0)[0]).items()}
    values = {**SMALL["training"], **training}
    config = load_config(None, ["loss=dice", "model.filters=2", "model.depth=1"]).model_dump(mode="json")
    config["training"] |= values
    return Job(config, str(prepared.folder), split, 0, 0, "CPU:0", 1, str(out), "dice")


def test_a_process_that_is_killed_again_and_again_is_a_failure_with_a_reason(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("tfseg.runs.dispatch._run_once", lambda job, gpus: (-signal.SIGKILL, "", "Killed"))
    outcome = run_fresh(job_of(prepared, tmp_path))
    assert outcome.failed == "killed by SIGKILL 3 times in a row, as happens if memory is short"
    failure = json.loads((tmp_path / "failure.json").read_text())
    assert (failure["reason"], failure["traceback"], failure["fold"]) == (outcome.failed, "Killed", 0)


def test_a_process_that_comes_further_each_time_is_started_again(prepared, tmp_path, monkeypatch):
    codes = iter([-9] * 6 + [0])
    history = tmp_path / "history.csv"
    history.write_text("epoch\n")

    def once(job, gpus):
        with history.open("a") as file:
            file.write("1\n")
        return next(codes), "{}", ""

    monkeypatch.setattr("tfseg.runs.dispatch._run_once", once)
    assert run_fresh(job_of(prepared, tmp_path)).failed is None


@pytest.mark.parametrize(
    "error", [ConfigError("c"), DataError("d"), RunError("r"), InUse("in use by process 7"), OSError(28, "disk full")]
)
def test_an_error_of_another_process_is_raised_as_its_kind(error):
    outcome = Outcome(**json.loads(json.dumps(asdict(Outcome.of_error(error)))))
    kind = RunError if isinstance(error, RunError) else type(error)
    with pytest.raises(kind) as raised:
        outcome.raise_error()
    assert str(raised.value) == str(error)


def test_a_fresh_process_says_what_is_wrong_with_the_call(prepared, tmp_path):
    outcome = run_fresh(job_of(prepared, tmp_path, epochs=0))
    with pytest.raises(ConfigError, match=r"training.epochs: Input should be greater than or equal to 1; received 0"):
        outcome.raise_error()


def test_a_fresh_process_ends_with_the_one_that_started_it(prepared, tmp_path):
    job = job_of(prepared, tmp_path, epochs=1000)
    code = "import sys; from tfseg.runs.dispatch import run_fresh; from tfseg.runs.job import Job\n"
    code += "run_fresh(Job.from_json(sys.argv[1]))"
    starter = subprocess.Popen([sys.executable, "-c", code, job.to_json()])
    lock = tmp_path / ".lock"
    while not lock.is_file() or not lock.read_text():
        time.sleep(0.05)
    process = json.loads(lock.read_text())["pid"]
    starter.kill()
    starter.wait()
    started = time.monotonic()
    while is_alive(process):
        assert time.monotonic() - started < 20, "it lives on"
        time.sleep(0.05)


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_threads_are_divided_among_the_networks(monkeypatch):
    monkeypatch.setattr("tfseg.runs.pools.usable_cores", lambda: 8)
    assert [Parallel(number).threads(5) for number in (None, 1, 2, 3, 8, 20)] == [1, 8, 4, 2, 1, 1]
    assert Parallel().threads(2) == 4
    assert Parallel(2, "head:6379").threads(5) == 1


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("127.0.0.1:1", RunError, "--ray-address 127.0.0.1:1: no cluster answers: Connection refused"),
        ("head", ConfigError, "--ray-address: expected HOST:PORT of the head machine, or auto; received head"),
        ("ray://head:10001", ConfigError, "received ray://head:10001"),
    ],
)
def test_a_cluster_that_does_not_answer(address, error, message):
    with pytest.raises(error, match=message):
        check_answers(address)


@pytest.mark.parametrize(
    ("answer", "message"),
    [(None, "no cluster answers: no answer after 0 s"), (b"SSH-2.0-OpenSSH", "what answers there is not Ray")],
)
def test_what_answers_may_be_silent_or_another_program(monkeypatch, answer, message):
    monkeypatch.setattr("tfseg.runs.cluster.ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer or b"")
                connection.recv(100)
                time.sleep(0.5)

        threading.Thread(target=serve, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RunError, match=f"--ray-address {address}: {message}"):
            check_answers(address)


def test_devices_of_a_machine_are_not_those_of_a_network():
    check_shared_devices("cpu:0")
    with pytest.raises(ConfigError, match="--devices: Ray divides the GPUs among the networks; leave out GPU:0"):
        check_shared_devices("GPU:0")


def on_machines(monkeypatch, *machines, at_once=None, threads=1, devices=None):
    """A pool on machines with these resources."""
    monkeypatch.setattr(_OnRay, "_nodes", lambda self: list(machines))
    return _OnRay(at_once, threads, is_gpu_free=devices is not None)


def test_no_more_networks_train_at_once_than_cores_and_memory_allow(monkeypatch):
    large, small = {"CPU": 8, "memory": 10e9}, {"CPU": 2, "memory": 4e9}
    pool = on_machines(monkeypatch, large, small, threads=2)
    assert pool.capacity() == 1, "until it is known what memory a network takes"
    pool.learn(int(1e9))
    assert pool.capacity() == 4 + 1, "the cores are divided by the threads"
    pool.learn(int(2e9))
    pool.learn(int(1e9))
    assert pool.capacity() == 4 + 1, "2.4 GB each: 10 GB hold four, 4 GB one"
    pool.learn(int(3e9))
    assert pool.capacity() == 2 + 1, "3.6 GB each"
    assert on_machines(monkeypatch, large, small, at_once=3).capacity() == 1
    pool = on_machines(monkeypatch, large, small, at_once=3)
    pool.learn(1)
    assert pool.capacity() == 3
    pool.learn(int(50e9))
    assert pool.capacity() == 1, "one that fits nowhere may try"


def test_networks_have_a_gpu_each_or_share_them_evenly(monkeypatch):
    machine = {"CPU": 16, "memory": 100e9, "GPU": 2}
    for at_once, share, capacity in ((None, 1, 2), (1, 1, 1), (2, 1, 2), (3, 0.5, 3), (4, 0.5, 4), (5, 1 / 3, 5)):
        pool = on_machines(monkeypatch, machine, at_once=at_once)
        pool.learn(1)
        assert (pool.gpus, pool.capacity()) == (share, capacity)
    pool = on_machines(monkeypatch, machine, devices="CPU:0")
    pool.learn(1)
    assert (pool.gpus, pool.capacity()) == (0, 16)


def test_one_at_a_time_needs_no_ray(prepared, tmp_path):
    code = (
        "import sys; from tfseg.runs.pools import OneAtATime, Parallel; from tfseg.runs.job import Job\n"
        "print(sorted({'ray', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert OneAtATime().capacity() == 1
    assert os.environ.get("RAY_ADDRESS") is None
