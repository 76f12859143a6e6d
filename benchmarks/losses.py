"""Measure forward and backward time and peak memory of every loss, and of MONAI's if it has the loss.

    python benchmarks/losses.py --peer-python .venv-peers/bin/python [--losses dice,focal] [--out losses.md]

Truth (blobs) and prediction (the truth blurred, with noise) have one channel. Both sides get the same arrays and the
same number of threads, 1 by default. A round measures each loss here and then in the peer's process, and, for 2D sizes,
a training step of `unet_2d` with a loss that costs almost nothing. A time is the processor time of all threads, which
other work on the machine disturbs less than wall-clock time (--clock): the mean over the calls of a round, then the
minimum over the rounds, without tracing. The first ratio is of these minima, the second the median over the rounds. A
call computes several pairs, as a loss is only part of a training step. Memory is the peak growth of the resident memory
of a fresh process during its first call at that size, gradient included, after a call on a corner of the inputs.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import keras
import numpy as np
import tensorflow as tf
from measuring import peak_mib, round_ms
from scipy import ndimage

from tfseg import losses
from tfseg.core.files import write_text
from tfseg.models import unet_2d

CORNER = 32  # voxels along each axis of the inputs of a first call, which loads libraries and starts threads
PEER = Path(__file__).with_name("peer_monai_losses.py")


def write_inputs(path: Path, shape: tuple[int, ...]) -> None:
    """Blobs that fill about a fifth of `[batch, *spatial]`, and probabilities in [0.005, 0.995]."""
    rng = np.random.default_rng(0)
    space = range(1, len(shape))
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 8, axes=space)
    truth = noise > 0.8 * noise.std()
    blurred = ndimage.gaussian_filter(truth.astype(float), 2, axes=space)
    prediction = np.clip(blurred + 0.1 * rng.standard_normal(shape), 0.005, 0.995)
    np.savez(path, truth=truth.astype(np.float32), prediction=prediction.astype(np.float32))


def read_inputs(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction, `[batch, *spatial, 1]`."""
    with np.load(path) as inputs:
        return inputs["truth"][..., None], inputs["prediction"][..., None]


def step(name: str, truth: np.ndarray, prediction: np.ndarray, times: int = 1) -> Callable[[], Any]:
    """A traced call that returns the losses of `times` pairs of truth and prediction, and their gradients.

    The pairs are computed one after another, as in the peer; otherwise a graph starts all of them at once and needs the
    memory of all.
    """
    pairs = [(tf.constant(np.roll(truth, n, 1)), tf.constant(np.roll(prediction, n, 1))) for n in range(times)]
    loss = losses.get(name)

    @tf.function
    def forward_backward(pairs: list[tuple[tf.Tensor, tf.Tensor]]) -> list[tuple[tf.Tensor, tf.Tensor]]:
        results: list[tuple[tf.Tensor, tf.Tensor]] = []
        for y, p in pairs:
            with tf.control_dependencies(results[-1] if results else []), tf.GradientTape() as tape:
                p = tf.identity(p)
                tape.watch(p)
                value = loss(y, p)
                results.append((value, tape.gradient(value, p)))
        return results

    traced = forward_backward.get_concrete_function(pairs)
    return lambda: traced(pairs)


def training_step(truth: np.ndarray) -> Callable[[], Any]:
    """A call of `train_on_batch` of `unet_2d`, with the mean of its prediction as the loss."""
    model = unet_2d(truth.shape[1:], 1)
    model.compile("adam", lambda _, prediction: keras.ops.mean(prediction), jit_compile=False)
    images = np.random.default_rng(0).standard_normal(truth.shape, np.float32)
    return lambda: model.train_on_batch(images, truth)


def memory(name: str, path: Path, threads: int) -> float:
    """Peak memory of one call in MiB; for a fresh process."""
    use_threads(threads)
    truth, prediction = read_inputs(path)
    corner = (slice(1), *[slice(CORNER)] * (truth.ndim - 2))
    step(name, truth[corner], prediction[corner])()
    return peak_mib(step(name, truth, prediction))


