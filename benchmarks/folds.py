"""Settings of training, by out-of-fold Dice and processor time of some folds: the README's first command or any other.

    python benchmarks/folds.py FOLDER --folds 0,1 --threads 1 \\
        --try training.batch_size=4 --try "training.batch_size=4 training.epochs=15"
    python benchmarks/folds.py PREPARED --config configs/hippocampus_25d.yaml --folds 1,2 --out flat
    python benchmarks/folds.py PREPARED --config configs/hippocampus_3d.yaml --folds 1,2 --out volumes --against flat

Every --try trains the chosen folds. FOLDER keeps the phantoms, on which networks train with focal loss; PREPARED is a
prepared dataset. --out keeps the networks, resumes and never trains a fold again; --against compares them with those of
another --out on the folds that both have.
"""

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import pandas as pd

from tfseg import statistics
from tfseg.config.config import Config, load_config
from tfseg.core import files
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.phantoms.dataset import write_dataset
from tfseg.datasets.phantoms.stand_ins import STAND_INS, StandIn
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared, split_subjects
from tfseg.runs.cell import run_cell_here
from tfseg.statistics.means import t_interval


def phantoms(folder: Path, asked: StandIn = STAND_INS["abdomen"]) -> Prepared:
    """Make and prepare phantoms, by default those of `tfseg fit` without `--data`."""
    write_dataset(folder / "phantoms", *asked)
    dataset = read_dataset(folder / "phantoms")
    prepare_dataset(dataset, resolve(Recipe(), dataset), folder / "prepared")
    return Prepared(folder / "prepared")


@contextlib.contextmanager
def kept(out: Path | None, config: Config) -> Iterator[Path]:
    """Open the folder that keeps the networks of one configuration, or a temporary one."""
    if out is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    stamp, text = out / "config.json", config.model_dump_json(indent=1)
    if stamp.exists() and stamp.read_text() != text:
        raise SystemExit(f"--out: {out} keeps networks of other settings; name another folder")
    files.write_text(stamp, text)
    yield out


def train_fold(config: Config, prepared: Prepared, fold: int, threads: int, out: Path) -> float:
    """Train and score one fold unless `out` holds its scores, print what came of it, and return its mean Dice."""
    split, began = split_subjects(config, prepared, None)[fold], time.process_time()
    if not (out / "scores.csv").exists():
        plain = config.model_dump(mode="json")
        run_cell_here(plain, prepared.folder, asdict(split), fold, config.seed, None, threads, out)
    scores, history = pd.read_csv(out / "scores.csv"), pd.read_csv(out / "history.csv")
    facts = json.loads((out / "fold.json").read_text())
    dice = scores[scores["metric"] == "dice"].groupby("label")["value"].mean()
    labels = ", ".join(f"{label} {value:.4f}" for label, value in dice.items())
    print(
        f"  fold {fold}: {dice.mean():.4f} ({labels}), best epoch {facts['best_epoch']} of {facts['epochs']}, "
        f"{1000 * facts['seconds_per_step']:.0f} ms a step, {time.process_time() - began:.0f} s of processor time\n"
        f"    val_dice {' '.join(f'{value:.3f}' for value in history['val_dice'].dropna())}",
        flush=True,
    )
    return float(dice.mean())


def dice_scores(folder: Path) -> pd.DataFrame:
    """Read the Dice of every test subject and label of the folds that a folder keeps."""
    scores = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("fold_*/scores.csv"))])
    return scores[scores["metric"] == "dice"].assign(arm=str(folder))


def print_difference(first: Path, second: Path) -> None:
    """Print how far the Dice of two folders differs on the folds that both have, paired by subject.

    The first interval is over subjects, and of these networks alone; the second is of networks trained anew too, by the
    model of `tfseg compare`.
    """
    both = [dice_scores(first), dice_scores(second)]
    common = set(both[0]["fold"]) & set(both[1]["fold"])
    scores = pd.concat(both, ignore_index=True)
    scores = scores[scores["fold"].isin(common)]
    means = scores.groupby(["arm", "case"], sort=False)["value"].mean().unstack(0)
    difference = means[str(first)] - means[str(second)]
    low, high = t_interval(difference.to_numpy())
    print(f"{first} - {second}, folds {sorted(common)}, {len(difference)} subjects: Dice {difference.mean():+.4f}")
    print(f"  95 % interval over subjects {low:+.4f} to {high:+.4f}")
    for row in statistics.compare_arms(statistics.questions(scores, {})).itertuples():
        sign = 1 if row.first == str(first) else -1
        low, high = sorted((sign * row.low, sign * row.high))
        print(f"  {row.label} {sign * row.difference:+.4f}, 95 % interval over networks too {low:+.4f} to {high:+.4f}")


def main() -> None:
    """Train the folds once for every --try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, help="of networks on a prepared dataset")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--try", dest="tries", action="append", default=[], metavar="A=B C=D")
    parser.add_argument("--out", type=Path, help="keeps the networks of a single --try")
    parser.add_argument("--against", type=Path, metavar="OUT", help="of another call")
    arguments = parser.parse_args()
    if arguments.out and len(arguments.tries) > 1:
        parser.error(f"--out: expected one --try, received {len(arguments.tries)}")
    if arguments.against and not arguments.out:
        parser.error("--against: expected --out, the folder to compare")
    prepared = Prepared(arguments.folder) if arguments.config else phantoms(arguments.folder)
    usual = [] if arguments.config else ["loss=focal"]
    for settings in arguments.tries or [""]:
        overrides = [*usual, f"training.threads={arguments.threads}", *settings.split()]
        config = load_config(arguments.config, overrides)
        folds = [int(fold) for fold in arguments.folds.split(",")]
        with kept(arguments.out, config) as folder:
            dice = [train_fold(config, prepared, fold, arguments.threads, folder / f"fold_{fold}") for fold in folds]
        print(f"{settings or 'defaults'}: {sum(dice) / len(dice):.4f}", flush=True)
    if arguments.against:
        print_difference(arguments.out, arguments.against)


if __name__ == "__main__":
    main()
