"""Read nnU-Net v2's raw data: `dataset.json` with `channel_names`, a file per channel, `CASE_0000`."""

import json
import re
from pathlib import Path
from typing import Any

from tfseg.core import files
from tfseg.datasets.layouts.dataset import Case, Dataset, by_number, read_description
from tfseg.datasets.layouts.labels import nnunet_labels
from tfseg.datasets.names import PICTURES

EXPECTED = "an nnU-Net description (channel_names, labels and file_ending expected)"


def is_nnunet(folder: Path) -> bool:
    """Whether a folder has a `dataset.json` with `channel_names`, where a Decathlon one has `modality`."""
    try:
        return "channel_names" in json.loads(files.read_text(folder / "dataset.json"))
    except (ValueError, TypeError, RecursionError):
        return False


def read_nnunet(folder: Path) -> Dataset:
    """Read a folder of nnU-Net v2's raw data, each case its own subject.

    A label of several values is a region, and then every label is one. `ignore` is the value of unknown voxels.
    Images without a label map and label maps without an image are cases too: their missing files are faults, and so
    are channels that are not declared.

    Source: Isensee 2021 (10.1038/s41592-020-01008-z).

    Raises:
        DataError: if there is a damaged `dataset.json`.
    """

    def parse(description: dict[str, Any]) -> Dataset:
        channels = by_number(description["channel_names"].items())
        labels, ignore_label, regions = nnunet_labels(description["labels"])
        ending = "." + description["file_ending"].removeprefix(".")
        return Dataset(
            name=str(description.get("name", folder.name)),
            channels=tuple(channels.values()),
            labels=labels,
            cases=_cases(folder, len(channels), ending),
            layout="nnunet",
            ignore_label=ignore_label,
            regions=dict(regions),
        )

    return read_description(folder / "dataset.json", EXPECTED, parse)


def _cases(folder: Path, channels: int, ending: str) -> tuple[Case, ...]:
    images: dict[str, set[int]] = {name: set() for name in _stems(folder / "labelsTr", ending)}
    for file in _stems(folder / "imagesTr", ending):
        if match := re.fullmatch(r"(.+)_(\d{4})", file):
            images.setdefault(match.group(1), set()).add(int(match.group(2)))
    cases = []
    for name, found in sorted(images.items()):
        # A 2D image in colour is one file with all channels.
        declared = {0} if ending in PICTURES else set(range(channels))
        paths = tuple(folder / "imagesTr" / f"{name}_{index:04d}{ending}" for index in sorted(declared | found))
        cases.append(Case(name, name, paths, folder / "labelsTr" / f"{name}{ending}"))
    return tuple(cases)


def _stems(folder: Path, ending: str) -> list[str]:
    """The names of a folder's files with an ending, without it; hidden files are left out."""
    names = (path.name for path in folder.glob("*") if not path.name.startswith("."))
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]
