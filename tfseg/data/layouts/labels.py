"""Names of label values, where a layout declares none of its own."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tfseg.data import formats
from tfseg.data.layouts.dataset import by_number, read_description
from tfseg.data.volume import DataError

DECLARATION = "labels.json"
# More values than this are a blurred mask, or an image.
MOST_FOUND = 64


def labels_of(folder: Path, paths: Iterable[Path]) -> dict[int, str]:
    """Return the labels that `labels.json` in `folder` declares, or else the values found in the label maps.

    The file holds `{"1": "spleen", …}` or `{"spleen": 1, …}`. Label maps that cannot be read are passed over;
    they are faults of their own.

    Raises:
        DataError: on a damaged file, or where no label map can be read or they hold too many values.
    """
    if (folder / DECLARATION).is_file():
        return read_description(folder / DECLARATION, 'labels, as {"1": "spleen"}', declared)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_values_in, paths))
    values = sorted({value for each in found if isinstance(each, set) for value in each} - {0})
    if not values and any(isinstance(each, DataError) for each in found):
        raise next(each for each in found if isinstance(each, DataError))
    if len(values) > MOST_FOUND:
        raise DataError(
            f"{folder}: {len(values)} label values found ({values[0]} to {values[-1]}); "
            f"declare those that are labels in {DECLARATION}"
        )
    return {values[0]: "foreground"} if len(values) == 1 else {value: f"label_{value}" for value in values}


def declared(labels: dict[str, Any]) -> dict[int, str]:
    """Read names by value, as the Decathlon has them, or values by name, as nnU-Net has them; without background."""
    by_value = all(key.lstrip("-").isdecimal() for key in labels)
    pairs = labels.items() if by_value else ((value, name) for name, value in labels.items())
    return {value: name for value, name in by_number(pairs).items() if value != 0}


def _values_in(path: Path) -> set[int] | DataError:
    try:
        return set(np.unique(formats.read_label(path).array).tolist())
    except DataError as error:
        return error
