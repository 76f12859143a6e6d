"""Preparing scans beside MONAI's transforms, the input pipeline's rate, and memory for 10 and 100 phantoms.

    python benchmarks/preparation.py --peer-python .venv-peers/bin/python --hippocampus DIR --brats DIR

tfseg reads, checks, hashes, prepares and writes; MONAI reads and transforms. Rounds alternate between the two, so
that what else the machine does falls on both alike, and the least time counts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from timing import once

from tfseg.datasets.layouts import Dataset, read_dataset
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, processes_for, resolve

HIPPOCAMPUS = Recipe(axis="axial", median_kernel=3, scaling="zscore", size=(64, 64))
BRATS = Recipe(axis="axial", scaling="zscore", scaling_over="nonzero", size=(256, 256))
SLICES, SIDE, BATCH = 800, 256, 8

PREPARE_PHANTOMS = """
import dataclasses
import sys
from pathlib import Path
from tfseg.datasets.layouts import read_dataset
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve

if __name__ == "__main__":
    dataset = read_dataset(Path(sys.argv[1]))
    cases, processes = int(sys.argv[3]), int(sys.argv[4])
    dataset = dataclasses.replace(dataset, cases=dataset.cases[:cases])
    prepare_dataset(dataset, resolve(Recipe(median_kernel=3), dataset), Path(sys.argv[2]), processes=processes)
"""

# Two folds of two epochs, and the scores of every subject.
FIT_PHANTOMS = """
import sys
from tfseg.cli.app import main

if __name__ == "__main__":
    sys.argv[1:] = ["fit", "--prepared", sys.argv[1], "--out", sys.argv[2], "--loss", "dice", "--folds", "2",
                    "--epochs", "2", "--set", "model.filters=4"]
    main()
"""


def beside_monai(title: str, dataset: Dataset, recipe: Recipe, peer_python: str, rounds: int) -> None:
    """Print the least times of tfseg and of MONAI, in one process and in two workers, and their ratios."""
    processes = processes_for(dataset, os.cpu_count() or 1)
    resolved = resolve(recipe, dataset)
    ways = {"MONAI, one process": (0, os.cpu_count()), "MONAI, two workers": (2, 1)}
    measured: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            prepare = once(
                lambda out=Path(folder): prepare_dataset(dataset, resolved, out / "out", processes=processes)
            )
            measured.setdefault(f"tfseg, {processes} processes", []).append(prepare)
            for way, (workers, threads) in ways.items():
                task = Path(folder) / "task.json"
                task.write_text(json.dumps(task_of(dataset, resolved, workers, threads or 1)))
                measured.setdefault(way, []).append(peer(peer_python, task))
    print(f"{title}, {len(dataset.cases)} cases; least of {rounds} rounds\n{'':24}{'clock s':>9}{'cpu s':>9}")
    least = {way: {time: min(r[time] for r in runs) for time in ("clock_s", "cpu_s")} for way, runs in measured.items()}
    for way, times in least.items():
        print(f"{way:24}{times['clock_s']:9.2f}{times['cpu_s']:9.2f}")
    own, *others = least.values()
    quickest = min(other["clock_s"] for other in others)
    print(f"on the clock, tfseg takes {own['clock_s'] / quickest:.2f} of MONAI's quicker way\n")


def task_of(dataset: Dataset, recipe: Recipe, workers: int, threads: int) -> dict[str, Any]:
    """Return the task for MONAI."""
    cases = [{"image": [str(path) for path in case.images], "label": str(case.label)} for case in dataset.cases]
    return {
        "cases": cases,
        "median": recipe.median_kernel == 3,
        "nonzero": recipe.scaling_over == "nonzero",
        "size": list(recipe.size or ()),
        "workers": workers,
        "threads": threads,
    }


def peer(python: str, task: Path) -> dict[str, float]:
    """Run MONAI in its environment."""
    script = Path(__file__).with_name("peer_preparation.py")
    done = subprocess.run([python, str(script), str(task)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def pipeline_rate(folder: Path) -> float:
    """Slices a second that the input pipeline gives, without augmentation, from cases on disk."""
    from tfseg.preparation.slicing import SliceGrid
    from tfseg.prepared.batches import SliceBatches
    from tfseg.prepared.pipeline import as_dataset
    from tfseg.prepared.prepared import PreparedCase
    from tfseg.prepared.stored import StoredArray

    rng = np.random.default_rng(0)
    cases = []
    for number in range(SLICES // 100):
        np.save(folder / f"{number}.npy", rng.random((100, SIDE, SIDE, 1), np.float32))
        np.save(folder / f"{number}_label.npy", np.zeros((100, SIDE, SIDE), np.uint8))
        image, label = (StoredArray.open(folder / f"{number}{what}.npy") for what in ("", "_label"))
        grid = SliceGrid.of((SIDE, SIDE, 100), np.eye(4), "axial", (SIDE, SIDE))
        cases.append(PreparedCase(str(number), str(number), image, label, grid))
    batches = SliceBatches(cases, BATCH, seed=0)
    stream = iter(as_dataset(batches))

    def epoch() -> None:
        for _ in range(batches.steps_per_epoch):
            next(stream)

    epoch()
    return batches.steps_per_epoch * BATCH / min(once(epoch)["clock_s"] for _ in range(3))


def print_memory(folder: Path) -> None:
    """Print the resident memory of the largest process that prepares 10 and 100 phantoms, and that trains on them."""
    from tfseg.datasets.phantoms.dataset import write_dataset

    write_dataset(folder / "phantoms", "abdomen", 100, size=64)
    for name, text in (("prepare.py", PREPARE_PHANTOMS), ("fit.py", FIT_PHANTOMS)):
        (folder / name).write_text(text)
    for processes in (1, 2):
        mib = [
            peak_mib(folder / "prepare.py", folder / "phantoms", folder / f"{cases}_{processes}", cases, processes)
            for cases in (10, 100)
        ]
        print(f"prep, {processes} processes: {mib[0]:.0f} MiB for 10 phantoms, {mib[1]:.0f} MiB for 100", flush=True)
    mib = [peak_mib(folder / "fit.py", folder / f"{cases}_1", folder / f"run_{cases}") for cases in (10, 100)]
    print(f"fit: {mib[0]:.0f} MiB for 10 phantoms, {mib[1]:.0f} MiB for 100")


def peak_mib(script: Path, *arguments: object) -> float:
    """Run a script; return the peak of the largest of its processes."""
    words = [sys.executable, str(script), *map(str, arguments)]
    measure = "import resource, subprocess, sys; "
    measure += "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    measure += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", measure, *words], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python")
    parser.add_argument("--hippocampus", type=Path, help="MSD Task04")
    parser.add_argument("--brats", type=Path, help="a folder with two channels a case, zero around the brain")
    parser.add_argument("--pipeline", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    for title, folder, recipe in (("hippocampus", asked.hippocampus, HIPPOCAMPUS), ("brats", asked.brats, BRATS)):
        if folder:
            beside_monai(title, read_dataset(folder), recipe, asked.peer_python, asked.rounds)
    with tempfile.TemporaryDirectory() as folder:
        if asked.pipeline:
            print(f"pipeline: {pipeline_rate(Path(folder)):.0f} slices of {SIDE}×{SIDE} a second")
        if asked.memory:
            print_memory(Path(folder))


if __name__ == "__main__":
    main()
