"""Read a folder of images with a folder of label maps beside it: `images/` and `masks/` or `labels/`."""

import re
from collections import defaultdict
from itertools import product
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets import formats
from tfseg.datasets.layouts.channels import channels_of
from tfseg.datasets.layouts.dataset import Case, Dataset
from tfseg.datasets.layouts.labels import labels_of
from tfseg.datasets.names import PICTURES, stem, suffix

# Names in any case; the first that exists is used.
IMAGES = ("images", "imgs", "image", "img")
LABELS = ("masks", "labels", "mask", "label")
FILES = (*PICTURES, ".nii", ".nii.gz")
# Words at either end of a name that distinguish a mask from its image.
WORDS = "mask|masks|label|labels|seg|segmentation|gt|groundtruth|image|img"


def image_and_label_folders(folder: Path) -> tuple[Path, Path] | None:
    """Return the folders of images and of label maps inside a folder, if both exist."""
    inside = {path.name.lower(): path for path in sorted(folder.glob("*")) if path.is_dir()}
    images, labels = ([inside[name] for name in names if name in inside] for names in (IMAGES, LABELS))
    return (images[0], labels[0]) if images and labels else None


def is_folders(folder: Path) -> bool:
    """Whether a folder has 2D images or NIfTI files in `images/`, and a folder of label maps beside it."""
    found = image_and_label_folders(folder)
    return found is not None and bool(_files(found[0]))


def read_folders(folder: Path) -> Dataset:
    """Read 2D images with their masks, or NIfTI images with their label maps, each case its own subject.

    An image and its label map have the same name except for words such as `_mask`; subfolders are part of a name, and
    of a case's name with `_` for `/`. 2D images are all grey or all in colour, as the first of them. Labels are
    declared in `labels.json`, or are the values found in the label maps.

    Raises:
        DataError: if one of the two folders is missing, or no label map can be read.
    """
    found = image_and_label_folders(folder)
    if found is None:
        raise DataError(f"{folder}: expected the folders images and masks, or images and labels")
    images, labels = ({key: sorted(paths) for key, paths in _by_key(each).items()} for each in found)
    cases = []
    for key in sorted(images.keys() | labels.keys()):
        expected = f"{key}{suffix((images.get(key) or labels[key])[0])}"
        image_paths = images.get(key) or [found[0] / expected]
        label_paths = labels.get(key) or [found[1] / expected]
        name = key.replace("/", "_")
        cases += [Case(name, name, (image,), label) for image, label in product(image_paths, label_paths)]
    return Dataset(
        name=folder.resolve().name,
        channels=channels_of(case.images[0] for case in cases),
        labels=labels_of(folder, (case.label_file for case in cases)),
        cases=tuple(cases),
        layout="pictures" if formats.is_picture(cases[0].images[0]) else "volumes",
    )


def key_of(name: str) -> str:
    """Return the part of a name that an image and its label map share."""
    bare = re.sub(rf"^({WORDS})[_-]|[_-]({WORDS})$", "", name, flags=re.IGNORECASE)
    return bare or name


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(FILES) and path.is_file() and not path.name.startswith(".")
    )


def _by_key(folder: Path) -> dict[str, list[Path]]:
    paths = defaultdict(list)
    for path in _files(folder):
        paths[(path.parent.relative_to(folder) / key_of(stem(path))).as_posix()].append(path)
    return paths
