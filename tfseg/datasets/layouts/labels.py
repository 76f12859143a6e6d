"""Name the label values of a dataset: as `labels.json` declares them, or as they are found in the label maps."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets import formats
from tfseg.datasets.layouts.label_names import DECLARATION, read_declaration
from tfseg.datasets.layouts.palettes import are_read_as_shown

# More values than this are a blurred mask, or an image.
MOST_FOUND = 64
# A black and white mask with more values than this that hardly any other mask has is a blurred one.
MOST_GREYS, WHITE = 4, 255
# The foreground of 8-bit and of 16-bit masks; 1 in another mask may mean the same.
WHITES = {WHITE, 65535}
# Values that fill at least this share of 1 to their greatest are numbers of classes; 255 beside them is no class.
DENSE = 0.5


class Labels(NamedTuple):
    """Names by value, the value of unknown voxels, whether palettes are read as shown, and lines to report."""

    names: dict[int, str]
    ignore_label: int | None = None
    masks_as_shown: bool = False
    warnings: tuple[str, ...] = ()


class _Map(NamedTuple):
    """The positive values of a label map, whether it has a background, and whether its border is mostly white."""

    values: set[int]
    has_background: bool
    is_white_at_border: bool


def labels_of(folder: Path, paths: Iterable[Path]) -> Labels:
    """Return the labels that `labels.json` in `folder` declares or, without it, those of `find_labels`.

    The file holds `{"1": "spleen", …}` or `{"spleen": 1, …}`; "ignore" names the value of unknown voxels.

    Raises:
        DataError: if the file is damaged or palettes contradict each other, and as `find_labels`.
    """
    maps = list(paths)
    shown = are_read_as_shown(maps)
    if (folder / DECLARATION).is_file():
        declared = read_declaration(folder / DECLARATION)
        return Labels(declared.labels, declared.ignore_label, shown)
    return find_labels(folder, maps, shown)


def find_labels(folder: Path, maps: Sequence[Path], shown: bool, ignore_label: int | None = None) -> Labels:
    """Return the values found in label maps as labels; without an `ignore_label`, 255 beside numbers of classes is one.

    Label maps that cannot be read are skipped, and so are negative values and the values of a mask that was blurred,
    for example by resizing: all are reported as faults.

    Args:
        folder: where the label maps are, for messages.
        maps: their paths.
        shown: read the grey levels that palettes of 2D masks show, not their indices.
        ignore_label: the value of unknown voxels, if it is given.

    Raises:
        DataError: if no label map can be read, they hold too many values, or some mark their foreground with white
            and others with another value.
    """
    with ThreadPoolExecutor() as pool:
        results = dict(zip(maps, pool.map(partial(_read, shown=shown), maps), strict=True))
    read = {path: each for path, each in results.items() if isinstance(each, _Map)}
    trusted = _without_blurred([each.values - {ignore_label} for each in read.values()])
    values = sorted(set().union(*trusted))
    if not values and len(read) < len(results):
        raise next(error for error in results.values() if isinstance(error, DataError))
    if len(values) > MOST_FOUND:
        most = max(read, key=lambda path: len(read[path].values))
        raise DataError(
            f"{folder}: {len(values)} label values found ({values[0]} to {values[-1]}), most of them in {most}; "
            f"declare those that are labels in {DECLARATION}"
        )
    _check_whites(folder, read, trusted, values)
    is_void = ignore_label is None and WHITE in values and 1 < len(values) >= 1 + DENSE * values[-2]
    labels = values[:-1] if is_void else values
    names = {labels[0]: "foreground"} if len(labels) == 1 else {value: f"label_{value}" for value in labels}
    warnings = _warnings(folder, list(read.values()), values, is_void)
    return Labels(names, WHITE if is_void else ignore_label, shown, tuple(warnings))


def no_background(dataset: str, lowest: int) -> str:
    """Describe label maps without a voxel of 0."""
    return f"{dataset}: no label map has a voxel of 0, the background; {lowest} is read as a structure"


def _warnings(folder: Path, maps: Sequence[_Map], values: Sequence[int], is_void: bool) -> Iterable[str]:
    if is_void:
        times = sum(WHITE in each.values for each in maps)
        yield (
            f"{folder}: {WHITE} beside the values {values[0]} to {values[-2]}, in {times} of {len(maps)} label maps, "
            f"is read as unknown: no loss and no score there; declare it in {DECLARATION} if it is a structure"
        )
    if values and not any(each.has_background for each in maps):
        yield no_background(folder.resolve().name, values[0])
    if set(values) <= WHITES and len(maps) > 1 and all(each.is_white_at_border for each in maps):
        yield (
            f"{folder}: white covers most of the border of every mask: if the structures are black on white, "
            "invert the masks, because 0 is the background"
        )


def _check_whites(folder: Path, read: Mapping[Path, _Map], trusted: Sequence[set[int]], values: Sequence[int]) -> None:
    """Refuse masks of which some are white and others have other values, though none has both."""
    whites = WHITES.intersection(values)
    if not whites or len(values) == 1 or any(whites & each and len(each) > 1 for each in trusted):
        return
    white = max(whites)
    first = next(path for path in read if white in read[path].values)
    second = next(path for path in read if read[path].values - {white})
    other = min(read[second].values - {white})
    raise DataError(
        f"{folder}: {first} marks its foreground with {white}, {second} with {other}; write all masks alike "
        f"if they mean the same, else declare the values as labels in {DECLARATION}"
    )


def _without_blurred(maps: list[set[int]]) -> list[set[int]]:
    """The values of each label map, except maps with many values that hardly any other map has."""
    times = Counter(value for values in maps for value in values)
    alone = [sum(times[value] <= max(1, len(maps) // 10) for value in values) for values in maps]
    if 2 * alone.count(0) < len(maps):
        return maps
    most = [MOST_GREYS if WHITE in values else MOST_FOUND for values in maps]
    return [values for values, own, few in zip(maps, alone, most, strict=True) if own <= few]


def _read(path: Path, shown: bool) -> _Map | DataError:
    try:
        label = formats.read_label(path, shown)
    except DataError as error:
        return error
    values = np.unique(label.array.ravel(order="K"))
    rows = label.array[:, :, 0]
    border = np.concatenate([rows[0], rows[-1], rows[:, 0], rows[:, -1]])
    is_white = label.in_pixels and bool(np.isin(border, list(WHITES)).mean() > 0.5)
    return _Map(set(values[values > 0].tolist()), bool((values == 0).any()), is_white)
