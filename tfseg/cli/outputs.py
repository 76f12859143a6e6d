"""Export a run, and write reports again."""

from pathlib import Path

from tfseg.cli.terminal import Terminal
from tfseg.config.config import load_config
from tfseg.prediction.export import METADATA, write_saved_model
from tfseg.reports.comparison import write_comparison
from tfseg.reports.run import write_report
from tfseg.runs.folder import networks_of, open_prepared


def export(run: Path, out: Path, fold: int | None) -> None:
    """Write a SavedModel of a run: the mean of its finished folds' networks, or the network of one fold.

    Raises:
        ConfigError: if `run` is not a finished run, has no such fold, or `out` exists.
    """
    networks = networks_of(run, fold)
    seen = load_config(run / "config.yaml").training.input
    write_saved_model(networks, open_prepared(run), out, run.resolve().name, seen)
    what = "one network" if len(networks) == 1 else f"the mean of {len(networks)} networks"
    Terminal().say(f"SavedModel of {what} in {out}; {METADATA} says how to prepare an image")


def write_again(folder: Path) -> None:
    """Write the report of a run or a comparison again, and print where it is.

    Raises:
        RunError: if the folder is incomplete or damaged.
    """
    if (folder / "study.yaml").is_file():
        write_comparison(folder)
    else:
        write_report(folder)
    Terminal().show_paths(folder, "report.html")
