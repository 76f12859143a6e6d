"""Devices and strategies; a test with two logical devices is in `test_fit.py`, in its own process."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from tfseg.core.errors import ConfigError
from tfseg.core.machine import processor_name
from tfseg.models import unet_2d
from tfseg.prediction.forward import compiled_forward
from tfseg.training.strategy import (
    choose_devices,
    device_kinds,
    gpu_names,
    make_strategy,
    open_strategy,
    sharing_evenly,
)


def test_one_cpu_is_chosen_without_a_gpu():
    if tf.config.list_logical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    assert choose_devices(None) == ["CPU:0"]
    assert make_strategy(["CPU:0"]).num_replicas_in_sync == 1


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="no device 'GPU:7'; available: CPU:0"):
        choose_devices("GPU:7")


def test_another_backend_of_keras_is_refused(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ConfigError, match="KERAS_BACKEND: expected tensorflow to train, received jax"):
        open_strategy("none", 7)


@pytest.mark.parametrize("devices", ["CPU:0,CPU:0", "cpu:0, CPU:0", "GPU:0,CPU:0"])
def test_devices_must_be_distinct_and_of_one_kind(devices, monkeypatch):
    monkeypatch.setattr("tfseg.training.strategy.logical_devices", lambda: ["CPU:0", "GPU:0"])
    with pytest.raises(ConfigError, match=r"--devices: expected different devices of one kind, received .PU:0, CPU:0"):
        choose_devices(devices)


@pytest.mark.parametrize(
    ("available", "batch_sizes", "used"),
    [(1, [3], 1), (4, [2], 2), (4, [6], 3), (4, [8, 12], 4), (4, [8, 6], 2), (3, [1], 1)],
)
def test_as_many_devices_are_used_as_share_every_batch_evenly(available, batch_sizes, used):
    devices = [f"GPU:{number}" for number in range(available)]
    assert sharing_evenly(devices, batch_sizes) == devices[:used]


def test_device_kinds_name_the_hardware():
    kind = gpu_names()[0] if gpu_names() else "CPU"
    assert device_kinds(tf.distribute.get_strategy()) == kind
    assert device_kinds(tf.distribute.OneDeviceStrategy("/device:CPU:0")) == "CPU"
    assert processor_name() not in ("", "x86_64")


def test_forward_is_the_network_without_dropout():
    model = unet_2d((16, 16, 1), 2, filters=2, depth=1, dropout=(0.5, 0.5))
    forward = compiled_forward(model)
    image = np.random.default_rng(0).normal(size=(5, 16, 16, 1)).astype("float32")
    np.testing.assert_allclose(forward(image), np.asarray(model(image, training=False)), atol=1e-6)
    np.testing.assert_allclose(forward(image[:2]), forward(image)[:2], atol=1e-6)


def test_that_networks_are_traced_one_after_another_is_no_warning():
    said = "5 out of the last 5 calls to <function> triggered tf.function retracing. Tracing is expensive"
    received = [tf.get_logger().filter(logging.makeLogRecord({"msg": each})) for each in (said, "a layer is missing")]
    assert [bool(each) for each in received] == [False, True]
