"""The devices of a network, and what cannot be measured of one, are known before any work begins."""

import json

import pytest

from tfseg.cli import setting
from tfseg.cli.datasets import Source
from tfseg.cli.terminal import Terminal
from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError

GPUS = [f"GPU:{number}" for number in range(4)]


@pytest.fixture
def four_gpus(monkeypatch):
    """Pretend that there are four GPUs; return the strategies that are opened."""
    opened = []
    monkeypatch.setattr(setting, "set_threads", lambda threads: None)
    monkeypatch.setattr(setting, "choose_devices", lambda devices: devices.split(",") if devices else GPUS)
    monkeypatch.setattr(setting, "open_strategy", lambda devices, threads: opened.append((devices, threads)))
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    return opened


def configs(*sizes):
    return [load_config(None, [f"training.batch_size={size}", "training.threads=3"]) for size in sizes]


def test_as_many_gpus_are_used_as_share_the_batches_of_all_arms_evenly(four_gpus):
    assert setting.check_devices(configs(2), None) == GPUS[:2]
    assert setting.check_devices(configs(12, 6), None) == GPUS[:3]
    assert four_gpus == [("GPU:0,GPU:1", 3), ("GPU:0,GPU:1,GPU:2", 3)]


def test_networks_that_train_at_the_same_time_have_one_each(four_gpus, monkeypatch):
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    assert setting.check_devices(configs(8), None, one_each=True) == GPUS[:1]
    assert four_gpus == [("GPU:0", 3)]


def test_devices_that_are_named_must_share_every_batch_evenly(four_gpus):
    assert setting.check_devices(configs(6), "GPU:1,GPU:2,GPU:3") == GPUS[1:]
    with pytest.raises(ConfigError, match=r"training\.batch_size: 3 devices cannot share batches of 4 evenly"):
        setting.check_devices(configs(6, 4), "GPU:1,GPU:2,GPU:3")


def test_what_cannot_be_measured_of_an_arm_or_a_fold_is_refused_before_any_trains(prepared, tmp_path):
    """The second of two arms has no dropout; the last of two folds has one validation subject."""
    small = ["model.filters=2", "model.depth=1"]
    samples = [*small, "uncertainty={samples: 2, temperature: none}"]
    arms = [load_config(None, [*samples, f"model.dropout=[{rate},{rate}]"]) for rate in (0.2, 0.0)]
    per_class = [load_config(None, [*small, "uncertainty.temperature=per_class"])]
    subjects = prepared.subjects
    folds = [
        {"train": subjects[:3], "val": subjects[3:5], "test": subjects[5:]},
        {"train": subjects[3:], "val": subjects[:1], "test": subjects[1:3]},
    ]
    (tmp_path / "splits.json").write_text(json.dumps(folds))
    for configs, message in ((arms, "the network has no dropout"), (per_class, "at least 2 validation .* received 1")):
        with pytest.raises(ConfigError, match=message):
            setting.set_up(
                configs, [0], Source(prepared=prepared.folder), tmp_path, tmp_path / "splits.json", Terminal()
            )
