"""The layouts in which datasets come, each read into a list of cases."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfseg.data.volume import DataError


@dataclass(frozen=True)
class Case:
    """One scan with its label map: an image file (channels in a fourth axis) of one subject."""

    name: str
    subject: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Dataset:
    """Cases with the names of their channels and of their label values, background left out.

    Raises:
        DataError: where labels are not 1 to 255 positive values with names of their own.
    """

    name: str
    channels: tuple[str, ...]
    labels: dict[int, str]
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        names = list(self.labels.values())
        # Tables have a row "mean" over labels; prepared slices hold classes as bytes.
        if len(set(names)) < len(names) or "mean" in names:
            raise DataError(f"{self.name}: labels need names of their own, other than mean; found {names}")
        if not 1 <= len(names) <= 255 or min(self.labels) < 1:
            raise DataError(f"{self.name}: expected 1 to 255 labels with positive values, found {list(self.labels)}")


def read_dataset(folder: Path) -> Dataset:
    """Recognise the layout of a folder and list its labelled cases.

    Raises:
        DataError: where the folder is absent, has no layout that is known, or lists what is not there.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if (folder / "dataset.json").is_file():
        return read_decathlon(folder)
    raise DataError(f"{folder}: expected a Medical Segmentation Decathlon folder, but there is no dataset.json in it")


def read_decathlon(folder: Path) -> Dataset:
    """Read a Medical Segmentation Decathlon folder, each case its own subject.

    Source: Antonelli 2022 (10.1038/s41467-022-30695-9).

    Raises:
        DataError: on a damaged `dataset.json`, a missing file or a case named twice.
    """
    path = folder / "dataset.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        channels = _by_number(description["modality"])
        labels = {value: name for value, name in _by_number(description["labels"]).items() if value != 0}
        pairs = [(folder / entry["image"], folder / entry["label"]) for entry in description["training"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a Decathlon description (modality, labels and training expected): {error!r}"
        ) from error
    if not pairs:
        raise DataError(f"{path}: lists no training cases")
    for file in (file for pair in pairs for file in pair if not file.is_file()):
        raise DataError(f"{file}: listed in dataset.json, but not there")
    names = [image.name.removesuffix(".gz").removesuffix(".nii") for image, _ in pairs]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DataError(f"{path}: the case {name} is listed {times} times")
    cases = tuple(Case(name, name, image, label) for name, (image, label) in zip(names, pairs, strict=True))
    return Dataset(str(description.get("name", folder.name)), tuple(channels.values()), labels, cases)


def _by_number(names: dict[str, Any]) -> dict[int, str]:
    return {value: str(name) for value, name in sorted((int(key), name) for key, name in names.items())}
