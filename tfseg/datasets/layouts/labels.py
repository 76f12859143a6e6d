"""Name label values: as declared, or as found in the label maps."""

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets import formats
from tfseg.datasets.layouts.dataset import by_number, read_description, whole_number

DECLARATION = "labels.json"
# More values than this are a blurred mask, or an image.
MOST_FOUND = 64
# A black and white mask with more values than this that hardly any other mask has is a blurred one.
MOST_GREYS, WHITE = 4, 255
# The foreground of 8-bit and of 16-bit masks; 1 in another mask may mean the same.
WHITES = {WHITE, 65535}


def labels_of(folder: Path, paths: Iterable[Path]) -> dict[int, str]:
    """Return the labels that `labels.json` in `folder` declares or, without it, the values found in the label maps.

    The file holds `{"1": "spleen", …}` or `{"spleen": 1, …}`. Label maps that cannot be read are skipped, and so are
    negative values and the values of a mask that was blurred, for example by resizing: all are reported as faults.

    Raises:
        DataError: if the file is damaged, no label map can be read, the label maps hold too many values, or each
            holds one value, which is white in some and another in others.
    """
    if (folder / DECLARATION).is_file():
        return read_description(folder / DECLARATION, 'labels, as {"1": "spleen"}', declared)
    maps = list(paths)
    with ThreadPoolExecutor() as pool:
        found = dict(zip(maps, pool.map(_values_in, maps), strict=True))
    read = {path: values for path, values in found.items() if isinstance(values, set)}
    trusted = _without_blurred(list(read.values()))
    values = sorted(set().union(*trusted))
    if not values and len(read) < len(found):
        raise next(error for error in found.values() if isinstance(error, DataError))
    if len(values) > MOST_FOUND:
        most = max(read, key=lambda path: len(read[path]))
        raise DataError(
            f"{folder}: {len(values)} label values found ({values[0]} to {values[-1]}), most of them in {most}; "
            f"declare those that are labels in {DECLARATION}"
        )
    whites = WHITES.intersection(values)
    if whites and len(values) > 1 and all(len(each) <= 1 for each in trusted):
        white = max(whites)
        other = next(value for value in values if value != white)
        first, second = (next(path for path in read if read[path] == {value}) for value in (white, other))
        raise DataError(
            f"{folder}: {first} marks its foreground with {white}, {second} with {other}; write all masks alike "
            f"if they mean the same, else declare the values as labels in {DECLARATION}"
        )
    return {values[0]: "foreground"} if len(values) == 1 else {value: f"label_{value}" for value in values}


class Declared(NamedTuple):
    """The labels that a dataset declares: names by value, the value of unknown voxels, and unions of values by name."""

    labels: dict[int, str]
    ignore_label: int | None = None
    regions: Mapping[str, tuple[int, ...]] = MappingProxyType({})


def read_declaration(path: Path) -> Declared:
    """Read the labels of a `dataset.json`, nnU-Net's or the Decathlon's, or of a `labels.json`.

    Raises:
        DataError: if the file cannot be read or declares no labels.
    """

    def parse(description: dict[str, Any]) -> Declared:
        labels = description if path.name == DECLARATION else description["labels"]
        is_nnunet = "channel_names" in description or any(isinstance(value, list) for value in labels.values())
        return nnunet_labels(labels) if is_nnunet else Declared(declared(labels))

    return read_description(path, "labels, each a whole number and a name", parse)


def nnunet_labels(labels: dict[str, Any]) -> Declared:
    """Return what nnU-Net's values by name declare: `ignore` is unknown; with a list of values, every name is a region.

    >>> nnunet_labels({"background": 0, "whole": [1, 2], "core": 2, "ignore": 3})
    Declared(labels={1: 'label_1', 2: 'core'}, ignore_label=3, regions={'whole': (1, 2), 'core': (2,)})
    """
    values = {
        str(name): tuple(map(whole_number, value if isinstance(value, list) else [value]))
        for name, value in labels.items()
    }
    (ignore_label,) = values.pop("ignore", (None,))
    values = {name: value for name, value in values.items() if value != (0,)}
    names = {value[0]: name for name, value in values.items() if len(value) == 1}
    each = sorted({value for several in values.values() for value in several})
    has_regions = any(len(value) > 1 for value in values.values())
    return Declared(
        {value: names.get(value, f"label_{value}") for value in each}, ignore_label, values if has_regions else {}
    )


def declared(labels: dict[str, Any]) -> dict[int, str]:
    """Return names by value, without the background, from names by value (Decathlon) or values by name (nnU-Net)."""
    by_value = all(key.lstrip("-").isdecimal() for key in labels)
    pairs = labels.items() if by_value else ((value, name) for name, value in labels.items())
    return {value: name for value, name in by_number(pairs).items() if value != 0}


def _without_blurred(maps: list[set[int]]) -> list[set[int]]:
    """The values of each label map, except maps with many values that hardly any other map has."""
    times = Counter(value for values in maps for value in values)
    alone = [sum(times[value] <= max(1, len(maps) // 10) for value in values) for values in maps]
    if 2 * alone.count(0) < len(maps):
        return maps
    most = [MOST_GREYS if WHITE in values else MOST_FOUND for values in maps]
    return [values for values, own, few in zip(maps, alone, most, strict=True) if own <= few]


def _values_in(path: Path) -> set[int] | DataError:
    """The positive values of a label map."""
    try:
        values = np.unique(formats.read_label(path).array)
    except DataError as error:
        return error
    return set(values[values > 0].tolist())
