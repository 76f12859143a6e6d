"""Describe what a network expects and what its output means: `metadata.json` of an export."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tfseg
from tfseg.config.config import validate
from tfseg.config.training import TrainingConfig
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.prediction.choice import SLICE_OVERLAP
from tfseg.prediction.clean_up import CleanUp, parse_clean_up
from tfseg.prediction.likeness import UsualChannel, UsualScans, usual_scans
from tfseg.prediction.temperature import Temperature
from tfseg.preparation.instructions import preparation_steps, restoration_steps
from tfseg.preparation.steps import Recipe
from tfseg.prepared.inputs import input_shape
from tfseg.prepared.prepared import Prepared
from tfseg.prepared.stored import seen_together
from tfseg.prepared.targets import THRESHOLD, Targets

METADATA, VERSION = "metadata.json", 1


@dataclass(frozen=True)
class Description:
    """Everything that predicting a scan needs besides the network.

    Args:
        recipe: resolved.
        channels: names of the image's channels, in order.
        targets: what the output channels mean.
        in_pixels: whether images are 2D images without millimetres.
        shape: of the network's input, without batch and channels.
        overlap: least share of a window's side in common with the next; 0 if slices are predicted one by one.
        batch_size: images that are predicted at a time.
        flips: along which the training mirrored images, named by anatomy.
        scans: what the training scans were like.
        subjects: digest of a training scan's channel → its subject.
        neighbours: slices on either side of a slice that are further channels of the network's input.

    Raises:
        ValueError: if a size is below 1, or the overlap is not in [0, 1).
    """

    recipe: Recipe
    channels: tuple[str, ...]
    targets: Targets
    in_pixels: bool
    shape: tuple[int, ...]
    overlap: float
    batch_size: int
    flips: tuple[str, ...]
    scans: UsualScans
    subjects: dict[str, str]
    neighbours: int = 0

    def __post_init__(self) -> None:
        if min(self.batch_size, *self.shape) < 1:
            sizes = f"batch_size {self.batch_size} and shape {list(self.shape)}"
            raise ValueError(f"expected sizes of at least 1, received {sizes}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap: expected at least 0 and below 1, received {self.overlap}")

    @property
    def by_slices(self) -> bool:
        """Whether slices are predicted one by one."""
        return len(self.shape) == 2


def describe(prepared: Prepared, training: TrainingConfig) -> Description:
    """Describe networks that were trained on a prepared folder.

    Args:
        prepared: the folder.
        training: how they were trained.

    Raises:
        DataError: if it is damaged.
    """
    flip, subjects = training.augmentation.flip, dict[str, str]()
    for name, subject in zip(prepared.index["case"], prepared.index["subject"], strict=True):
        subjects |= {digest: str(subject) for digest in prepared.traits(name).get("digests", ()) if digest}
    return Description(
        recipe=validate(Recipe, prepared.recipe, str(prepared.folder / "recipe.yaml")),
        channels=prepared.channels,
        targets=prepared.targets,
        in_pixels=prepared.in_pixels,
        shape=input_shape(training.input, prepared)[:-1],
        overlap=0.0 if training.input.kind == "slices" else training.input.overlap,
        batch_size=training.batch_size,
        flips=tuple(axis.replace("_", "-") for axis in flip.axes) if flip else (),
        scans=usual_scans(prepared),
        subjects=subjects,
        neighbours=training.input.neighbours,
    )


def to_json(
    description: Description,
    run: str,
    networks: int,
    clean: CleanUp | None = None,
    temperatures: Sequence[Temperature | None] = (),
) -> str:
    """Return the text of `metadata.json`: for programs, and in sentences for people who work without tfseg.

    Args:
        description: what the network expects.
        run: name of the run.
        networks: number of networks whose mean it is.
        clean: rules for the label maps.
        temperatures: of the networks, which `--calibrated` divides their logits by.
    """
    recipe, targets = description.recipe, description.targets
    about = {
        "version": VERSION,
        "made_by": f"tfseg {tfseg.__version__}",
        "run": run,
        "networks": networks,
        "input": {
            "name": "image",
            "dtype": "float32",
            "shape": ["batch", *description.shape, seen_together(description.neighbours) * len(description.channels)],
            "channels": list(description.channels),
            "neighbours": description.neighbours,
            "in_pixels": description.in_pixels,
            "batch_size": description.batch_size,
            "training_flips": list(description.flips),
        },
        "output": {
            "name": "probability",
            "dtype": "float32",
            "shape": ["batch", *description.shape, targets.channels],
            "activation": targets.activation,
            "labels": {str(value): name for value, name in targets.labels.items()},
            **_channels_of(targets),
        },
        **_covering(description),
        "preparation": [*preparation_steps(recipe, description.in_pixels), *_joining(description.neighbours)],
        "restoration": [*restoration_steps(recipe, description.in_pixels), *_cleaning(clean)],
        "clean_up": str(clean or "none"),
        "temperatures": [None if each is None else list(each.values) for each in temperatures],
        "recipe": recipe.model_dump(mode="json"),
        "training_scans": asdict(description.scans),
        "training_subjects": description.subjects,
    }
    return json.dumps(about, indent=1)


def read_description(folder: Path) -> Description:
    """Read the description of an export.

    Raises:
        ConfigError: if there is none, or it has a version that this tfseg does not know.
        RunError: if it is damaged.
    """
    path = folder / METADATA
    with files.reading(path):
        return _parse(_read(folder), path)


def read_clean_up(folder: Path) -> CleanUp:
    """Read the rules of an export for label maps.

    Raises:
        ConfigError: as `read_description`.
    """
    return parse_clean_up(_read(folder)["clean_up"])


def read_temperature(folder: Path) -> Temperature | None:
    """Read the temperature of an export of one network; None if it has none, or is the mean of several networks.

    Raises:
        ConfigError: as `read_description`.
    """
    about = _read(folder)
    values = about.get("temperatures") or [None]
    return Temperature(tuple(values[0]), about["output"]["activation"]) if len(values) == 1 and values[0] else None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / METADATA
    if not path.is_file():
        raise ConfigError(f"{folder}: no {METADATA} in it, which says how to prepare a scan; export the run again")
    with files.reading(path):
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values.get("version") != VERSION:
            raise ConfigError(
                f"{path}: expected version {VERSION}, received {values.get('version')}; this is tfseg "
                f"{tfseg.__version__}, the export was made by {values.get('made_by', 'another program')}"
            )
        return values


def _parse(values: dict[str, Any], path: Path) -> Description:
    of_input, output, scans = values["input"], values["output"], values["training_scans"]
    labels = {int(value): name for value, name in output["labels"].items()}
    members = zip(output.get("regions", []), output.get("region_values", []), strict=True)
    regions = {name: tuple(of_region) for name, of_region in members}
    return Description(
        recipe=validate(Recipe, values["recipe"], str(path)),
        channels=tuple(of_input["channels"]),
        targets=Targets(labels, regions),
        in_pixels=of_input["in_pixels"],
        shape=tuple(of_input["shape"][1:-1]),
        overlap=values.get("windows", {}).get("overlap", 0.0),
        batch_size=of_input["batch_size"],
        flips=tuple(of_input["training_flips"]),
        scans=UsualScans(
            tuple(scans["orientations"]),
            tuple((low, high) for low, high in scans["spacing_mm"]),
            tuple(UsualChannel(**channel) for channel in scans["channels"]),
        ),
        subjects=values["training_subjects"],
        neighbours=of_input.get("neighbours", 0),
    )


def _covering(description: Description) -> dict[str, object]:
    """Return how windows of the input's shape cover a volume, or slices that are larger than the input."""
    overlap = SLICE_OVERLAP if description.by_slices else description.overlap
    windows = {
        "overlap": overlap,
        "starts": "along each axis from 0 to the last place, evenly, as few as leave this share of a side in common",
        "weights": "a Gaussian of standard deviation side/8 along each axis, divided by the sum over all windows",
    }
    if description.by_slices:
        return {"larger_slices": {"padding": "only along an axis on which the slice is shorter", **windows}}
    padding = "a shorter volume lies in the middle of the window; around it, each channel's least value there"
    return {"windows": {**windows, "padding": padding}}


