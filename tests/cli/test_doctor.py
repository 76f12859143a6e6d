"""`tfseg doctor` reports on this machine."""

import builtins
import os
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest

import tfseg.models
from tfseg.cli import app as cli
from tfseg.cli import doctor
from tfseg.core.errors import ConfigError


def test_the_machine_and_the_versions_are_named(tmp_path):
    rows = dict(doctor.machine(tmp_path))
    assert rows["tfseg"] == tfseg.__version__
    assert (rows["keras"], rows["numpy"]) == (keras.__version__, np.__version__)
    assert {"tensorflow", "nibabel", "edt", "connected-components-3d"} <= set(rows)
    assert "pytest" not in rows
    assert rows["cores"].endswith(f"of {os.cpu_count()}")
    assert float(rows["memory"].removesuffix(" GiB")) > 0.5
    assert float(rows["free disk"].removesuffix(" GiB")) > 0
    assert doctor.installed_version("no-such-package") == "not installed"


def test_the_machine_is_described_without_importing_what_it_lists():
    code = "import sys\nfrom tfseg.cli import doctor\nlist(doctor.machine())\n"
    code += "print(sorted({name.lower() for name in doctor.dependencies()} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['rich', 'typer']\n" or done.stdout == "['rich']\n"


def test_a_step_is_timed_on_every_device(monkeypatch):
    monkeypatch.setattr(tfseg.models, "unet_2d", partial(tfseg.models.unet_2d, filters=2, depth=1))
    rows = dict(doctor.training("CPU:0"))
    assert "CPU:0" in rows["devices"]
    assert rows["fit would use"] == "CPU:0"
    assert int(rows["threads"]) >= 1
    milliseconds, unit, rest = rows["step on CPU:0"].split(" ", 2)
    assert float(milliseconds) > 0
    assert (unit, rest) == ("ms", "for 8 slices of 128×128")


def test_a_step_that_fails_is_reported_in_one_line(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no kernel\nfor this device")

    monkeypatch.setattr(tfseg.models, "unet_2d", broken)
    assert doctor.training_step("CPU:0") == "failed: no kernel for this device"


def test_a_tensorflow_that_cannot_be_imported_is_reported(monkeypatch):
    def importing(name, *rest):
        if name == "tfseg.training":
            raise ImportError("libtensorflow.so:\n undefined symbol")
        return imports(name, *rest)

    imports = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", importing)
    rows = list(doctor.training(None))
    assert rows == [("import of tensorflow", "failed: ImportError: libtensorflow.so: undefined symbol")]


def test_the_command_prints_every_line_and_fails_if_a_step_does(monkeypatch, capsys):
    steps = [("step on CPU:0", "9 ms for 8 slices of 128×128")]
    monkeypatch.setattr(doctor, "machine", lambda: iter([("python", "3.11")]))
    monkeypatch.setattr(doctor, "training", lambda devices: iter(steps))
    monkeypatch.setattr(sys, "argv", ["tfseg", "doctor"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "python                   3.11",
        "step on CPU:0            9 ms for 8 slices of 128×128",
    ]
    steps.append(("step on GPU:0", "failed: no kernel"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2] == "step on GPU:0            failed: no kernel"
    assert printed.err == "tfseg: this machine cannot train: step on GPU:0 failed\n"


def test_a_device_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="no device 'TPU:0'"):
        list(doctor.training("TPU:0"))
