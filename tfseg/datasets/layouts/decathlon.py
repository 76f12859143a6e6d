"""Read the layout of the Medical Segmentation Decathlon: `dataset.json`, `imagesTr/`, `labelsTr/`."""

from pathlib import Path
from typing import Any

from tfseg.datasets.layouts.dataset import Case, Dataset, by_number, read_description
from tfseg.datasets.layouts.labels import declared
from tfseg.datasets.names import stem

EXPECTED = "a Decathlon description (modality, labels and training expected)"


def is_decathlon(folder: Path) -> bool:
    """Whether a folder has a `dataset.json`, which nnU-Net's has too."""
    return (folder / "dataset.json").is_file()


def read_decathlon(folder: Path) -> Dataset:
    """Read a Medical Segmentation Decathlon folder, each case its own subject.

    Source: Antonelli 2022 (10.1038/s41467-022-30695-9).

    Raises:
        DataError: if there is a damaged `dataset.json`.
    """

    def parse(description: dict[str, Any]) -> Dataset:
        channels = by_number(description["modality"].items())
        pairs = [(folder / entry["image"], folder / entry["label"]) for entry in description["training"]]
        return Dataset(
            name=str(description.get("name", folder.name)),
            layout="decathlon",
            channels=tuple(channels.values()),
            labels=declared(description["labels"]),
            cases=tuple(Case(stem(image), stem(image), (image,), label) for image, label in pairs),
        )

    return read_description(folder / "dataset.json", EXPECTED, parse)