def _cleaning(clean: CleanUp | None) -> list[str]:
    """Return how label maps are cleaned up, if they are."""
    if not clean:
        return []
    connected = "connected components (by a face, an edge or a corner)"
    return [
        *(f"keep the largest of the {connected} of {name}" for name in clean.largest),
        *(f"drop the {connected} of {name} of fewer than {voxels} voxels" for name, voxels in clean.min_voxels.items()),
    ]


def _joining(neighbours: int) -> list[str]:
    """Return how slices become the channels of the input, if they are seen with their neighbours."""
    if not neighbours:
        return []
    return [
        f"join the channels of {seen_together(neighbours)} slices, from {neighbours} before a slice to {neighbours} "
        "after it, as the input of that slice; beyond the first and the last slice, repeat them"
    ]


def _channels_of(targets: Targets) -> dict[str, object]:
    """Return what the channels mean, and how label values are decided from them."""
    if targets.regions:
        return {
            "regions": list(targets.regions),
            "region_values": [list(values) for values in targets.regions.values()],
            "decision": "the label whose regions have the largest sum of log(p / (1 - p)); 0 if no sum is above 0",
        }
    if targets.channels == 1:
        decision = f"foreground if the probability is at least {THRESHOLD}"
        return {"classes": list(targets.labels.values()), "label_values": list(targets.labels), "decision": decision}
    return {
        "classes": ["background", *targets.labels.values()],
        "label_values": [0, *targets.labels],
        "decision": "the largest channel",
    }
