"""What a machine brings to training: versions, devices, threads, memory, and a training step on each device."""

import os
import platform
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import numpy as np

from tfseg.cli.terminal import Terminal
from tfseg.core.errors import RunError
from tfseg.core.quiet import quiet_stderr
from tfseg.losses import get
from tfseg.models import unet_2d
from tfseg.training.strategy import choose_devices, gpu_names, logical_devices, make_strategy, threads_used

PACKAGES = ("tfseg", "tensorflow", "keras", "numpy", "nibabel", "edt", "ray", "tensorboard")
BATCH, SIZE = 8, 128
FAILED = "failed: "


def examine(devices: str | None = None, folder: Path = Path()) -> list[tuple[str, str]]:
    """Return rows of what and its value, ending with a training step on every device, or with what it failed of.

    Args:
        devices: as `GPU:0,GPU:1`, those to try; all GPUs and the CPU where None.
        folder: where runs would be written, for its free space.

    Raises:
        ConfigError: on a device that is not there.
    """
    tried = choose_devices(devices) if devices else logical_devices()
    rows = [("python", platform.python_version()), ("platform", platform.platform())]
    rows += [(package, _version(package)) for package in PACKAGES]
    rows += [
        ("devices", ", ".join(logical_devices())),
        ("fit would use", ", ".join(choose_devices(devices))),
        ("cores", str(os.cpu_count())),
        ("threads", str(threads_used())),
        ("memory", f"{_memory_gib():.1f} GiB"),
        ("free disk", f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB"),
    ]
    rows += [(f"GPU:{number}", name) for number, name in enumerate(gpu_names())]
    return rows + [(f"step on {device}", training_step(device)) for device in tried]


def failures(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Return what could not be done, of rows as `examine` returns them."""
    return [what for what, value in rows if value.startswith(FAILED)]


def training_step(device: str) -> str:
    """Train the default 2D U-Net on noise for a step on a device; return the time of the next one, or the error."""
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
        return f"{FAILED}{' '.join(str(error).split())}"
    if not np.isfinite([first, second]).all():
        return f"{FAILED}the loss is {second}"
    return f"{1000 * seconds:.0f} ms for {BATCH} slices of {SIZE}×{SIZE}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def show_doctor(devices: str | None) -> None:
    """Print what this machine brings to training, with a training step on every device.

    Raises:
        ConfigError: on a device that is not there.
        RunError: where a training step failed, after all is printed.
    """
    terminal = Terminal()
    with quiet_stderr():
        rows = examine(devices)
    for what, value in rows:
        terminal.say(f"{what:16} {value}")
    if failed := failures(rows):
        raise RunError(f"this machine cannot train: {', '.join(failed)} failed")
