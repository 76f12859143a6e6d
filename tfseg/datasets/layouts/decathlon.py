"""Read the layout of the Medical Segmentation Decathlon and of nnU-Net v1: `dataset.json`, `imagesTr`, `labelsTr`."""

import re
from pathlib import Path
from typing import Any

from tfseg.datasets.layouts.channels import declared_channels
from tfseg.datasets.layouts.dataset import Case, Dataset, read_description, unused
from tfseg.datasets.layouts.label_names import declared_labels
from tfseg.datasets.layouts.palettes import are_read_as_shown
from tfseg.datasets.names import image_files, stem

EXPECTED = "a Decathlon description (modality, labels and training expected)"
# A file of one channel, in nnU-Net's raw data.
CHANNEL = re.compile(r"(.+)_(\d{4})")


def is_decathlon(folder: Path) -> bool:
    """Whether a folder has a `dataset.json`, which nnU-Net's has too."""
    return (folder / "dataset.json").is_file()


def read_decathlon(folder: Path) -> Dataset:
    """Read a Medical Segmentation Decathlon folder, each case its own subject.

    The raw data of nnU-Net v1 have the same `dataset.json`, but a file per channel, `CASE_0000.nii.gz`.

    Source: Antonelli 2022 (10.1038/s41467-022-30695-9).

    Raises:
        DataError: if there is a damaged `dataset.json`.
    """

    def parse(description: dict[str, Any]) -> Dataset:
        pairs = [_pair(folder, entry) for entry in description["training"]]
        names = declared_labels(description["labels"])
        channels = _channels_in(folder / "imagesTr")
        cases = [
            Case(stem(image), stem(image), (image,) if image.exists() else channels.get(stem(image), (image,)), label)
            for image, label in pairs
        ]
        return Dataset(
            name=str(description.get("name", folder.name)),
            layout="decathlon",
            channels=declared_channels(description["modality"]),
            labels=names.labels,
            cases=tuple(cases),
            ignore_label=names.ignore_label,
            regions=dict(names.regions),
            masks_as_shown=are_read_as_shown([label for _, label in pairs]),
            warnings=unused(folder, cases, "not listed in dataset.json"),
        )

    return read_description(folder / "dataset.json", EXPECTED, parse)


def _pair(folder: Path, entry: Any) -> tuple[Path, Path]:
    """The image and the label map of an entry of `training`.

    Raises:
        ValueError: if it does not name both.
    """
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("image", "label")):
        raise ValueError(f'training: expected {{"image": FILE, "label": FILE}}, received {entry}')
    return folder / entry["image"], folder / entry["label"]


def _channels_in(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of each case of nnU-Net's raw data, a channel each, in order."""
    channels: dict[str, list[Path]] = {}
    for path in image_files(folder)[0]:
        if match := CHANNEL.fullmatch(stem(path)):
            channels.setdefault(match.group(1), []).append(path)
    return {case: tuple(sorted(paths)) for case, paths in channels.items()}
