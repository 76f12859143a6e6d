"""What `tfseg doctor` says of this machine."""

import os

import keras
import numpy as np
import pytest

from tfseg import doctor
from tfseg.config import ConfigError


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


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="no device 'TPU:0' here"):
        doctor.examine("TPU:0")
