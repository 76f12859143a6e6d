"""Report what a machine brings to training: versions, devices, threads, memory, and a training step on each device."""

import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from tfseg import __version__
from tfseg.cli.terminal import Terminal
from tfseg.core.errors import RunError, one_line
from tfseg.core.machine import processor_name, usable_cores
from tfseg.core.memory import memory_bytes
from tfseg.core.quiet import quiet_stderr

BATCH, SIZE = 8, 128
FAILED = "failed: "

Row = tuple[str, str]


def show_doctor(devices: str | None) -> None:
    """Print what this machine brings to training, each line as it is known.

    Raises:
        ConfigError: if a device does not exist.
        RunError: if TensorFlow or a training step failed, after everything is printed.
    """
    terminal, failed = Terminal(), []
    for rows in (machine(), training(devices)):
        for what, value in rows:
            terminal.say(f"{what:24} {value}")
            if value.startswith(FAILED):
                failed.append(what)
    if failed:
        raise RunError(f"this machine cannot train: {', '.join(failed)} failed")


def machine(folder: Path = Path()) -> Iterator[Row]:
    """Yield the machine and the versions of tfseg and its dependencies, without importing any of them.

    Args:
        folder: where runs would be written, for its free space.
    """
    yield "tfseg", __version__
    yield "python", platform.python_version()
    yield "platform", platform.platform()
    yield "processor", processor_name()
    yield "cores", f"{usable_cores()} of {os.cpu_count()}"
    yield "memory", f"{memory_bytes() / 2**30:.1f} GiB"
    yield "free disk", f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB"
    for package in dependencies():
        yield package, installed_version(package)


def training(devices: str | None) -> Iterator[Row]:
    """Yield devices, threads and the time of a training step on each device.

    Args:
        devices: such as `GPU:0,GPU:1`; if None, all devices are tried.

    Raises:
        ConfigError: if a device does not exist.
    """
    try:
        with quiet_stderr():
            from tfseg.config.training import TrainingConfig
            from tfseg.training import strategy
    except Exception as error:  # an installation can be broken in many ways
        yield "import of tensorflow", f"{FAILED}{type(error).__name__}: {one_line(error)}"
        return
    chosen = strategy.choose_devices(devices)
    yield "devices", ", ".join(strategy.logical_devices())
    for number, name in enumerate(strategy.gpu_names()):
        yield f"GPU:{number}", name
    default = [TrainingConfig().batch_size]
    yield "fit would use", ", ".join(chosen if devices else strategy.sharing_evenly(chosen, default))
    yield "threads", str(strategy.threads_used())
    for device in chosen if devices else strategy.logical_devices():
        with quiet_stderr():
            result = training_step(device)
        yield f"step on {device}", result


def training_step(device: str) -> str:
    """Train the default 2D U-Net on noise for two steps; return the time of the second, or the error."""
    import keras
    import numpy as np

    from tfseg.losses import get
    from tfseg.models import unet_2d
    from tfseg.training.strategy import make_strategy

    rng = np.random.default_rng(0)
    image = rng.normal(size=(BATCH, SIZE, SIZE, 1)).astype(np.float32)
    label = rng.integers(0, 2, image.shape, np.uint8)
    try:
        with make_strategy([device]).scope():
            model = unet_2d((SIZE, SIZE, 1), 1)
            model.compile(keras.optimizers.Adam(), get("dice_ce"), jit_compile=False)
        first = float(model.train_on_batch(image, label))
        started = time.perf_counter()
        second = float(model.train_on_batch(image, label))
        seconds = time.perf_counter() - started
    except Exception as error:
        return f"{FAILED}{one_line(error)}"
    if not np.isfinite([first, second]).all():
        return f"{FAILED}the loss is {second}"
    return f"{1000 * seconds:.0f} ms for {BATCH} slices of {SIZE}×{SIZE}"


def dependencies() -> list[str]:
    """Return the packages that an installed tfseg requires."""
    try:
        required = requires("tfseg") or []
    except PackageNotFoundError:
        return ["tensorflow", "keras", "numpy"]
    return [re.split(r"[^\w.-]", each)[0] for each in required if "extra ==" not in each]


def installed_version(package: str) -> str:
    """Return the version of an installed package.

    >>> installed_version("no-such-package")
    'not installed'
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