def use_threads(threads: int) -> None:
    """Set the number of threads of TensorFlow."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


class Peer:
    """MONAI in its own environment; without a Python for it, it has no losses."""

    def __init__(self, python: str | None, inputs: Path, threads: int, in_a_call: int, clock: bool) -> None:
        self.command = [str(python), str(PEER), str(inputs), str(threads), str(in_a_call)]
        if clock:
            self.command.append("--clock")
        self.losses: dict[str, str] = {}
        if python:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, text=True)
            self.losses = json.loads(self.process.stdout.readline())

    def round_ms(self, name: str) -> float:
        """The time of a round, as `measuring.round_ms`."""
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def memory(self, name: str) -> float:
        """Peak memory in MiB, measured in another process."""
        done = subprocess.run([*self.command, "--memory", name], check=True, capture_output=True, text=True)
        return float(done.stdout)

    def close(self) -> None:
        """End the process."""
        if self.losses:
            self.process.communicate()


def measure(
    names: list[str],
    inputs: Path,
    peer: Peer,
    rounds: int,
    threads: int,
    in_a_call: int,
    clock: bool,
    with_memory: bool,
) -> dict[str, dict[str, float]]:
    """Minimum times and memory of each loss: ours_ms, ours_mib and, if available, peer_ms, peer_mib, share.

    `ratio` is the median over the rounds of our time divided by the peer's.
    """
    truth, prediction = read_inputs(inputs)
    calls = {name: step(name, truth, prediction, in_a_call) for name in names}
    train = training_step(truth) if truth.ndim == 4 else None
    times: dict[str, list[float]] = {}
    for number in range(rounds):
        print(f"{inputs.stem}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name, call in calls.items():
            times.setdefault(name, []).append(round_ms(call, clock) / in_a_call)
            if name in peer.losses:
                times.setdefault(f"peer {name}", []).append(peer.round_ms(name) / in_a_call)
        if train:
            times.setdefault("step", []).append(round_ms(train, clock))
    least = {name: min(values) for name, values in times.items()}
    rows: dict[str, dict[str, float]] = {}
    if with_memory:
        print(f"{inputs.stem}: memory", file=sys.stderr, flush=True)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        for name in names:
            rows[name] = {"ours_ms": least[name]}
            if name in peer.losses:
                rows[name]["peer_ms"] = least[f"peer {name}"]
                rows[name]["ratio"] = float(np.median(np.divide(times[name], times[f"peer {name}"])))
            if with_memory:
                rows[name]["ours_mib"] = fresh.apply(memory, (name, inputs, threads))
            if with_memory and name in peer.losses:
                rows[name]["peer_mib"] = peer.memory(name)
            if train:
                rows[name]["share"] = least[name] / (least[name] + least["step"])
    if train:
        rows["(training step without a loss)"] = {"ours_ms": least["step"]}
    return rows


def table(rows: dict[str, dict[str, float]], monai: dict[str, str]) -> str:
    """Format the rows in Markdown."""
    lines = [
        "| loss | ms | MONAI | ms | ratios | peak MiB | MONAI MiB | share of a step |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        cells = [name, _cell(row, "ours_ms"), monai.get(name, ""), _cell(row, "peer_ms")]
        cells += [f"{row['ours_ms'] / row['peer_ms']:.2f}, {row['ratio']:.2f}" if "peer_ms" in row else ""]
        cells += [_cell(row, "ours_mib"), _cell(row, "peer_mib")]
        cells += [f"{100 * row['share']:.1f} %" if "share" in row else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: dict[str, float], key: str) -> str:
    return f"{row[key]:.3g}" if key in row and row[key] < 100 else f"{row[key]:.0f}" if key in row else ""


def main() -> None:
    """Measure, print a table for each size, and write them to --out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", help="comma-separated names; default: all")
    parser.add_argument("--sizes", default="8x256x256,2x96x96x96", help="batch and spatial axes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--in-a-call", type=int, default=4, help="pairs per call; they share the 0.3 ms of a call")
    parser.add_argument("--clock", action="store_true", help="wall-clock time instead of processor time")
    parser.add_argument("--without-memory", action="store_true", help="measure only times, which is much faster")
    parser.add_argument("--peer-python", help="Python of an environment with MONAI; default: measure only tfseg")
    parser.add_argument("--out", type=Path, help="Markdown file")
    arguments = parser.parse_args()
    names = arguments.losses.split(",") if arguments.losses else list(losses.LOSSES)
    rounds, threads, in_a_call, clock = arguments.rounds, arguments.threads, arguments.in_a_call, arguments.clock
    use_threads(threads)
    load = os.getloadavg()[0]  # of other processes, before this one adds its own
    threads_used = f"{threads} threads on {os.cpu_count()} cores, {'on the clock' if clock else 'processor time'}"
    text = [f"{threads_used}, {rounds} rounds, load before the start {load:.1f}"]
    print(text[0], end="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes.split(","):
            inputs = Path(folder) / f"{size}.npz"
            write_inputs(inputs, tuple(map(int, size.split("x"))))
            peer = Peer(arguments.peer_python, inputs, threads, in_a_call, clock)
            rows = measure(names, inputs, peer, rounds, threads, in_a_call, clock, not arguments.without_memory)
            peer.close()
            text += [f"### {size.replace('x', '×')}", table(rows, peer.losses)]
            print("\n\n".join(text[-2:]), end="\n\n", flush=True)
    if arguments.out:
        write_text(arguments.out, "\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
