"""A training step of `unet_3d` in float32 and bfloat16, beside PyTorch's of the same network in channels-last format.

    python benchmarks/training_step_3d.py --peer-python .venv-peers/bin/python
    python benchmarks/training_step_3d.py --precisions float32

Every measurement has a process of its own; rounds alternate, so that what else the machine does falls on all alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BATCH, CHANNELS, CLASSES, WARM_UP_STEPS = 2, 1, 3, 3
PRECISIONS = ("float32", "mixed_bfloat16")


def images_per_second(precision: str, side: int, steps: int) -> dict[str, float]:
    """Call `train_on_batch` on arrays in memory; return images per second and the peak memory of the process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does
    import keras
    import numpy as np

    from tfseg import losses, models
    from tfseg.core import memory

    keras.config.set_dtype_policy(precision)
    model = models.unet_3d((side, side, side, CHANNELS), CLASSES)
    model.compile(keras.optimizers.Adam(1e-3), losses.get("dice_ce", overlap_over="batch"), jit_compile=False)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, side, side, side, CHANNELS)).astype("float32")
    labels = rng.integers(CLASSES, size=(BATCH, side, side, side, 1)).astype("uint8")
    for _ in range(WARM_UP_STEPS):
        model.train_on_batch(images, labels)
    started = time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(images, labels)
    return {"speed": steps * BATCH / (time.perf_counter() - started), "peak_mib": memory.peak_bytes() / 2**20}


def main() -> None:
    """Measure, and print medians, and ratios to PyTorch within a round, their medians too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--peer-python")
    parser.add_argument("--only", choices=PRECISIONS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    side, steps = arguments.side, arguments.steps
    if arguments.only:
        print(json.dumps(images_per_second(arguments.only, side, steps)))
        return
    own = {
        name: [sys.executable, __file__, "--only", name, f"--side={side}", f"--steps={steps}"]
        for name in arguments.precisions
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in (*own, "PyTorch, channels last")}
    numbers = [str(number) for number in (BATCH, side, side, side, CHANNELS, CLASSES, steps)]
    for _ in range(arguments.rounds):
        for name, command in own.items():
            values = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            measured[name].append((values["speed"], values["peak_mib"]))
        if arguments.peer_python:
            command = [arguments.peer_python, str(Path(__file__).with_name("peer_torch_unet.py")), *numbers]
            speed, peak_mib = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            measured["PyTorch, channels last"].append((float(speed), float(peak_mib)))
    cores = len(os.sched_getaffinity(0))
    print(f"{BATCH}×{side}×{side}×{side}, {cores} core{'s' * (cores > 1)}")
    peers = measured["PyTorch, channels last"]
    for name, rounds in measured.items():
        if rounds:
            seconds = statistics.median(BATCH / speed for speed, _ in rounds)
            line = f"{name:24} {seconds:6.2f} s a step, peak {statistics.median(peak for _, peak in rounds):5.0f} MiB"
            ratios = [peer / speed for (speed, _), (peer, _) in zip(rounds, peers, strict=False)]
            print(line + (f", {statistics.median(ratios):.2f} of PyTorch's time" if ratios else ""))


if __name__ == "__main__":
    main()
