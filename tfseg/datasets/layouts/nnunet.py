"""Read nnU-Net v2's raw data: `dataset.json` with `channel_names`, a file per channel, `CASE_0000`."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfseg.core import files
from tfseg.core.errors import DataError
from tfseg.datasets.layouts.channels import declared_channels
from tfseg.datasets.layouts.dataset import Case, Dataset, read_description, unused
from tfseg.datasets.layouts.label_names import declared_labels, is_by_value
from tfseg.datasets.layouts.palettes import are_read_as_shown
from tfseg.datasets.names import IMAGES_2D, image_files, parts, suffix

UNNUMBERED = "without the file_ending or the number of a channel, such as _0000"
EXPECTED = "an nnU-Net description (channel_names, labels and file_ending expected)"


def is_nnunet(folder: Path) -> bool:
    """Whether a folder has a `dataset.json` with `channel_names`, where a Decathlon one has `modality`."""
    try:
        return "channel_names" in json.loads(files.read_text(folder / "dataset.json"))
    except (ValueError, TypeError, RecursionError):
        return False


def read_nnunet(folder: Path) -> Dataset:
    """Read a folder of nnU-Net v2's raw data, each case its own subject.

    A label of several values is a region, and then every label is one. `ignore` is the value of unknown voxels. The
    key `dataset` lists the files of cases in any folder. Images without a label map and label maps without an image
    are cases too: their missing files are faults, and so are channels that are not declared.

    Source: Isensee 2021 (10.1038/s41592-020-01008-z).

    Raises:
        DataError: if there is a damaged `dataset.json`, or no file has its `file_ending`.
    """

    def parse(description: dict[str, Any]) -> Dataset:
        channels = declared_channels(description["channel_names"])
        names = declared_labels(description["labels"])
        ending = _ending(description["file_ending"])
        if "dataset" in description:
            cases, reason = _listed(folder, description["dataset"]), "not listed in dataset.json"
        else:
            cases, reason = _found(folder, len(channels), ending), UNNUMBERED
        return Dataset(
            name=str(description.get("name", folder.name)),
            channels=channels,
            labels=names.labels,
            cases=cases,
            layout="nnunet",
            ignore_label=names.ignore_label,
            regions=dict(names.regions),
            masks_as_shown=are_read_as_shown([case.label_file for case in cases]),
            warnings=(*_swapped(folder, description), *unused(folder, cases, reason)),
        )

    return read_description(folder / "dataset.json", EXPECTED, parse)


def _ending(value: Any) -> str:
    """The suffix of the dataset's files, with its dot.

    Raises:
        ValueError: if it is no text.
    """
    if not isinstance(value, str):
        raise ValueError(f'file_ending: expected a suffix, as ".nii.gz", received {value}')
    return "." + value.removeprefix(".")


def _listed(folder: Path, entries: Mapping[str, Any]) -> tuple[Case, ...]:
    """The cases of the key `dataset`; paths are relative to the folder."""
    return tuple(
        Case(str(name), str(name), tuple(folder / image for image in entry["images"]), folder / entry["label"])
        for name, entry in sorted(entries.items())
    )


def _found(folder: Path, channels: int, ending: str) -> tuple[Case, ...]:
    """The cases of the files in `imagesTr` and `labelsTr` that have the ending, in any case."""
    labels = _by_stem(folder / "labelsTr", ending)
    images: dict[str, dict[int, Path]] = {name: {} for name in labels}
    for name, path in _by_stem(folder / "imagesTr", ending).items():
        if match := re.fullmatch(r"(.+)_(\d{4})", name):
            images.setdefault(match.group(1), {})[int(match.group(2))] = path
    if not images:
        raise DataError(
            f"{folder}: no file in imagesTr and labelsTr ends in {ending}, the file_ending{_endings(folder)}"
        )
    # A 2D image in colour is one file with all channels.
    declared = range(1 if ending.lower() in IMAGES_2D else channels)
    cases = []
    for name, found in sorted(images.items()):
        expected = {index: folder / "imagesTr" / f"{name}_{index:04d}{ending}" for index in declared}
        paths = {**expected, **found}
        label = labels.get(name, folder / "labelsTr" / f"{name}{ending}")
        cases.append(Case(name, name, tuple(paths[index] for index in sorted(paths)), label))
    return tuple(cases)


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    """The visible images that have an ending, in any case, or whose voxels are in a file that has it, by stem."""
    images = (path for kind in image_files(folder) for path in kind)
    pairs = ((part.name, path) for path in images for part in parts(path))
    return {name[: -len(ending)]: path for name, path in pairs if name.lower().endswith(ending.lower())}


def _endings(folder: Path) -> str:
    """The endings that the files have, and how many have each."""
    images = [path for place in ("imagesTr", "labelsTr") for path in image_files(folder / place)[0]]
    counts = Counter(suffix(path) for path in images).most_common()
    return "; there are " + ", ".join(f"{count} that end in {ending}" for ending, count in counts) if counts else ""


def _swapped(folder: Path, description: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines about names and numbers that are the other way round than nnU-Net expects them."""
    lines = []
    if not is_by_value(description["channel_names"]):
        lines.append('channel_names are read as name: number; nnU-Net expects number: name, as {"0": "CT"}')
    if is_by_value(description["labels"]):
        lines.append('labels are read as value: name; nnU-Net expects name: value, as {"spleen": 1}')
    return tuple(f"{folder / 'dataset.json'}: {line}" for line in lines)
