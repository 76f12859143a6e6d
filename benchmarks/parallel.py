"""Six networks at once beside six one after another, how long `tfseg tune` takes to start, and what Ray adds.

    python benchmarks/parallel.py
    python benchmarks/parallel.py --sizes 256 --slices 8
    python benchmarks/parallel.py --overhead 24

Whole commands, on prepared phantoms, by the clock. --overhead trains as many tiny networks, half of them in a plain
loop of processes and half as Ray's tasks, one at a time in turns; Ray's own start is left out.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tfseg.config.config import load_config
from tfseg.datasets.splits import make_splits
from tfseg.prepared.prepared import Prepared
from tfseg.runs.job import Job
from tfseg.runs.pools import Parallel, ray_pool

MAIN = "import sys; sys.argv[0] = 'tfseg'; from tfseg.cli.app import main; main()"
FOLDS = 6


def tfseg(*words: object) -> float:
    """Run a command; return its seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", MAIN, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def prepared_of(folder: Path, size: int, slices: int | None = None) -> Path:
    """Make and prepare phantoms of a size in pixels, stretched to so many slices each if that is given."""
    tfseg("phantom", folder / "phantoms", "--subjects", FOLDS, "--size", size)
    words: list[object] = []
    if slices is not None:
        recipe = folder / "recipe.yaml"
        size_px = f"size: [{size}, {size}], slices: {slices}"
        recipe.write_text(f"{{axis: axial, window_hu: [-26, 120], fit: stretch, {size_px}}}")
        words = ["--recipe", recipe]
    tfseg("prep", "--data", folder / "phantoms", "--out", folder / "prepared", *words)
    return folder / "prepared"


def fit(prepared: Path, out: Path, epochs: int, *more: object) -> float:
    """Cross-validate on prepared phantoms; return the seconds."""
    words = ("--prepared", prepared, "--out", out, "--loss", "dice_ce", "--folds", FOLDS, "--epochs", epochs)
    seconds = tfseg("fit", *words, *more)
    shutil.rmtree(out)
    return seconds


def run_plainly(job: Job) -> None:
    """Train a network in a process of its own, as a shell would."""
    command = [sys.executable, "-P", "-m", "tfseg.runs.fresh"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=job.process_environment(), text=True
    )
    process.stdin.write(job.to_json() + "\n")
    process.stdin.flush()  # and left open: the process ends with its caller
    if process.wait():
        sys.exit(f"{job.out}: ended with code {process.returncode}")


def print_overhead(prepared: Path, folder: Path, networks: int) -> None:
    """Train networks in turns by both ways; print the seconds that Ray adds to one."""
    settings = ["loss=dice", "model.filters=2", "model.depth=2", "training.epochs=1", "training.threads=1"]
    config = load_config(None, settings)
    split = asdict(make_splits(Prepared(prepared).subjects, 3, 0)[0])

    def job(number: int) -> Job:
        out = str(folder / f"network_{number}" / "fold_0")
        return Job(config.model_dump(mode="json"), str(prepared), split, 0, 0, None, 1, out, "dice")

    plain, on_ray = [], []
    with ray_pool(Parallel(1), 1, "CPU:0") as pool:
        for number in range(networks):
            started = time.perf_counter()
            if number % 2:
                handle = pool.submit(job(number))
                while not pool.ended([handle], 0.5):
                    pass
                pool.outcome(handle).raise_error()
                on_ray.append(time.perf_counter() - started)
            else:
                run_plainly(job(number))
                plain.append(time.perf_counter() - started)
    added = np.subtract(on_ray, plain)
    print(
        f"a network in a plain loop {np.median(plain):.1f} s; Ray adds {np.median(added):+.2f} s "
        f"(mean {added.mean():+.2f}, standard error {added.std(ddof=1) / np.sqrt(len(added)):.2f}), "
        f"{np.median(added) / 60:+.2%} of a minute"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--slices", type=int, help="of a subject; all if not given")
    parser.add_argument("--overhead", type=int, metavar="NETWORKS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.overhead:
            print_overhead(prepared_of(folder, 32), folder, arguments.overhead)
            return
        for size in arguments.sizes:
            prepared = prepared_of(folder / str(size), size, arguments.slices)
            one = fit(prepared, folder / "run", arguments.epochs)
            several = fit(prepared, folder / "run", arguments.epochs, "--parallel")
            print(
                f"{size}×{size}: one after another {one:.0f} s, --parallel {several:.0f} s, ratio {several / one:.2f}",
                flush=True,
            )
        prepared = folder / str(arguments.sizes[0]) / "prepared"
        space = folder / "space.yaml"
        space.write_text("training.learning_rate: {grid: [0.001]}\n")
        words = ("--prepared", prepared, "--space", space, "--epochs", 1, "--out", folder / "sweep")
        first = tfseg("tune", *words)
        print(f"tune of one trial {first:.0f} s, and again, finished: {tfseg('tune', *words):.1f} s")


if __name__ == "__main__":
    main()
