"""The devices of a network are chosen before any work begins."""

import pytest

from tfseg.cli import setting
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
    with pytest.raises(ConfigError, match=r"training\.batch_size: 3 devices cannot share 4 slices evenly"):
        setting.check_devices(configs(6, 4), "GPU:1,GPU:2,GPU:3")
