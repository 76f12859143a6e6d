"""Read a preparation recipe from YAML, and derive what it leaves open from the data."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfseg.config.config import validate
from tfseg.config.yaml_files import parse_yaml, read_yaml_chain
from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.grids import AXES, Array, Header, canonical_shape, canonical_spacing_mm, slice_axis
from tfseg.datasets.layouts import Dataset
from tfseg.datasets.modality import is_ct
from tfseg.preparation.scan import Box, make_grid
from tfseg.preparation.steps import FOREGROUND_PERCENTILES, Recipe
from tfseg.preparation.survey import LOWEST_HU, Fact, Survey

__all__ = ["Recipe", "derive", "load_recipe", "processes_for", "resolve"]

Spacing = Literal["own", "median", "median_3d"] | tuple[float | None, float | None, float | None]
# Fields and values that `resolve` fills in.
LEFT_OPEN = {
    "axis": (None,),
    "window_hu": (None,),
    "scaling": (None,),
    "size": (None,),
    "spacing_mm": ("median", "median_3d"),
}
# The default network halves its image four times.
SIZE_MULTIPLE = 16
# Cases whose values decide the modality, spread evenly over all.
MODALITY_CASES = 9
# Spacings that differ by less than this share count as one.
SPACING_TOLERANCE = 0.01
# Isensee 2021 (10.1038/s41592-020-01008-z) takes volumes as anisotropic if one axis has more than this many times the
# spacing of the others, and fewer voxels by as much.
ANISOTROPIC = 3
# The spacing that it then takes along that axis, as a percentile of all cases.
FINE_PERCENTILE = 10
# It measures scaling over the nonzero voxels if they are less of the volume.
NONZERO_SHARE = 0.75
# A process starts in about the time that packed images of this size take to be prepared.
BYTES_PER_PROCESS = 16 * 2**20


def load_recipe(path: Path) -> Recipe:
    """Read a recipe, with its `base:` chain.

    Raises:
        ConfigError: if the file cannot be read, a key is unknown or a value is out of range.
    """
    return validate(Recipe, read_yaml_chain(path), str(path))


def parse_recipe(text: str, where: str) -> Recipe:
    """Return the recipe that `Recipe.to_yaml` wrote.

    Raises:
        ConfigError: if it is none.
    """
    return validate(Recipe, parse_yaml(text, where), where)


def derive(dataset: Dataset, survey: Survey | None = None, volumes: bool = False) -> Recipe:
    """Choose a recipe for a dataset by rules after Isensee 2021 (10.1038/s41592-020-01008-z); `resolve` completes it.

    Slices are resampled to the median spacing, volumes along all three axes. Images other than CT are cropped to the
    box of their nonzero voxels, and scaled by those, if the box takes less than three quarters of the volume, in the
    median over cases.

    Args:
        dataset: what to prepare.
        survey: what is measured of its cases; a new one if absent.
        volumes: whether networks see volumes or patches of them, not slices.

    Raises:
        DataError: if a case cannot be read.
    """
    survey = survey or Survey(dataset, Recipe())
    median: Literal["median", "median_3d"] = "median_3d" if volumes else "median"
    if _is_ct(survey, along=("foreground", "nonzero")):
        return Recipe(spacing_mm=median)
    boxes = _sound(survey.measure("nonzero"))
    shares = [_voxels(box) / math.prod(header.shape) for box, header in zip(boxes, survey.headers(), strict=True)]
    if np.median(shares) < NONZERO_SHARE:
        return Recipe(spacing_mm=median, crop="nonzero", crop_margin_mm=0, scaling="zscore", scaling_over="nonzero")
    return Recipe(spacing_mm=median, scaling="zscore")


def resolve(recipe: Recipe, dataset: Dataset, survey: Survey | None = None) -> Recipe:
    """Complete a recipe from the headers of a dataset and, if they are not enough, from its voxels.

    - `axis`: the one of a single voxel, or else the one with the longest voxels, axial if voxels are near cubes; a
      convention, not always the best choice.
    - `spacing_mm: median`: the median spacing within slices, if spacings differ. `median_3d`: along all axes; but along
      the coarse axis of anisotropic volumes the 10th percentile, at least the others' spacing.
    - `window_hu` and `scaling`: if every channel is CT, by its values or its name, the 0.5th to 99.5th percentile of
      the labelled voxels (Isensee 2021, 10.1038/s41592-020-01008-z) and min-max; z-score otherwise.
    - `size`: the largest slice, rounded up to a multiple of 16; cases that cannot be cropped are passed over here.

    Args:
        recipe: as written or derived.
        dataset: what to prepare.
        survey: what is measured of its cases; a new one if absent.

    Raises:
        ConfigError: if the channel to find the brain in does not exist.
        DataError: if a case cannot be read, or is a single slice across another axis.
    """
    if recipe.skull_strip_channel >= len(dataset.channels):
        raise ConfigError(
            f"skull_strip_channel: expected 0 to {len(dataset.channels) - 1}, received {recipe.skull_strip_channel}"
        )
    survey = survey or Survey(dataset, recipe)
    boxed = None if recipe.size else recipe.cropped_to
    window = recipe.window_hu
    if window is None and recipe.scaling is None and _is_ct(survey, along=("foreground", *([boxed] if boxed else ()))):
        window = _foreground_window(survey, along=[boxed] if boxed else ())
    measured = survey.measure(boxed) if boxed else [None] * len(dataset.cases)
    headers = survey.headers()
    spacings_mm = np.array([canonical_spacing_mm(header.affine) for header in headers])
    shapes = [canonical_shape(header) for header in headers]
    axis = recipe.axis or slice_axis(np.array(shapes), spacings_mm)
    _check_single_slices(axis, dataset, shapes)
    filled = recipe.model_copy(
        update={
            "axis": axis,
            "window_hu": window,
            "scaling": recipe.scaling or ("minmax" if window else "zscore"),
            "spacing_mm": _spacing(recipe, axis, spacings_mm, np.array(shapes)),
        }
    )
    return filled if recipe.size else filled.model_copy(update={"size": _size(filled, dataset, headers, measured)})


def _check_single_slices(axis: str, dataset: Dataset, shapes: Sequence[tuple[int, int, int]]) -> None:
    for case, shape in zip(dataset.cases, shapes, strict=True):
        if 1 in shape and shape[AXES.index(axis)] != 1:
            own = AXES[shape.index(1)]
            raise DataError(
                f"{case.images[0]}: a single {own} slice, which {axis} slices would cut into lines of one pixel; "
                f"set axis: {own} in a recipe, and prepare other scans separately"
            )


def is_completed(recipe: Recipe, resolved: Recipe) -> bool:
    """Whether a resolved recipe differs from a written one only in what that leaves open."""
    differing = {name for name in Recipe.model_fields if getattr(recipe, name) != getattr(resolved, name)}
    return all(name in LEFT_OPEN and getattr(recipe, name) in LEFT_OPEN[name] for name in differing)


def _size(
    recipe: Recipe, dataset: Dataset, headers: Sequence[Header], boxes: Sequence[Box | str | None]
) -> tuple[int, int]:
    """Rows and columns that hold every slice, in multiples of 16; a text in place of a box says why there is none."""
    unpadded = recipe.model_copy(update={"size": (1, 1), "fit": "pad"})
    shapes, wrong = [], []
    for case, header, box in zip(dataset.cases, headers, boxes, strict=True):
        if isinstance(box, str):
            wrong.append(box)
        elif box is not None and not _voxels(box):
            wrong.append(f"{case.images[0]}: no voxel to crop to: every one is 0")
        else:
            shapes.append(make_grid(header.shape, header.affine, unpadded, box).slice_shape)
    if not shapes:
        raise DataError(wrong[0])
    height, width = (math.ceil(length / SIZE_MULTIPLE) * SIZE_MULTIPLE for length in np.max(shapes, axis=0)[1:])
    return height, width


def _is_ct(survey: Survey, along: Collection[Fact]) -> bool:
    """Whether every channel is CT, as the fingerprint decides it; one window would not do for CT beside PET."""
    cases = survey.dataset.cases
    spread = np.linspace(0, len(cases) - 1, min(MODALITY_CASES, len(cases))).round().astype(int).tolist()
    measured = survey.measure("channels", [cases[index] for index in spread], along)
    readable = [channels for channels in measured if not isinstance(channels, str)]
    return bool(readable) and all(map(is_ct, survey.dataset.channels, zip(*readable, strict=True)))


def _foreground_window(survey: Survey, along: Collection[Fact]) -> tuple[float, float]:
    """Percentiles of every case's labelled voxels, by a histogram of whole Hounsfield units."""
    counts = np.sum(_sound(survey.measure("foreground", along=along)), axis=0)
    if not counts.any():
        dataset = survey.dataset
        raise DataError(f"{dataset.name}: no voxel of any case carries a label of {list(dataset.labels)}")
    shares = np.cumsum(counts) / counts.sum()
    low, high = (float(np.searchsorted(shares, p / 100) + LOWEST_HU) for p in FOREGROUND_PERCENTILES)
    return low, max(high, low + 1)


