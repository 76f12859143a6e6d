"""Folders are taken by one command, for one thing, by one process at a time."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from tfseg.core.claims import LOCK, add_records, check, claim, claim_new, claimed, locked, owner_of
from tfseg.core.errors import ConfigError, DataError, RunError

RECORDS = {"config.yaml": "seed: 1\n"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_claim_writes_once_and_then_agrees(tmp_path):
    for _ in range(2):
        claim(tmp_path / "run", RECORDS)
    assert (tmp_path / "run" / "config.yaml").read_text() == "seed: 1\n"


def test_claim_refuses_another_run_and_leaves_it_alone(tmp_path):
    claim(tmp_path / "run", RECORDS)
    with pytest.raises(ConfigError, match=r"run: holds a run with another config\.yaml"):
        claim(tmp_path / "run", {"config.yaml": "seed: 2\n", "more.json": "{}"})
    assert (tmp_path / "run" / "config.yaml").read_text() == "seed: 1\n"
    assert names(tmp_path / "run") == ["config.yaml"]


def test_a_damaged_record_is_named(tmp_path):
    same = {"config.yaml": lambda earlier, now: json.loads(earlier) == json.loads(now)}
    for content in (b"\xff", b"[" * 100_000, b"{"):
        (tmp_path / "config.yaml").write_bytes(content)
        with pytest.raises(ConfigError, match=r"config\.yaml: damaged: "):
            claim(tmp_path, RECORDS, same=same)


def test_texts_that_mean_the_same_agree(tmp_path):
    claim(tmp_path, RECORDS)
    claim(tmp_path, {"config.yaml": "seed:  1"}, same={"config.yaml": lambda a, b: a.split() == b.split()})
    assert (tmp_path / "config.yaml").read_text() == "seed: 1\n"


@pytest.mark.parametrize("taken", [claim, check])
def test_a_folder_that_holds_other_files_is_refused(tmp_path, taken):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="files that are not a preparation's"):
        taken(tmp_path, RECORDS, "preparation")
    assert names(tmp_path) == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ConfigError, match="expected a folder to write, found a file"):
        claim(tmp_path / "run", RECORDS)


def test_a_folder_whose_first_file_was_being_written_is_taken(tmp_path):
    (tmp_path / ".unfinished-config.yaml").write_text("se")
    claim(tmp_path, RECORDS)
    assert names(tmp_path) == ["config.yaml"]


def test_records_are_added_once(tmp_path):
    claim(tmp_path, RECORDS)
    for _ in range(2):
        add_records(tmp_path, {"splits.json": "[]"})
    with pytest.raises(ConfigError, match=r"another splits\.json"):
        add_records(tmp_path, {"splits.json": "[ ]"})


def test_a_new_folder_must_not_exist(tmp_path):
    claim_new(tmp_path / "new")
    with pytest.raises(ConfigError, match="exists; choose a new folder"):
        claim_new(tmp_path)


def test_a_refused_folder_is_not_locked(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError), claimed(tmp_path, RECORDS):
        pass
    assert names(tmp_path) == ["thesis.tex"]


def test_the_lock_names_its_owner_and_goes_with_the_block(tmp_path):
    with claimed(tmp_path / "run", RECORDS):
        owner = owner_of(tmp_path / "run")
        assert owner is not None and owner["pid"] == os.getpid()
        with pytest.raises(RunError, match=f"in use by process {os.getpid()} on "), locked(tmp_path / "run"):
            pass
    assert names(tmp_path / "run") == ["config.yaml"]
    with locked(tmp_path / "run"):
        pass
    assert names(tmp_path / "run") == ["config.yaml"]


@pytest.mark.parametrize("error", [ConfigError, DataError])
def test_a_call_that_is_refused_gives_up_its_claim_unless_it_wrote_something(tmp_path, error):
    with pytest.raises(error), claimed(tmp_path / "run", RECORDS):
        raise error("no such label")
    assert not (tmp_path / "run").exists()
    with pytest.raises(error), claimed(tmp_path / "run", RECORDS):
        (tmp_path / "run" / "splits.json").write_text("[]")
        raise error("no such label")
    assert names(tmp_path / "run") == ["config.yaml", "splits.json"]


def test_work_that_fails_keeps_its_claim(tmp_path):
    with pytest.raises(RunError), claimed(tmp_path / "run", RECORDS):
        raise RunError("every fold failed")
    assert names(tmp_path / "run") == ["config.yaml"]


def test_a_lock_leaves_no_folder_that_it_made_for_nothing(tmp_path):
    with locked(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"):
        pass
    assert (tmp_path / "run").is_dir()


HOLD = """
import sys, time
from pathlib import Path
from tfseg.core.claims import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_owner_leaves_no_lock(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"in use by process {owner.pid} on"), locked(tmp_path):
            pass
        owner.send_signal(signal.SIGKILL)
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == owner.pid  # what the kill left behind
    with locked(tmp_path):
        assert owner_of(tmp_path)["pid"] == os.getpid()
    assert names(tmp_path) == []


def _add_one(folder, times):
    for _ in range(times):
        while True:
            try:
                with locked(folder / "lock"):
                    count = int((folder / "count").read_text())
                    time.sleep(0.001)
                    (folder / "count").write_text(str(count + 1))
                break
            except RunError:
                time.sleep(0.0005)


def test_two_writers_never_share_a_folder(tmp_path):
    """Processes that count up in turn lose nothing, though the lock file and its folder come and go."""
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_one, args=(tmp_path, 60)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "180"
