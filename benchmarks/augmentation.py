"""Measure the cost of augmentation: `tfseg fit`'s training loop with every step of it, beside the same loop without.

    python benchmarks/augmentation.py [--rounds 3] [--epochs 3]

Slices are 8×256×256, patches 2×64×64×64. Rounds alternate, so that what else the machine does falls on both alike.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import pandas as pd
import tensorflow as tf

from tfseg.config.augmentation import AugmentationConfig
from tfseg.config.config import load_config
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.phantoms.dataset import write_dataset
from tfseg.datasets.splits import Split
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared
from tfseg.training.fit import train

SLICES = ["training.batch_size=8", "training.steps_per_epoch=8"]
PATCHES = [
    *("model.name=unet_3d", "training.batch_size=2", "training.steps_per_epoch=8"),
    "training.input={kind: patches, patch: [64, 64, 64], per_case: 16}",
]
STEPS = [f"{name}: {{}}" for name in AugmentationConfig.model_fields if name != "flip"]
EVERY = f"training.augmentation={{flip: {{axes: [left_right]}}, {', '.join(STEPS)}}}"
ALWAYS = EVERY.replace("{}", "{probability: 1}")


def prepare_phantoms(folder: Path, size: int) -> Prepared:
    """Prepare two abdomen phantoms: one to train on and one to validate with."""
    write_dataset(folder / "phantoms", "abdomen", subjects=2, size=size)
    dataset = read_dataset(folder / "phantoms")
    prepare_dataset(dataset, resolve(Recipe(), dataset), folder / "prepared")
    return Prepared(folder / "prepared")


def seconds_per_step(settings: list[str], prepared: Prepared, epochs: int) -> float:
    """Train as `tfseg fit` does; the first epoch, in which graphs are made, does not count."""
    config = load_config(None, [*settings, f"training.epochs={epochs + 1}", f"training.validate_every={epochs + 1}"])
    split = Split((prepared.subjects[0],), (prepared.subjects[1],), ())
    with tempfile.TemporaryDirectory() as out:
        train(config, prepared, split, 0, Path(out), tf.distribute.get_strategy())
        history = pd.read_csv(Path(out) / "history.csv").iloc[1:]
    return float((history["train_seconds"] / history["steps"]).median())


def main() -> None:
    """Measure, and print the medians of the ratios within a round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only", choices=["slices", "patches"])
    arguments = parser.parse_args()
    for name, size, settings in (("slices", 256, SLICES), ("patches", 192, PATCHES)):
        if arguments.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare_phantoms(Path(folder), size)
            rounds = [
                [seconds_per_step([*settings, *more], prepared, arguments.epochs) for more in ([], [EVERY], [ALWAYS])]
                for _ in range(arguments.rounds)
            ]
        print(f"{name}: {statistics.median(plain for plain, *_ in rounds):.3f} s a step without augmentation")
        for which, label in ((1, "every step, at its default probability"), (2, "every step, always")):
            speed = statistics.median(each[0] / each[which] for each in rounds)
            print(f"{label:40} {speed:.2f} of the speed without")


if __name__ == "__main__":
    main()
