"""Training throughput of tfseg beside a bare Keras loop and PyTorch: the same U-Net, loss and batches.

    python benchmarks/training_throughput.py [--peer-python .venv-peers/bin/python]
    python benchmarks/training_throughput.py --patch 64 --size 192 --batch-size 2 --steps 6

Slices of --size pixels, or with --patch cubes of so many voxels, for `unet_3d`, from volumes of that size. Rounds
alternate between the loops, so that what else the machine does falls on all of them alike. PyTorch runs in an
environment of its own, which the option names; without the option it is left out.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import keras
import pandas as pd
import tensorflow as tf

from tfseg.config.config import Config, load_config
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.phantoms.dataset import write_dataset
from tfseg.datasets.splits import Split
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.inputs import input_shape, make_batches
from tfseg.prepared.prepared import Prepared
from tfseg.training.fit import Progress, make_loss, train
from tfseg.training.network import make_network

WARM_UP_STEPS = 3


def prepare_phantoms(folder: Path, size: int) -> Prepared:
    """Prepare three abdomen phantoms: two to train on and one to validate with."""
    write_dataset(folder / "phantoms", "abdomen", subjects=3, size=size)
    dataset = read_dataset(folder / "phantoms")
    prepare_dataset(dataset, resolve(Recipe(), dataset), folder / "prepared")
    return Prepared(folder / "prepared")


def fit_images_per_second(config: Config, prepared: Prepared, folder: Path) -> tuple[float, float]:
    """Train as `tfseg fit` does, checkpoints and logs with it; the first epoch, in which graphs are made, not counted.

    Returns:
        Images per second, scoring of the validation subjects apart, and what that takes in parts of the training.
    """
    train_subject, val_subject, test_subject = prepared.subjects
    split = Split((train_subject,), (val_subject,), (test_subject,))
    ends: list[float] = []
    listener = Progress(on_epoch=lambda epoch, logs: ends.append(time.perf_counter()))
    train(config, prepared, split, 0, folder, tf.distribute.get_strategy(), listener)
    validation_seconds = float(pd.read_csv(folder / "history.csv")["validation_seconds"].iloc[1:].sum())
    seconds = ends[-1] - ends[0] - validation_seconds
    batches = make_batches(config.training, prepared, split.train, 0)
    images = batches.steps_per_epoch * config.training.batch_size * (len(ends) - 1)
    return images / seconds, validation_seconds / seconds


def bare_images_per_second(config: Config, prepared: Prepared, steps: int) -> float:
    """Call `train_on_batch` on an array in memory, and nothing else."""
    keras.backend.clear_session()
    model = make_network(config.model, input_shape(config.training.input, prepared), prepared.targets)
    model.compile(keras.optimizers.Adam(config.training.learning_rate), make_loss(config), jit_compile=False)
    batches = make_batches(config.training, prepared, prepared.subjects[:1], 0)
    images, labels = batches.load(batches.plan(0)[0])
    for _ in range(WARM_UP_STEPS):
        model.train_on_batch(images, labels)
    started = time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(images, labels)
    return steps * config.training.batch_size / (time.perf_counter() - started)


def torch_images_per_second(python: str, config: Config, prepared: Prepared, steps: int) -> float:
    """Run the peer in its own environment."""
    shape = input_shape(config.training.input, prepared)
    numbers = map(str, (config.training.batch_size, *shape, prepared.targets.channels, steps))
    script = Path(__file__).with_name("peer_torch_unet.py")
    done = subprocess.run([python, str(script), *numbers], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[0])


def main() -> None:
    """Measure, and print a table of medians, and of ratios within a round, their medians too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--patch", type=int, metavar="SIDE", help="train unet_3d on cubes of SIDE voxels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python")
    arguments = parser.parse_args()
    overrides = [f"training.batch_size={arguments.batch_size}", "training.epochs=3"]
    if arguments.patch:
        patch = [arguments.patch] * 3
        per_case = arguments.steps * arguments.batch_size
        overrides += ["model.name=unet_3d", f"training.input={{kind: patches, patch: {patch}, per_case: {per_case}}}"]
    config = load_config(None, overrides)
    speeds: dict[str, list[float]] = {"tfseg fit": [], "bare train_on_batch": [], "PyTorch, channels last": []}
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_phantoms(Path(folder), arguments.size)
        for number in range(arguments.rounds):
            speed, share = fit_images_per_second(config, prepared, Path(folder) / f"run_{number}")
            speeds["tfseg fit"].append(speed)
            shares.append(share)
            speeds["bare train_on_batch"].append(bare_images_per_second(config, prepared, arguments.steps))
            if arguments.peer_python:
                peer = torch_images_per_second(arguments.peer_python, config, prepared, arguments.steps)
                speeds["PyTorch, channels last"].append(peer)
    medians = {name: statistics.median(values) for name, values in speeds.items() if values}
    sides = "×".join(map(str, input_shape(config.training.input, prepared)[:-1]))
    print(f"{arguments.batch_size}×{sides}, {os.cpu_count()} cores")
    for name, median in medians.items():
        rounds = ", ".join(f"{value:.2f}" for value in speeds[name])
        ratio = statistics.median(fit / other for fit, other in zip(speeds["tfseg fit"], speeds[name], strict=True))
        print(f"{name:24} {median:6.2f} images/s   fit is {ratio:.2f} of it   ({rounds})")
    print(
        f"scoring one validation subject for each one trained on takes {statistics.median(shares):.3f} of the training"
    )


if __name__ == "__main__":
    main()
