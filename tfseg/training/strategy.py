"""The devices that a process trains on."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfseg.config import ConfigError
from tfseg.quiet import quiet_stderr

Array = np.ndarray[Any, np.dtype[Any]]


def set_threads(threads: int | None) -> None:
    """Let TensorFlow use this many threads within an operation; its own choice where None."""
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def choose_devices(devices: str | None) -> list[str]:
    """Return names of logical devices: all GPUs (one CPU where there are none), or those in "GPU:0,GPU:2".

    Raises:
        ConfigError: on a device that is not there.
    """
    with quiet_stderr():
        found = tf.config.list_logical_devices()
    there = [device.name.removeprefix("/device:") for device in found]
    if devices is None:
        return [name for name in there if name.startswith("GPU")] or ["CPU:0"]
    chosen = [name.strip().upper() for name in devices.split(",")]
    for name in chosen:
        if name not in there:
            raise ConfigError(f"--devices: no device {name!r} here; there are {', '.join(there)}")
    return chosen


def make_strategy(devices: list[str]) -> tf.distribute.Strategy:
    """Return a MirroredStrategy over several devices, or a strategy for the only one.

    A second MirroredStrategy in one process crashes on CPU devices: make one and keep it.
    """
    if len(devices) == 1:
        return (
            tf.distribute.OneDeviceStrategy(f"/device:{devices[0]}")
            if devices[0] != "CPU:0"
            else tf.distribute.get_strategy()
        )
    on_cpu = devices[0].startswith("CPU")
    operations = tf.distribute.ReductionToOneDevice() if on_cpu else None
    return tf.distribute.MirroredStrategy([f"/device:{name}" for name in devices], cross_device_ops=operations)


def compiled_forward(model: keras.Model) -> Callable[[Array], Array]:
    """Return the network's prediction on NumPy batches `[batch, h, w, channels]`, dropout off, as one graph."""
    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)]
    graph = tf.function(lambda image: model(image, training=False), input_signature=signature, autograph=False)

    def forward(image: Array) -> Array:
        return np.asarray(graph(tf.constant(image)))

    return forward
