"""What `tfseg doctor` says of this machine."""

import os
import sys

import keras
import numpy as np
import pytest

from tfseg.cli import app as cli
from tfseg.cli import doctor
from tfseg.core.errors import ConfigError


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return dict(doctor.examine("CPU:0", tmp_path_factory.mktemp("runs")))


def test_versions_and_machine_are_named(rows):
    assert rows["keras"] == keras.__version__
    assert rows["numpy"] == np.__version__
    assert rows["cores"] == str(os.cpu_count())
    assert int(rows["threads"]) >= 1
    assert "CPU:0" in rows["devices"]
    assert float(rows["memory"].removesuffix(" GiB")) > 0.5
    assert doctor._version("no-such-package") == "not installed"


def test_a_step_is_timed_on_every_device(rows):
    milliseconds, unit, rest = rows["step on CPU:0"].split(" ", 2)
    assert float(milliseconds) > 0
    assert (unit, rest) == ("ms", "for 8 slices of 128×128")


def test_a_step_that_fails_is_told_in_one_line(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no kernel\nfor this device")

    monkeypatch.setattr(doctor, "unet_2d", broken)
    assert doctor.training_step("CPU:0") == "failed: no kernel for this device"


def test_the_command_says_it_all_and_fails_where_a_step_does(monkeypatch, capsys):
    rows = [("python", "3.11"), ("step on CPU:0", "9 ms for 8 slices of 128×128")]
    monkeypatch.setattr(doctor, "examine", lambda devices: rows)
    monkeypatch.setattr(sys, "argv", ["tfseg", "doctor"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "python           3.11",
        "step on CPU:0    9 ms for 8 slices of 128×128",
    ]
    rows.append(("step on GPU:0", "failed: no kernel"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2] == "step on GPU:0    failed: no kernel"
    assert printed.err == "tfseg: this machine cannot train: step on GPU:0 failed\n"


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="no device 'TPU:0'"):
        doctor.examine("TPU:0")
