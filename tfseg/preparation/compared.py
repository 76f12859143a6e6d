"""Compare prepared cases with each other: one scan under two subjects, and cases in other units than the rest."""

import json
from collections.abc import Container
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfseg.core import files
from tfseg.core.errors import DataError
from tfseg.datasets.cautions import other_units
from tfseg.datasets.duplicates import digests_of, shared_voxels
from tfseg.datasets.grids import Volume
from tfseg.datasets.layouts import Dataset
from tfseg.datasets.modality import ChannelMeasures, measure_channel

# Voxels that are left out between those that values are measured of.
STEP = 2


class Compared(NamedTuple):
    """Why cases may not be used beside others, by name, and lines to report."""

    shared: dict[str, str]
    warnings: list[str]


def traits(image: Volume) -> dict[str, Any]:
    """Return what `case.json` keeps of a scan for comparison: digests and measures of its channels."""
    return {"digests": digests_of(image), "measures": measures_of(image)}


def measures_of(image: Volume) -> list[list[float]]:
    """Return lowest and highest value, mean and standard deviation of each channel, of every other voxel."""
    thinned = image.array[tuple(slice(None, None, STEP if length > STEP else None) for length in image.array.shape[:3])]
    measures = [measure_channel(channel) for channel in np.moveaxis(thinned, 3, 0)]
    return [[each.lowest, each.highest, each.mean, each.std] for each in measures]


def compare(out: Path, dataset: Dataset, skipped: Container[str]) -> Compared:
    """Compare the cases of a prepared folder, except those that were skipped.

    Raises:
        DataError: if a `case.json` cannot be read.
    """
    kept = {}
    for case in dataset.cases:
        if case.name not in skipped:
            path = out / "cases" / case.name / "case.json"
            with files.reading(path, DataError):
                kept[case] = json.loads(path.read_text(encoding="utf-8")).get("traits", {})
    shared = shared_voxels((case, each.get("digests", ())) for case, each in kept.items())
    nothing = np.empty(0, np.float32)
    measured = [
        (case, [ChannelMeasures(low, high, mean, std, nothing) for low, high, mean, std in each["measures"]])
        for case, each in kept.items()
        if "measures" in each
    ]
    return Compared(
        {case.name: message for case, message in shared}, other_units(dataset, measured) if measured else []
    )
