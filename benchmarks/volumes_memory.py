"""Memory of training in 3D: the peak for 10 and for 100 subjects, each in a process of its own.

    python benchmarks/volumes_memory.py [--subjects 10 100]

The same steps on the same patches' size; only the number of volumes on disk differs.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.phantoms.dataset import write_dataset
from tfseg.datasets.splits import Split
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared
from tfseg.training.fit import train

SETTINGS = [
    *("model={name: unet_3d, filters: 4, depth: 2}", "training.epochs=2", "training.steps_per_epoch=20"),
    *("training.batch_size=2", "training.input={kind: patches, patch: [32, 32, 32], per_case: 8}"),
]


def train_here(folder: Path, out: Path) -> None:
    """Train in this process on every subject but the last; print the peak of its resident memory in MiB."""
    prepared = Prepared(folder)
    split = Split(tuple(prepared.subjects[:-1]), (prepared.subjects[-1],), ())
    train(load_config(None, SETTINGS), prepared, split, 0, out, tf.distribute.get_strategy())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure, and print a line for each number of subjects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--here", nargs=2, type=Path, metavar=("PREPARED", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        train_here(*arguments.here)
        return
    for subjects in arguments.subjects:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_dataset(folder / "phantoms", "abdomen", subjects=subjects, size=arguments.size)
            dataset = read_dataset(folder / "phantoms")
            prepare_dataset(dataset, resolve(Recipe(), dataset), folder / "prepared")
            volumes = sum(path.stat().st_size for path in folder.glob("prepared/cases/*/*.npy")) / 2**20
            command = [sys.executable, __file__, "--here", str(folder / "prepared"), str(folder / "run")]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"{subjects} subjects, {volumes:.0f} MiB prepared: peak {float(done.stdout.splitlines()[-1]):.0f} MiB")


if __name__ == "__main__":
    main()
