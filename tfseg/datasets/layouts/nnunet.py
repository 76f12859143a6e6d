"""Read nnU-Net v2's raw data: `dataset.json` with `channel_names`, a file per channel, `CASE_0000`."""

import json
import re
from pathlib import Path
from typing import Any

from tfseg.core import files
from tfseg.datasets.layouts.dataset import Case, Dataset, by_number, read_description, whole_number
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
        values = {str(name): _values(value) for name, value in description["labels"].items()}
        ending = "." + description["file_ending"].removeprefix(".")
        ignore = values.pop("ignore", (None,))[0]
        values = {name: value for name, value in values.items() if value != (0,)}
        return Dataset(
            name=str(description.get("name", folder.name)),
            channels=tuple(channels.values()),
            labels=_labels(values),
            cases=_cases(folder, len(channels), ending),
            layout="nnunet",
            ignore_label=ignore,
            regions=values if any(len(value) > 1 for value in values.values()) else {},
        )

    return read_description(folder / "dataset.json", EXPECTED, parse)


def _values(value: Any) -> tuple[int, ...]:
    return tuple(whole_number(each) for each in (value if isinstance(value, list) else [value]))


def _labels(values: dict[str, tuple[int, ...]]) -> dict[int, str]:
    names = {value[0]: name for name, value in values.items() if len(value) == 1}
    return {
        value: names.get(value, f"label_{value}") for value in sorted({v for each in values.values() for v in each})
    }


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
