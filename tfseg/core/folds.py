"""Name the folders of a run's folds."""

from pathlib import Path

FOLD = "fold_"


def fold_folder(run: Path, fold: int) -> Path:
    """Return the folder of a fold's network."""
    return run / f"{FOLD}{fold}"


def fold_of(network: Path) -> int:
    """Return the fold that a network's file belongs to.

    >>> fold_of(Path("run/fold_2/best.keras"))
    2
    """
    return int(network.parent.name.removeprefix(FOLD))


def files_of_folds(run: Path, name: str) -> list[Path]:
    """Return the files or folders of a name in the folders of all folds, in the order of their paths."""
    return sorted(run.glob(f"{FOLD}*/{name}"))
