"""Compare training settings on a part of a prepared dataset, by the Dice of validation subjects.

    python benchmarks/default_training.py --prepared DIR --subjects 60 --epochs 5 \\
        --try training.learning_rate=0.001 --try "training.learning_rate=0.004 training.batch_size=16"

Settings are those of --config, if it is given. Every --try trains one network of the first fold: the same
subjects, weights and seed, other settings.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import pandas as pd
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.datasets.splits import make_splits
from tfseg.prepared.prepared import Prepared
from tfseg.training.fit import train


def main() -> None:
    """Train once for every --try, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--subjects", type=int, default=60, help="training subjects")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--try", dest="tries", action="append", default=[], metavar="A=B C=D")
    arguments = parser.parse_args()
    prepared = Prepared(arguments.prepared)
    for settings in arguments.tries or [""]:
        overrides = [f"training.epochs={arguments.epochs}", *settings.split()]
        config = load_config(arguments.config, overrides)
        fold = make_splits(prepared.subjects, config.folds, config.seed)[0]
        part = replace(fold, train=fold.train[: arguments.subjects])
        with tempfile.TemporaryDirectory() as folder:
            train(config, prepared, part, config.seed, Path(folder), tf.distribute.get_strategy())
            history = pd.read_csv(Path(folder) / "history.csv")
        last, best = history["val_dice"].iloc[-1], history["val_dice"].max()
        seconds = history["train_seconds"].iloc[1:].mean()
        print(f"{settings or 'defaults':60} val_dice {last:.4f} (best {best:.4f})  {seconds:.1f} s/epoch", flush=True)


if __name__ == "__main__":
    main()