def _sound(facts: list[Any]) -> list[Any]:
    """Facts of which none is a text that says what is wrong with a case.

    Raises:
        DataError: with the first of those texts.
    """
    for fact in facts:
        if isinstance(fact, str):
            raise DataError(fact)
    return facts


def _voxels(box: Box) -> int:
    return math.prod(side.stop - side.start for side in box)


def _spacing(recipe: Recipe, axis: str, spacings_mm: Array, shapes: Array) -> Spacing:
    """The spacing along x, y and z, in place of a median; None along axes that are not resampled."""
    if recipe.spacing_mm not in ("median", "median_3d"):
        return recipe.spacing_mm
    target_mm = np.median(spacings_mm, axis=0)
    if recipe.spacing_mm == "median_3d":
        target_mm = _finer_if_anisotropic(target_mm, spacings_mm, np.median(shapes, axis=0))
    differs = np.abs(spacings_mm / target_mm - 1).max(axis=0) > SPACING_TOLERANCE
    if recipe.spacing_mm == "median":
        differs[AXES.index(axis)] = False
    x, y, z = (round(step, 4) if other else None for step, other in zip(target_mm.tolist(), differs, strict=True))
    return (x, y, z) if differs.any() else "own"


def _finer_if_anisotropic(median_mm: Array, spacings_mm: Array, voxels: Array) -> Array:
    """Median spacings, with a finer one along the coarse axis of anisotropic volumes: few of them lose slices."""
    coarse = int(median_mm.argmax())
    others = np.delete(median_mm, coarse).max()
    if median_mm[coarse] > ANISOTROPIC * others and ANISOTROPIC * voxels[coarse] < np.delete(voxels, coarse).min():
        median_mm = median_mm.copy()
        median_mm[coarse] = max(np.percentile(spacings_mm[:, coarse], FINE_PERCENTILE), others)
    return median_mm


def processes_for(dataset: Dataset, most: int) -> int:
    """Return how many processes, at most `most`, are worth starting for the size of the files."""
    paths = [path for case in dataset.cases for path in case.images]
    listed = (file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]))
    packed_bytes = sum(file.stat().st_size for file in listed)
    return max(1, min(most, len(dataset.cases), packed_bytes // BYTES_PER_PROCESS))
