"""Choose the devices, threads and precision that a process trains with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfseg.core.errors import ConfigError
from tfseg.core.machine import usable_cores
from tfseg.core.quiet import quiet_stderr

Array = np.ndarray[Any, np.dtype[Any]]

# Every network is traced anew, in training and in prediction; TensorFlow warns as if one were traced again and again.
tf.get_logger().addFilter(lambda record: "tf.function retracing" not in record.getMessage())


@cache
def open_strategy(devices: str | None, threads: int | None) -> tf.distribute.Strategy:
    """Set the threads of this process and return the strategy for its devices.

    Args:
        devices: such as "GPU:0,GPU:1"; if None, all GPUs, or the CPU if there are none.
        threads: threads of an operation; if None, as many as there are cores.

    Raises:
        ConfigError: if a device does not exist, TensorFlow already runs with another number of threads, or Keras has
            another backend.
    """
    if (backend := keras.backend.backend()) != "tensorflow":
        raise ConfigError(f"KERAS_BACKEND: expected tensorflow to train, received {backend}; only losses run on others")
    set_threads(threads or usable_cores())
    return make_strategy(choose_devices(devices))


def set_threads(threads: int) -> None:
    """Let TensorFlow use this many threads within an operation, and run as many operations at once.

    Raises:
        ConfigError: if TensorFlow already runs with another number.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:  # TensorFlow has started
        if threads_used() != threads:
            message = f"training.threads: TensorFlow already runs with {threads_used()} in this process"
            raise ConfigError(f"{message}; received {threads}") from error


def threads_used() -> int:
    """Return the threads that an operation may use; as many as there are cores if nothing was set."""
    return tf.config.threading.get_intra_op_parallelism_threads() or usable_cores()


def logical_devices() -> list[str]:
    """Return the names of all devices, such as `CPU:0` and `GPU:0`."""
    with quiet_stderr():
        devices = tf.config.list_logical_devices()
    return [device.name.removeprefix("/device:") for device in devices]


def gpu_names() -> list[str]:
    """Return the product names of the GPUs, in the order `GPU:0`, `GPU:1`."""
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", "unknown GPU") for gpu in gpus]


def device_kinds(strategy: tf.distribute.Strategy) -> str:
    """Return the kind of each device of a strategy: "CPU, CPU", or the product names of the GPUs."""
    is_default = strategy is tf.distribute.get_strategy()
    devices = choose_devices(None)[:1] if is_default else strategy.extended.worker_devices
    gpus = gpu_names()
    parts = (device.split(":")[-2:] for device in devices)
    return ", ".join(gpus[int(number)] if kind == "GPU" else kind for kind, number in parts)


def choose_devices(devices: str | None) -> list[str]:
    """Return the names of the chosen logical devices: those in "GPU:0,GPU:2", else all GPUs, else one CPU.

    Raises:
        ConfigError: if a device does not exist or is named twice, or CPUs and GPUs are mixed.
    """
    available = logical_devices()
    if devices is None:
        return [name for name in available if name.startswith("GPU")] or ["CPU:0"]
    chosen = [name.strip().upper() for name in devices.split(",")]
    for name in chosen:
        if name not in available:
            raise ConfigError(f"--devices: no device {name!r}; available: {', '.join(available)}")
    if len(set(chosen)) < len(chosen) or len({name.split(":")[0] for name in chosen}) > 1:
        raise ConfigError(f"--devices: expected different devices of one kind, received {', '.join(chosen)}")
    return chosen


def sharing_evenly(devices: list[str], batch_sizes: Sequence[int]) -> list[str]:
    """Return the first devices, as many as can share every batch evenly.

    >>> sharing_evenly(["GPU:0", "GPU:1", "GPU:2", "GPU:3"], [2, 6])
    ['GPU:0', 'GPU:1']
    """
    counts = range(1, len(devices) + 1)
    return devices[: max(count for count in counts if not any(size % count for size in batch_sizes))]


def make_strategy(devices: list[str]) -> tf.distribute.Strategy:
    """Return a MirroredStrategy for several devices, or a strategy for a single one.

    A second MirroredStrategy on CPU devices crashes the process: make one and keep it.
    """
    if devices == ["CPU:0"] and not tf.config.list_physical_devices("GPU"):
        return tf.distribute.get_strategy()
    if len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(f"/device:{devices[0]}")
    on_cpu = devices[0].startswith("CPU")
    operations = tf.distribute.ReductionToOneDevice() if on_cpu else None
    return tf.distribute.MirroredStrategy([f"/device:{name}" for name in devices], cross_device_ops=operations)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Build networks that compute in the given precision; weights and probabilities stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
