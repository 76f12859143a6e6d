"""Read a folder of images with a folder of label maps beside it: `images/` and `masks/` or `labels/`."""

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets import formats
from tfseg.datasets.layouts.channels import channels_of
from tfseg.datasets.layouts.dataset import Case, Dataset, not_read
from tfseg.datasets.layouts.labels import labels_of
from tfseg.datasets.names import image_files, is_hidden, stem, suffix

# Names in any case.
IMAGES = ("images", "imgs", "image", "img")
LABELS = (
    *("masks", "labels", "mask", "label", "segmentations", "segmentation", "seg", "annotations", "annotation"),
    *("groundtruth", "ground_truth", "gt"),
)
# Words at either end of a name that distinguish a mask from its image.
WORDS = "mask|masks|label|labels|seg|segmentation|gt|groundtruth|image|img"


def image_and_label_folders(folder: Path) -> tuple[Path, Path] | None:
    """Return the folders of images and of label maps inside a folder, if both exist.

    Raises:
        DataError: if several folders may hold the label maps, or the images: only the user knows which.
    """
    inside = [path for path in sorted(folder.glob("*")) if path.is_dir() and not path.name.startswith(".")]
    images, labels = ([path for path in inside if path.name.lower() in names] for names in (IMAGES, LABELS))
    if not images or not labels:
        return None
    for what, candidates in (("images", images), ("label maps", labels)):
        filled = [path for path in candidates if _has_files(path)] or candidates
        if len(filled) > 1:
            listed = " and ".join(f"{path.name}/" for path in filled)
            raise DataError(
                f"{folder}: {listed} may both hold the {what}; move one away, or list the files in a manifest.csv"
            )
        candidates[:] = filled
    return images[0], labels[0]


def is_folders(folder: Path) -> bool:
    """Whether a folder has 2D images or volumes in `images/`, and a folder of label maps beside it."""
    found = image_and_label_folders(folder)
    return found is not None and bool(image_files(found[0], recursive=True)[0])


def read_folders(folder: Path) -> Dataset:
    """Read 2D images with their masks, or volumes with their label maps, each case its own subject.

    An image and its label map have the same name except for words such as `_mask`; subfolders are part of a name, and
    of a case's name with `_` for `/`. 2D images are all grey or all in colour, as the first of them. Labels are
    declared in `labels.json`, or are the values found in the label maps.

    Raises:
        DataError: if one of the two folders is missing, several may hold the label maps, or no label map can be read.
    """
    found = image_and_label_folders(folder)
    if found is None:
        raise DataError(f"{folder}: expected the folders images and masks, or images and labels")
    files, others = zip(*(image_files(each, recursive=True) for each in found), strict=True)
    images, labels = (_by_key(place, paths) for place, paths in zip(found, files, strict=True))
    cases = []
    for key in sorted(images.keys() | labels.keys()):
        expected = f"{key}{suffix((images.get(key) or labels[key])[0])}"
        image_paths = images.get(key) or [found[0] / expected]
        label_paths = labels.get(key) or [found[1] / expected]
        name = key.replace("/", "_")
        cases += [Case(name, name, (image,), label) for image, label in product(image_paths, label_paths)]
    labels_found = labels_of(folder, (case.label_file for case in cases))
    return Dataset(
        name=folder.resolve().name,
        channels=channels_of(case.images[0] for case in cases),
        labels=labels_found.names,
        cases=tuple(cases),
        layout="2D images" if formats.is_image_2d(cases[0].images[0]) else "volumes",
        ignore_label=labels_found.ignore_label,
        masks_as_shown=labels_found.masks_as_shown,
        warnings=(*not_read(folder, [*others[0], *others[1]], "not of an image format"), *labels_found.warnings),
    )


def key_of(name: str) -> str:
    """Return the part of a name that an image and its label map share."""
    bare = re.sub(rf"^({WORDS})[_-]|[_-]({WORDS})$", "", name, flags=re.IGNORECASE)
    return bare or name


def _has_files(folder: Path) -> bool:
    return any(path.is_file() and not is_hidden(path, folder) for path in folder.rglob("*"))


def _by_key(folder: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    paths = defaultdict(list)
    for path in files:
        paths[(path.parent.relative_to(folder) / key_of(stem(path))).as_posix()].append(path)
    return paths
