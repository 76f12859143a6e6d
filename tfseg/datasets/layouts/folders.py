"""Folders of images with folders of label maps beside them: `images/` and `masks/` or `labels/`."""

import re
from collections import defaultdict
from itertools import product
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets import formats
from tfseg.datasets.layouts.channels import channels_of
from tfseg.datasets.layouts.dataset import Case, Dataset, stem
from tfseg.datasets.layouts.labels import labels_of
from tfseg.datasets.picture import SUFFIXES

# In whatever case, the first that is there.
IMAGES = ("images", "imgs", "image", "img")
LABELS = ("masks", "labels", "mask", "label")
FILES = (*SUFFIXES, ".nii", ".nii.gz")
# Words that tell a mask from its image, at either end of a name.
WORDS = "mask|masks|label|labels|seg|segmentation|gt|groundtruth|image|img"


def image_and_label_folders(folder: Path) -> tuple[Path, Path] | None:
    """Return the folders of images and of label maps inside a folder, where both are there."""
    there = {path.name.lower(): path for path in sorted(folder.glob("*")) if path.is_dir()}
    images, labels = ([there[name] for name in names if name in there] for names in (IMAGES, LABELS))
    return (images[0], labels[0]) if images and labels else None


def is_folders(folder: Path) -> bool:
    """Whether a folder has pictures or NIfTI files in `images/`, and a folder of label maps beside it."""
    found = image_and_label_folders(folder)
    return found is not None and bool(_files(found[0]))


def read_folders(folder: Path) -> Dataset:
    """Read pictures with their masks, or NIfTI images with their label maps, each case its own subject.

    An image and its label map have the same name, but for words as `_mask`; subfolders are part of a name, and of a
    case's name with `_` for `/`. Pictures are grey or in colour as the first of them is. Labels are those that
    `labels.json` declares, or else the values found.

    Raises:
        DataError: where there are no two folders, or no label map that can be read.
    """
    found = image_and_label_folders(folder)
    if found is None:
        raise DataError(f"{folder}: expected the folders images and masks, or images and labels")
    images, labels = ({key: sorted(paths) for key, paths in _by_key(each).items()} for each in found)
    cases = []
    for key in sorted(images.keys() | labels.keys()):
        suffix = stem_suffix(next(iter(images.get(key) or labels[key])))
        image_paths = images.get(key) or [found[0] / f"{key}{suffix}"]
        label_paths = labels.get(key) or [found[1] / f"{key}{suffix}"]
        name = key.replace("/", "_")
        cases += [Case(name, name, (image,), label) for image, label in product(image_paths, label_paths)]
    return Dataset(
        name=folder.resolve().name,
        channels=channels_of(case.images[0] for case in cases),
        labels=labels_of(folder, (case.label for case in cases)),
        cases=tuple(cases),
        layout="pictures" if formats.is_picture(cases[0].images[0]) else "volumes",
    )


def stem_suffix(path: Path) -> str:
    """Return what `stem` takes from a file's name."""
    return path.name.removeprefix(stem(path))


def key_of(name: str) -> str:
    """Return what an image's name and its label map's have in common."""
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
