"""How a dataset becomes training data: a recipe, read from YAML, and what it leaves open, derived from the data."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from tfseg.config.config import validate
from tfseg.config.yaml_files import read_yaml_chain
from tfseg.core import processes as workers
from tfseg.core.errors import ConfigError, DataError
from tfseg.core.geometry import Mask, bounding_box
from tfseg.datasets.grids import AXES, Array, canonical_spacing_mm, longest_axis
from tfseg.datasets.layouts import Dataset
from tfseg.datasets.modality import ChannelMeasures, is_ct, measure_channel
from tfseg.datasets.reading import check_channels, read_case_header, read_case_image, read_case_label
from tfseg.preparation.scan import crop_to, find_inside, make_grid, naming
from tfseg.preparation.steps import FOREGROUND_PERCENTILES, Recipe

Result = TypeVar("Result")

__all__ = ["Recipe", "derive", "load_recipe", "processes_for", "resolve"]

# The default network halves its image four times.
SIZE_MULTIPLE = 16
# Cases whose values tell the modality, spread evenly over all.
MODALITY_CASES = 9
# Spacings that differ by less than this share count as one.
SPACING_TOLERANCE = 0.01
# Isensee 2021 (10.1038/s41592-020-01008-z) measures scaling inside what is not 0 where that is less of the volume.
NONZERO_SHARE = 0.75
LOWEST_HU, HIGHEST_HU = -2048, 4096
# A process starts in about the time that packed images of this size take to be prepared.
BYTES_PER_PROCESS = 16 * 2**20


def load_recipe(path: Path) -> Recipe:
    """Read a recipe, with its `base:` chain.

    Raises:
        ConfigError: on an unreadable file, an unknown key or a value out of range.
    """
    return validate(Recipe, read_yaml_chain(path), str(path))


def derive(dataset: Dataset, on_case: Callable[[], None] = lambda: None, processes: int = 1) -> Recipe:
    """Choose a recipe for a dataset by rules after Isensee 2021 (10.1038/s41592-020-01008-z); `resolve` completes it.

    Slices are resampled to the median spacing; where an image other than CT is 0 around a part of less than three
    quarters, in the median over cases, it is cropped to that part and scaled by what is not 0.

    Raises:
        DataError: where a case cannot be read.
    """
    if _is_ct(dataset):
        return Recipe(spacing_mm="median")
    shares = [share for _, share in workers.each(_nonzero_share, _singles(dataset, on_case), processes)]
    if np.median(shares) < NONZERO_SHARE:
        return Recipe(spacing_mm="median", crop="nonzero", crop_margin_mm=0, scaling="zscore", scaling_over="nonzero")
    return Recipe(spacing_mm="median", scaling="zscore")


def resolve(recipe: Recipe, dataset: Dataset, on_case: Callable[[], None] = lambda: None, processes: int = 1) -> Recipe:
    """Fill in what a recipe leaves open, from the headers of a dataset and, where they do not tell, from its voxels.

    The axis is the one with the longest voxels, axial where they are near cubes, which is a convention and not
    always the best choice; `median` is the median spacing within slices, where spacings differ; images of which every
    channel is CT, by its values or its name, are clipped to the 0.5th to 99.5th percentile of the voxels inside labels
    (as Isensee 2021 does, 10.1038/s41592-020-01008-z) and min-max scaled, others z-scored; slices are padded to the
    largest, rounded up to a multiple of 16. A case that cannot be cropped is passed over here.

    Raises:
        ConfigError: where the channel to find the brain in is not there.
        DataError: where a case cannot be read.
    """
    if recipe.skull_strip_channel >= len(dataset.channels):
        raise ConfigError(
            f"skull_strip_channel: expected 0 to {len(dataset.channels) - 1}, received {recipe.skull_strip_channel}"
        )
    headers = [read_case_header(case) for case in dataset.cases]
    spacings_mm = np.array([canonical_spacing_mm(header.affine) for header in headers])
    window = recipe.window_hu
    if window is None and recipe.scaling is None and _is_ct(dataset):
        window = _foreground_window(dataset, on_case, processes)
    axis = recipe.axis or longest_axis(spacings_mm)
    filled = recipe.model_copy(
        update={
            "axis": axis,
            "window_hu": window,
            "scaling": recipe.scaling or ("minmax" if window else "zscore"),
            "spacing_mm": _median_within(axis, spacings_mm) if recipe.spacing_mm == "median" else recipe.spacing_mm,
        }
    )
    if recipe.size:
        return filled
    unpadded = filled.model_copy(update={"size": (1, 1), "fit": "pad"})
    if recipe.crop == "none":
        shapes = [make_grid(header.shape, header.affine, unpadded).slice_shape for header in headers]
    else:
        measure = partial(_unless_faulty, partial(_cropped_shape, unpadded))
        measured = [found for _, found in workers.each(measure, _singles(dataset, on_case), processes)]
        shapes = [found for found in measured if not isinstance(found, str)]
        if not shapes:
            raise DataError(measured[0])
    height, width = (
        math.ceil(length / SIZE_MULTIPLE) * SIZE_MULTIPLE for length in np.max(shapes, axis=0)[1:].tolist()
    )
    return filled.model_copy(update={"size": (height, width)})


def _is_ct(dataset: Dataset) -> bool:
    """Whether every channel is CT, as the fingerprint tells it; one window would not do for CT beside PET."""
    spread = np.linspace(0, len(dataset.cases) - 1, min(MODALITY_CASES, len(dataset.cases))).round().astype(int)
    chosen = replace(dataset, cases=tuple(dataset.cases[index] for index in spread.tolist()))
    measures = [found for single in _singles(chosen) if not isinstance(found := _unless_faulty(_measure, single), str)]
    channels = zip(dataset.channels, zip(*measures, strict=True), strict=True)
    return bool(measures) and all(is_ct(name, cases) for name, cases in channels)


def _measure(single: Dataset) -> list[ChannelMeasures]:
    check_channels(single.cases[0], read_case_header(single.cases[0]), single)
    return [measure_channel(channel) for channel in np.moveaxis(read_case_image(single.cases[0]).array, 3, 0)]


def _unless_faulty(read: Callable[[Dataset], Result], single: Dataset) -> Result | str:
    """What is read of a case, or what is wrong with it, which its preparation then raises or skips."""
    try:
        return read(single)
    except DataError as error:
        return str(error)


def _singles(dataset: Dataset, on_case: Callable[[], None] = lambda: None) -> Iterator[Dataset]:
    """Each case as a dataset of its own, counted as it is taken up."""
    for case in dataset.cases:
        yield replace(dataset, cases=(case,))
        on_case()


def _median_within(axis: str, spacings_mm: Array) -> Literal["own"] | tuple[float | None, float | None, float | None]:
    """The median spacing along x, y and z, none across slices and where all cases agree."""
    median_mm = np.median(spacings_mm, axis=0)
    differs = np.abs(spacings_mm / median_mm - 1).max(axis=0) > SPACING_TOLERANCE
    differs[AXES.index(axis)] = False
    x, y, z = (round(step, 4) if other else None for step, other in zip(median_mm.tolist(), differs, strict=True))
    return (x, y, z) if differs.any() else "own"


def processes_for(dataset: Dataset, most: int) -> int:
    """Return how many processes are worth starting, `most` at the most: each costs as much as reading some files."""
    paths = [path for case in dataset.cases for path in case.images]
    listed = (file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]))
    packed_bytes = sum(file.stat().st_size for file in listed)
    return max(1, min(most, len(dataset.cases), packed_bytes // BYTES_PER_PROCESS))


def _nonzero_share(single: Dataset) -> float:
    """The share of a case's only volume that the box of its nonzero voxels takes up."""
    nonzero: Mask = np.any(read_case_image(single.cases[0]).array, axis=-1)
    return float(nonzero[bounding_box(nonzero)].size / nonzero.size)


