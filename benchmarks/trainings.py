"""Train one loss many times with different seeds on small phantoms: how far do networks differ by chance?

    python benchmarks/trainings.py FOLDER --seeds 60
    python benchmarks/verdicts.py trainings FOLDER/float32 --tables 500
    python benchmarks/trainings.py FOLDER --seeds 8 --precision mixed_bfloat16
    python benchmarks/trainings.py FOLDER --compare

Every seed trains three folds, the same for all seeds, and adds a table of scores to FOLDER/PRECISION. A seed that has
its table is not trained again. --compare pairs float32 with mixed_bfloat16 by seed and fold.
"""

import argparse
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import keras
import numpy as np
import pandas as pd
from folds import phantoms
from scipy import stats

from tfseg.config.config import Config, load_config
from tfseg.core import files
from tfseg.datasets.phantoms.stand_ins import StandIn
from tfseg.prepared.prepared import Prepared, split_subjects
from tfseg.runs.cell import run_cell_here

HEADS = StandIn("healthy_head", subjects=12, size=32)
SETTINGS = [
    "loss=dice",
    "folds=3",
    "model.filters=8",
    "model.depth=2",
    "model.dropout=[0,0]",
    "training.epochs=8",
    "training.batch_size=4",
    "training.learning_rate=0.01",
    "training.validate_every=4",
    "training.picture_every=null",
    "training.threads=1",
]


def train_seed(config: Config, prepared: Prepared, seed: int) -> pd.DataFrame:
    """Train and score every fold with one seed, and return the scores of all subjects."""
    parts = []
    for fold, split in enumerate(split_subjects(config, prepared, None)):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "cell"
            run_cell_here(config.model_dump(mode="json"), prepared.folder, asdict(split), fold, seed, None, 1, out)
            parts.append(pd.read_csv(out / "scores.csv"))
        keras.utils.clear_session()
        dice = parts[-1].loc[parts[-1]["metric"] == "dice", "value"].mean()
        print(f"seed {seed}, fold {fold}: {dice:.3f}, {time.perf_counter() - began:.1f} s", flush=True)
    return pd.concat(parts, ignore_index=True)


def network_dice(folder: Path) -> pd.Series:
    """Return the mean Dice of every network, over its test subjects and labels, by seed and fold."""
    scores = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.csv"))])
    return scores[scores["metric"] == "dice"].groupby(["seed", "fold"])["value"].mean()


def print_comparison(folder: Path) -> None:
    """Print the mean Dice of both precisions and the 90 % interval of their difference, paired by seed and fold."""
    pairs = pd.concat(
        {name: network_dice(folder / name) for name in ("float32", "mixed_bfloat16")}, axis=1, join="inner"
    )
    difference = (pairs["mixed_bfloat16"] - pairs["float32"]).to_numpy()
    half = stats.t.ppf(0.95, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference))
    print(pairs.mean().round(4).to_dict(), f"SD of networks {pairs['float32'].std():.4f}")
    print(f"{len(pairs)} pairs: difference {difference.mean():+.4f}, 90 % interval ±{half:.4f}")


def main() -> None:
    """Train what is missing, or compare what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--precision", choices=["float32", "mixed_bfloat16"], default="float32")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="A=B")
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    if arguments.compare:
        print_comparison(arguments.folder)
        return
    config = load_config(None, [*SETTINGS, f"training.precision={arguments.precision}", *arguments.settings])
    prepared = phantoms(arguments.folder, HEADS)
    for seed in range(arguments.seeds):
        table = arguments.folder / arguments.precision / f"s{seed:02d}.csv"
        if not table.exists():
            files.write_text(table, train_seed(config, prepared, seed).to_csv(index=False))


if __name__ == "__main__":
    main()
