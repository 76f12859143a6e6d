"""Six networks at once beside six one after another, and how long `tfseg tune` takes to start.

    python benchmarks/parallel.py
    python benchmarks/parallel.py --sizes 64 --epochs 2

Whole commands, on prepared phantoms, by the clock.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAIN = "import sys; sys.argv[0] = 'tfseg'; from tfseg.cli.app import main; main()"
FOLDS = 6


def tfseg(*words: object) -> float:
    """Run a command; return its seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", MAIN, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def prepared_of(folder: Path, size: int) -> Path:
    """Make and prepare phantoms of a size in pixels."""
    tfseg("phantom", folder / "phantoms", "--subjects", FOLDS, "--size", size)
    tfseg("prep", "--data", folder / "phantoms", "--out", folder / "prepared")
    return folder / "prepared"


def fit(prepared: Path, out: Path, epochs: int, *more: object) -> float:
    """Cross-validate on prepared phantoms; return the seconds."""
    words = ("--prepared", prepared, "--out", out, "--loss", "dice_ce", "--folds", FOLDS, "--epochs", epochs)
    seconds = tfseg("fit", *words, *more)
    shutil.rmtree(out)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in arguments.sizes:
            prepared = prepared_of(folder / str(size), size)
            one = fit(prepared, folder / "run", arguments.epochs)
            several = fit(prepared, folder / "run", arguments.epochs, "--parallel")
            print(
                f"{size}×{size}: one after another {one:.0f} s, --parallel {several:.0f} s, ratio {several / one:.2f}"
            )
        prepared = folder / str(arguments.sizes[0]) / "prepared"
        space = folder / "space.yaml"
        space.write_text("training.learning_rate: {grid: [0.001]}\n")
        words = ("--prepared", prepared, "--space", space, "--epochs", 1, "--out", folder / "sweep")
        first = tfseg("tune", *words)
        print(f"tune of one trial {first:.0f} s, and again, finished: {tfseg('tune', *words):.1f} s")


if __name__ == "__main__":
    main()
