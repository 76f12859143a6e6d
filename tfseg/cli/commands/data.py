"""Declare the commands that look at scans, prepare them and make synthetic ones."""

from pathlib import Path
from typing import Annotated

import typer

from tfseg.cli.options import Data, Kind, Recipe, Settings, SkipBad, SubjectPattern


def prep(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    recipe: Recipe = None,
    subject_pattern: SubjectPattern = None,
    skip_bad: SkipBad = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Scans to prepare at a time; each needs memory. Default: by the size of the data."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="The configuration (YAML) that will train; for volumes, recipes are derived in 3D."),
    ] = None,
    set_: Settings = None,
    show_augmented: Annotated[
        Path | None,
        typer.Option(help="Contact sheet (PNG) to write: training images as the configuration changes them."),
    ] = None,
) -> None:
    """Prepare scans: slices, labels and an index, ready for training."""
    from tfseg.cli.datasets import Source, prepare_scans
    from tfseg.config.config import load_config

    source = Source(data, recipe, subject_pattern=subject_pattern, skip_bad=skip_bad, workers=workers)
    prepare_scans(source, data, out, load_config(config, set_ or ()), show_augmented)


def inspect(
    data: Annotated[Path, typer.Argument(help="A folder in a known layout, or a CSV manifest.")],
    sheet: Annotated[Path | None, typer.Option(help="Contact sheet (PNG) to write.")] = None,
    subject_pattern: SubjectPattern = None,
) -> None:
    """Check a dataset before training: summarise it and report every fault."""
    from tfseg.cli import datasets

    datasets.inspect(data, sheet, subject_pattern)


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write, in the Decathlon layout.")],
    kind: Annotated[
        Kind,
        typer.Option(
            help="CT abdomens; MR heads, with or without tumours, labelled by two tools, or as 2D images; newborns "
            "with lesions."
        ),
    ] = Kind.abdomen,
    subjects: Annotated[int, typer.Option(min=1, help="Number of subjects.")] = 20,
    size: Annotated[int, typer.Option(min=32, max=256, help="Voxels along x and y.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Each seed gives other subjects.")] = 0,
) -> None:
    """Make synthetic subjects with labels."""
    from tfseg.cli.datasets import make_phantoms

    make_phantoms(out, kind.value, subjects, size, seed)
