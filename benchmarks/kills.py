"""Kill `tfseg fit` with SIGKILL again and again, and compare what it ends with to a run that was never killed.

    python benchmarks/kills.py --kills 40

A third of the kills come at a random time, a third while any file is being written, and a third aim at a moment that
had the fewest so far. A killed run is started again until it ends; runs are made until there were enough kills, and
one at least at every moment of `REQUIRED`. Weights, scores, histories (without seconds) and prepared cases must be the
same, bit for bit; the exit code is 1 where they are not, or where a required moment had no kill.
"""

import argparse
import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import keras
import numpy as np
import pandas as pd

SETTINGS = [
    *("training.epochs=3", "training.batch_size=8", "model.filters=2", "model.depth=2", "folds=2"),
    *("training.validate_every_steps=2", "training.schedule={name: plateau, patience: 1, factor: 0.5}"),
]
MAIN = "from tfseg.cli.app import main; main()"
LONGEST_WAIT_S = 600
MOST_RUNS = 60
PREPARING, EPOCH, CHECKPOINT, BETWEEN, SCORING = (
    "preparation",
    "an epoch",
    "writing a checkpoint",
    "between folds",
    "writing scores",
)
REQUIRED = (PREPARING, EPOCH, CHECKPOINT, BETWEEN, SCORING)
WRITTEN = {
    CHECKPOINT: ("fold_*/checkpoint/.unfinished-*",),
    SCORING: ("fold_*/predictions/.unfinished-*", "fold_*/.unfinished-scores.csv"),
}


def command(data: Path, out: Path) -> list[str]:
    """The call of `tfseg fit`."""
    settings = [argument for setting in SETTINGS for argument in ("--set", setting)]
    return [sys.executable, "-c", MAIN, "fit", "--data", str(data), "--out", str(out), "--loss", "dice_ce", *settings]


def being_written(out: Path, since: float, patterns: Sequence[str] = ("**/.unfinished-*",)) -> list[Path]:
    """Temporary names of files that are being written, and were begun after a time: earlier kills left others."""
    found = []
    for path in (path for pattern in patterns for path in _matches(out, pattern)):
        with contextlib.suppress(FileNotFoundError):  # it was renamed meanwhile
            found += [path] if path.stat().st_mtime >= since else []
    return found


def _matches(out: Path, pattern: str) -> list[Path]:
    try:
        return sorted(out.glob(pattern))
    except FileNotFoundError:  # a folder was renamed meanwhile
        return []


def moment_of(out: Path, output: str, since: float) -> tuple[str, str]:
    """The state of a process that began at a time, from its files and its lines: the moment, and what it writes."""
    written = being_written(out, since)
    in_cases = any(path.parent.name == "cases" for path in written)
    writing = "a case" if in_cases else written[0].name.removeprefix(".unfinished-") if written else ""
    if "preparing ..." not in output:
        return "starting", writing
    if "preparing: done" not in output:
        return PREPARING, writing
    for moment, patterns in WRITTEN.items():
        if being_written(out, since, patterns):
            return moment, moment.removeprefix("writing ")
    folds = sorted(out.glob("fold_*"))
    begun = [fold for fold in folds if (fold / "controls.json").is_file()]
    is_open = [not (fold / "scores.csv").is_file() for fold in begun]
    if not any(is_open):
        return (BETWEEN if len(begun) == 1 else "the end" if begun else "before the first fold"), writing
    return (SCORING if (begun[-1] / "predictions").is_dir() else EPOCH), writing


def kill_once(call: list[str], out: Path, draw: random.Random, usual_s: float, rarest: str) -> tuple[str, str] | None:
    """Start, and kill at a moment by chance or at the one called `rarest`.

    Returns:
        As `moment_of`; None where the run ended before.
    """
    lines, since, began = out.with_suffix(".txt"), time.time(), time.monotonic()
    with lines.open("w") as output:
        process = subprocess.Popen(call, stdout=output, stderr=subprocess.DEVNULL)
    way, moment_s, writes = draw.choice(("time", "write", "aim")), draw.uniform(0, usual_s), draw.randint(1, 30)
    seen: set[Path] = set()

    def is_time() -> bool:
        if way == "time":
            return time.monotonic() - began >= moment_s
        if way == "write":
            seen.update(being_written(out, since))
            return len(seen) >= writes
        if rarest in WRITTEN:
            return bool(being_written(out, since, WRITTEN[rarest]))
        return moment_of(out, lines.read_text(), since)[0] == rarest

    while process.poll() is None and time.monotonic() - began < LONGEST_WAIT_S:
        if is_time():
            time.sleep(draw.uniform(0, 2) if way == "aim" and rarest == EPOCH else 0)
            break
        time.sleep(0.0005)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    return moment_of(out, lines.read_text(), since) if process.wait() == -signal.SIGKILL else None


def fingerprint(out: Path) -> dict[str, bytes]:
    """Return what must be the same, by name."""
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
    moments = collections.Counter(dict.fromkeys(REQUIRED, 0))
    writes: collections.Counter[str] = collections.Counter()
    different = runs = 0

    def more() -> bool:
        return moments.total() < arguments.kills or min(moments[moment] for moment in REQUIRED) == 0

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "phantoms"
        phantom = [sys.executable, "-c", MAIN, "phantom", str(data), "--subjects", "4", "--size", "32"]
        subprocess.run(phantom, check=True, stdout=subprocess.DEVNULL)
        started = time.monotonic()
        subprocess.run(command(data, Path(folder) / "whole"), check=True, stdout=subprocess.DEVNULL)
        usual_s = time.monotonic() - started
        expected = fingerprint(Path(folder) / "whole")
        while more() and runs < MOST_RUNS:
            runs += 1
            out = Path(folder) / f"killed_{runs}"
            call = command(data, out)
            while more() and (kill := kill_once(call, out, draw, usual_s, min(REQUIRED, key=moments.__getitem__))):
                moment, writing = kill
                moments[moment] += 1
                writes.update([writing] if writing else [])
                print(f"kill {moments.total()}: {moment}{f', writing {writing}' if writing else ''}", flush=True)
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
            found = fingerprint(out)
            wrong = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
            different += bool(wrong)
            print(f"run {runs}: {'the same bits' if not wrong else f'DIFFERENT: {sorted(wrong)}'}", flush=True)
    print(f"{moments.total()} kills in {runs} runs, {different} of which ended with other bits")
    for moment, count in moments.most_common():
        print(f"{count:4} {moment}")
    print(f"{writes.total()} of them while a file was being written:")
    for name, count in writes.most_common():
        print(f"{count:4} {name}")
    missed = [moment for moment in REQUIRED if not moments[moment]]
    if missed:
        print(f"no kill at: {', '.join(missed)}")
    sys.exit(1 if different or missed else 0)


if __name__ == "__main__":
    main()
