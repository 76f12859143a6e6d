"""Hand a run over, and write reports again."""

from pathlib import Path

from tfseg.cli.terminal import Terminal
from tfseg.prediction import export as savedmodel
from tfseg.reports.comparison import write_comparison
from tfseg.reports.run import write_report
from tfseg.runs.folder import networks_of, open_prepared


def export(run: Path, out: Path, fold: int | None) -> None:
    """Write a SavedModel of a run: the mean of its finished folds' networks, or one fold's.

    Raises:
        ConfigError: where `run` is not a finished run, the fold is not there, or `out` exists.
    """
    networks = networks_of(run, fold)
    savedmodel.export(networks, open_prepared(run), out, run.resolve().name)
    what = "one network" if len(networks) == 1 else f"the mean of {len(networks)} networks"
    Terminal().say(f"SavedModel of {what} in {out}; {savedmodel.METADATA} says how to prepare an image")


def write_again(folder: Path) -> None:
    """Write the report of a run or a comparison, and say where it is.

    Raises:
        RunError: if the folder lacks what a report shows.
    """
    if (folder / "study.yaml").is_file():
        write_comparison(folder)
    else:
        write_report(folder)
    Terminal().show_paths(folder, "report.html")
