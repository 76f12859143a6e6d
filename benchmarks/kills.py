"""Kill `tfseg fit` with SIGKILL again and again, and compare what it ends with to a run that was never killed.

    python benchmarks/kills.py --kills 40

Half of the kills come at a random time, the others while a file is being written: its temporary name is waited for.
A killed run is started again until it ends; runs are made until there were enough kills. Weights, scores, histories
(without seconds) and prepared cases must be the same, bit for bit; the exit code is 1 where they are not.
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

SETTINGS = [
    *("training.epochs=3", "training.batch_size=8", "model.filters=2", "model.depth=2", "folds=2"),
    *("training.validate_every_steps=2", "training.schedule={name: plateau, patience: 1, factor: 0.5}"),
]
MAIN = "from tfseg.cli import main; main()"
LONGEST_WAIT_S = 600


def command(data: Path, out: Path) -> list[str]:
    """The call of `tfseg fit`."""
    settings = [argument for setting in SETTINGS for argument in ("--set", setting)]
    return [sys.executable, "-c", MAIN, "fit", "--data", str(data), "--out", str(out), "--loss", "dice_ce", *settings]


def unfinished(out: Path) -> list[Path]:
    """Files that are being written."""
    return list(out.rglob(".unfinished-*"))


def stage_of(out: Path) -> str:
    """Where a run stands, from its files."""
    writing = " (writing)" if unfinished(out) else ""
    if not (out / "prepared" / "index.csv").is_file():
        return f"preparation{writing}"
    folds = sorted(out.glob("fold_*"))
    if not folds:
        return f"before the first fold{writing}"
    for fold in folds:
        if not (fold / "scores.csv").is_file():
            epochs = len(list((fold / "checkpoint").glob("[0-9]*.npz")))
            return f"{'in the first epoch' if epochs == 0 else 'later epochs or scoring'}{writing}"
    return f"between folds or at the end{writing}"


def kill_once(call: list[str], out: Path, draw: random.Random, usual_s: float) -> bool:
    """Start, and kill at a moment by chance; return False where the run ended before."""
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started, writes, seen = time.monotonic(), draw.randint(1, 30), set()
    at_write = draw.random() < 0.5
    moment = draw.uniform(0, usual_s)
    while process.poll() is None and time.monotonic() - started < LONGEST_WAIT_S:
        if at_write:
            seen.update(unfinished(out))
            if len(seen) >= writes:
                break
            time.sleep(0.001)
        elif time.monotonic() - started >= moment:
            break
        else:
            time.sleep(0.01)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def fingerprint(out: Path) -> dict[str, bytes]:
    """All that must be the same."""
    found = {name: (out / name).read_bytes() for name in ("scores.csv", "summary.csv", "prepared/index.csv")}
    for path in sorted((out / "prepared" / "cases").rglob("*.npy")):
        found[str(path.relative_to(out))] = path.read_bytes()
    for fold in sorted(out.glob("fold_*")):
        history = pd.read_csv(fold / "history.csv").drop(columns=["train_seconds", "validation_seconds"])
        weights = keras.saving.load_model(fold / "best.keras").get_weights()
        found[f"{fold.name}/history.csv"] = history.to_csv().encode()
        found[f"{fold.name}/best.keras"] = b"".join(np.ascontiguousarray(weight).tobytes() for weight in weights)
    return found


def main() -> None:
    """Kill, compare, and print where the kills fell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    stages: collections.Counter[str] = collections.Counter()
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "phantoms"
        phantom = [sys.executable, "-c", MAIN, "phantom", str(data), "--subjects", "4", "--size", "32"]
        subprocess.run(phantom, check=True, stdout=subprocess.DEVNULL)
        started = time.monotonic()
        subprocess.run(command(data, Path(folder) / "whole"), check=True, stdout=subprocess.DEVNULL)
        usual_s = time.monotonic() - started
        expected = fingerprint(Path(folder) / "whole")
        runs = 0
        while sum(stages.values()) < arguments.kills:
            runs += 1
            out = Path(folder) / f"killed_{runs}"
            call = command(data, out)
            while sum(stages.values()) < arguments.kills and kill_once(call, out, draw, usual_s):
                stages[stage_of(out)] += 1
                print(f"kill {sum(stages.values())}: {stage_of(out)}", flush=True)
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
            found = fingerprint(out)
            wrong = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
            different += bool(wrong)
            print(f"run {runs}: {'the same bits' if not wrong else f'DIFFERENT: {sorted(wrong)}'}", flush=True)
    print(f"{sum(stages.values())} kills in {runs} runs, {different} of which ended with other bits")
    for stage, count in stages.most_common():
        print(f"{count:4} {stage}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