def _cropped_shape(recipe: Recipe, single: Dataset) -> tuple[int, int, int]:
    case = single.cases[0]
    image = read_case_image(case)
    inside = crop_to(image, *find_inside(image, case, recipe), recipe)
    with naming(case):
        return make_grid(image.array.shape[:3], image.affine, recipe, inside).slice_shape


def _foreground_window(dataset: Dataset, on_case: Callable[[], None], processes: int) -> tuple[float, float]:
    """Percentiles of every case's foreground, by a histogram of whole Hounsfield units."""
    counted = workers.each(_foreground_counts, _singles(dataset, on_case), processes)
    counts = sum((counts for _, counts in counted), start=np.zeros(HIGHEST_HU - LOWEST_HU + 1, np.int64))
    if not counts.any():
        raise DataError(f"{dataset.name}: no voxel of any case carries a label of {list(dataset.labels)}")
    shares = np.cumsum(counts) / counts.sum()
    low, high = (float(np.searchsorted(shares, p / 100) + LOWEST_HU) for p in FOREGROUND_PERCENTILES)
    return low, max(high, low + 1)


def _foreground_counts(single: Dataset) -> Array:
    """How many labelled voxels of a dataset's only case have each whole Hounsfield unit."""
    image = read_case_image(single.cases[0]).array
    label = read_case_label(single.cases[0], single).array
    inside = np.clip(np.rint(image[np.isin(label, list(single.labels))]), LOWEST_HU, HIGHEST_HU)
    return np.bincount(inside.astype(np.int64).ravel() - LOWEST_HU, minlength=HIGHEST_HU - LOWEST_HU + 1)
