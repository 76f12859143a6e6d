"""Settings of training, by out-of-fold Dice and processor time of some folds: the README's first command or any other.

    python benchmarks/folds.py FOLDER --folds 0,1 --threads 1 \\
        --try training.batch_size=4 --try "training.batch_size=4 training.epochs=15"
    python benchmarks/folds.py PREPARED --config configs/hippocampus.yaml --folds 0 --try model.norm=instance

Every --try trains the chosen folds. FOLDER keeps the phantoms, on which networks train with focal loss; PREPARED is a
prepared dataset.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import pandas as pd

from tfseg.config.config import Config, load_config
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.phantoms.dataset import write_dataset
from tfseg.datasets.phantoms.stand_ins import STAND_INS, StandIn
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared, split_subjects
from tfseg.runs.cell import run_cell_here


def phantoms(folder: Path, asked: StandIn = STAND_INS["abdomen"]) -> Prepared:
    """Make and prepare phantoms, by default those of `tfseg fit` without `--data`."""
    write_dataset(folder / "phantoms", *asked)
    dataset = read_dataset(folder / "phantoms")
    prepare_dataset(dataset, resolve(Recipe(), dataset), folder / "prepared")
    return Prepared(folder / "prepared")


def train_fold(config: Config, prepared: Prepared, fold: int, threads: int) -> float:
    """Train and score one fold, print what came of it, and return its mean Dice over labels."""
    split = split_subjects(config, prepared, None)[fold]
    began = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "cell"
        run_cell_here(
            config.model_dump(mode="json"), prepared.folder, asdict(split), fold, config.seed, None, threads, out
        )
        scores, history = pd.read_csv(out / "scores.csv"), pd.read_csv(out / "history.csv")
        facts = json.loads((out / "fold.json").read_text())
    dice = scores[scores["metric"] == "dice"].groupby("label")["value"].mean()
    labels = ", ".join(f"{label} {value:.3f}" for label, value in dice.items())
    print(
        f"  fold {fold}: {dice.mean():.3f} ({labels}), best epoch {facts['best_epoch']} of {facts['epochs']}, "
        f"{1000 * facts['seconds_per_step']:.0f} ms a step, {time.process_time() - began:.0f} s of processor time\n"
        f"    val_dice {' '.join(f'{value:.2f}' for value in history['val_dice'].dropna())}",
        flush=True,
    )
    return float(dice.mean())


def main() -> None:
    """Train the folds once for every --try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, help="of networks on a prepared dataset")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--try", dest="tries", action="append", default=[], metavar="A=B C=D")
    arguments = parser.parse_args()
    prepared = Prepared(arguments.folder) if arguments.config else phantoms(arguments.folder)
    usual = [] if arguments.config else ["loss=focal"]
    for settings in arguments.tries or [""]:
        overrides = [*usual, f"training.threads={arguments.threads}", *settings.split()]
        config = load_config(arguments.config, overrides)
        dice = [train_fold(config, prepared, int(fold), arguments.threads) for fold in arguments.folds.split(",")]
        print(f"{settings or 'defaults'}: {sum(dice) / len(dice):.3f}", flush=True)


if __name__ == "__main__":
    main()
