"""Define the options that several commands share, and their choices."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Option(help="Scans: a folder in a known layout, or a CSV manifest.")]
SubjectPattern = Annotated[
    str | None, typer.Option(help="A regular expression that extracts the subject from a case's name.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out cases that have a fault.")]
Recipe = Annotated[
    Path | None, typer.Option(help="Recipe (YAML); settings that it leaves out are derived from the data.")
]


class Kind(StrEnum):
    """Kinds of phantoms."""

    head = "head"
    healthy_head = "healthy_head"
    abdomen = "abdomen"
    neonate = "neonate"
    two_tools = "two_tools"
    head_images = "head_images"


class Phantoms(StrEnum):
    """Kinds of phantoms to train on."""

    head = "head"
    abdomen = "abdomen"


TrainingData = Annotated[
    Path | None, typer.Option(help="Scans: a folder in a known layout, or a CSV manifest. Default: synthetic phantoms.")
]
PhantomKind = Annotated[
    Phantoms | None, typer.Option(help="What stands in for --data: healthy heads or abdomens. Default: abdomen.")
]
PreparedFolder = Annotated[Path | None, typer.Option(help="A prepared folder, in place of --data; skips preparation.")]
Configuration = Annotated[Path | None, typer.Option(help="Configuration (YAML).")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, such as training.epochs=20; may be repeated.")
]
Folds = Annotated[int | None, typer.Option(help="Folds of the cross-validation; subjects stay whole.")]
Splits = Annotated[Path | None, typer.Option(help="Splits (JSON), tfseg's own or nnU-Net's.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs of every network.")]
BatchSize = Annotated[int | None, typer.Option(help="Slices, patches or volumes per batch, over all devices.")]
Seed = Annotated[int | None, typer.Option(help="Seed of splits, initial weights, order and dropout.")]
Final = Annotated[bool, typer.Option("--final", help="Use the network that fit --final trained on all subjects.")]
Trust = Annotated[
    list[str] | None,
    typer.Option(help="What the model may run here: its model.import or skull_strip_command; may be repeated."),
]
Devices = Annotated[
    str | None, typer.Option(help="Such as GPU:0,GPU:1. Default: the GPUs that can share a batch evenly, or the CPU.")
]

Parallel = Annotated[
    str | None,
    typer.Option(help="Train N networks at once on Ray; without N, as many as there are cores or GPUs.", metavar="[N]"),
]
RayAddress = Annotated[
    str | None, typer.Option(help="Train on a Ray cluster: HOST:PORT of its head machine, or auto; implies --parallel.")
]


class ProbabilityType(StrEnum):
    """Types in which probabilities are written."""

    float32 = "float32"
    uint8 = "uint8"
