"""Export a run, and write reports again."""

from collections.abc import Collection
from pathlib import Path

from tfseg.cli.terminal import Terminal
from tfseg.comparison import masks, several
from tfseg.core.errors import ConfigError
from tfseg.prediction.clean_up import agreed
from tfseg.prediction.description import METADATA
from tfseg.prediction.export import check_formats, example_inputs, write_export
from tfseg.reports.comparison import write_comparison
from tfseg.reports.run import write_report
from tfseg.reports.several import write_several
from tfseg.reports.sweep import write_sweep
from tfseg.runs.folder import open_prepared
from tfseg.runs.members import model_of
from tfseg.tuning.folder import SPACE, sweeps_of


def export(run: Path, out: Path, fold: int | None, final: bool, formats: str, trusted: Collection[str] = ()) -> None:
    """Write the mean of a run's finished folds, the network of one fold, or the final one, in some formats.

    Each file is checked against the networks on images of the run's first case.

    Raises:
        ConfigError: if `run` is not a finished run, has no such network, `out` exists, a format is wrong, or a
            function that is not in `trusted` builds its networks.
        RunError: if a file gives other probabilities than the networks.
    """
    if final and fold is not None:
        raise ConfigError("expected one of --fold and --final, received both")
    listed = [name.strip() for name in formats.split(",")]
    check_formats(listed)
    model, prepared = model_of(run, fold, final, trusted), open_prepared(run)
    images = example_inputs(prepared.case(prepared.index["case"].iloc[0]).image, model.description)
    terminal = Terminal()
    clean = agreed([member.clean for member in model.members])
    temperatures = [member.temperature for member in model.members]
    differences = write_export(
        model.networks, model.description, out, model.name, listed, images, clean, temperatures, trusted
    )
    for name, difference in differences.items():
        terminal.say(f"{name}: checked on {len(images)} images, probabilities differ by {difference:.1g} at most")
    what = "one network" if len(model.networks) == 1 else f"the mean of {len(model.networks)} networks"
    terminal.say(f"{what} in {out}; {METADATA} says how to prepare an image")


def write_again(folder: Path) -> None:
    """Write the report of a run, a comparison, a sweep, or one of several datasets again, and print where it is.

    Raises:
        ConfigError: if the folder compares masks of other methods, of which it keeps no copy.
        RunError: if it is incomplete or damaged.
    """
    places = [folder]
    if (folder / several.RECORD).is_file():
        write_several(folder)
    elif (folder / "study.yaml").is_file():
        write_comparison(folder)
    elif (folder / masks.RECORD).is_file():
        raise ConfigError(f"{folder}: compares masks; run the same tfseg compare again to write its report")
    elif (folder / SPACE).is_file():
        places = sweeps_of(folder)
        for place in places:
            write_sweep(place)
    else:
        write_report(folder)
    for place in places:
        Terminal().show_paths(place, "report.html")
