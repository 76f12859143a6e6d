"""How a dataset becomes training data: a recipe, given as YAML or derived from the data."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import Field, field_validator

from tfseg.config import ConfigError, Count, Section, read_yaml_chain, validate
from tfseg.data.layouts import Dataset
from tfseg.data.slicing import AXES, SliceGrid
from tfseg.data.volume import Array, DataError, open_nifti, read_image, read_label

# The default network halves its image four times.
SIZE_MULTIPLE = 16
# Slices are cut across the direction in which voxels are this much longer than in the others.
ANISOTROPY = 1.5
FOREGROUND_PERCENTILES = (0.5, 99.5)


class Recipe(Section):
    """Preparation steps, in the order in which they are applied; what is left out is derived from the data.

    `window_hu` clips to (low, high); `median_kernel` is in pixels of a slice, 0 for none; `skull_strip` keeps
    the brain, found in channel `skull_strip_channel`, and gives the rest its least value; `scaling` is measured
    over the `volume` or its `nonzero` voxels (the brain, after skull stripping); `size` is what slices are padded to.
    """

    axis: Literal["sagittal", "coronal", "axial"] | None = None
    window_hu: tuple[float, float] | None = None
    skull_strip: Literal["none", "region"] = "none"
    skull_strip_channel: Annotated[int, Field(ge=0)] = 0
    median_kernel: Annotated[int, Field(ge=0)] = 0
    scaling: Literal["zscore", "minmax", "none"] | None = None
    scaling_over: Literal["volume", "nonzero"] = "volume"
    size: tuple[Count, Count] | None = None

    @field_validator("window_hu")
    @classmethod
    def _window_is_a_range(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not window[0] < window[1]:
            raise ValueError("window_hu expects low < high")
        return window

    @field_validator("median_kernel")
    @classmethod
    def _kernel_is_odd(cls, kernel: int) -> int:
        if kernel and kernel % 2 == 0:
            raise ValueError("median_kernel expects an odd number of pixels, or 0")
        return kernel

    def to_yaml(self) -> str:
        """Return the recipe as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe, with its `base:` chain.

    Raises:
        ConfigError: on an unreadable file, an unknown key or a value out of range.
    """
    return validate(Recipe, read_yaml_chain(path), str(path))


def resolve(recipe: Recipe, dataset: Dataset, on_case: Callable[[], None] = lambda: None) -> Recipe:
    """Fill in what a recipe leaves open, from the headers of a dataset and, for CT, from its foreground.

    The axis is the one with the longest voxels, axial where they are near cubes; CT is clipped to the 0.5th
    to 99.5th percentile of the voxels inside labels (as Isensee 2021 does, 10.1038/s41592-020-01008-z) and
    min-max scaled, any other modality z-scored; slices are padded to the largest, rounded up to a multiple of 16.

    Raises:
        ConfigError: where the channel to find the brain in is not there.
        DataError: where a header cannot be read.
    """
    if recipe.skull_strip_channel >= len(dataset.channels):
        raise ConfigError(
            f"skull_strip_channel: expected 0 to {len(dataset.channels) - 1}, received {recipe.skull_strip_channel}"
        )
    shapes, affines = _read_headers(dataset)
    axis = recipe.axis or _longest_axis(shapes, affines)
    is_ct = "CT" in (channel.upper() for channel in dataset.channels)
    window = recipe.window_hu
    if window is None and is_ct and recipe.scaling is None:
        window = _foreground_window(dataset, on_case)
    filled = {
        "axis": axis,
        "window_hu": window,
        "scaling": recipe.scaling or ("minmax" if window else "zscore"),
        "size": recipe.size or _common_size(shapes, affines, axis),
    }
    return recipe.model_copy(update=filled)


def _read_headers(dataset: Dataset) -> tuple[list[tuple[int, ...]], list[Array]]:
    shapes, affines = [], []
    for case in dataset.cases:
        image = open_nifti(case.image)
        if len(image.shape) not in (3, 4):
            raise DataError(f"{case.image}: expected a 3D image, or 4D with channels last; its shape is {image.shape}")
        shapes.append(image.shape[:3])
        affines.append(image.affine)
    return shapes, affines


def _longest_axis(shapes: list[tuple[int, ...]], affines: list[Array]) -> str:
    axial = [SliceGrid.of(*pair, "axial", (1, 1)) for pair in zip(shapes, affines, strict=True)]
    # The axial grid's order is slice, row, column, that is z, x, y.
    z, x, y = np.median([grid.slice_spacing_mm for grid in axial], axis=0)
    spacing = np.array([x, y, z])
    longest = int(spacing.argmax())
    others = np.delete(spacing, longest)
    return AXES[longest] if spacing[longest] >= ANISOTROPY * others.max() else "axial"


def _common_size(shapes: list[tuple[int, ...]], affines: list[Array], axis: str) -> tuple[int, int]:
    grids = [SliceGrid.of(*pair, axis, (1, 1)) for pair in zip(shapes, affines, strict=True)]
    largest = np.max([grid.slice_shape[1:] for grid in grids], axis=0)
    height, width = (math.ceil(length / SIZE_MULTIPLE) * SIZE_MULTIPLE for length in largest.tolist())
    return height, width


def _foreground_window(dataset: Dataset, on_case: Callable[[], None]) -> tuple[float, float]:
    """Percentiles of every case's foreground, by a histogram of whole Hounsfield units."""
    lowest, highest = -2048, 4096
    counts = np.zeros(highest - lowest + 1, np.int64)
    for case in dataset.cases:
        image, label = read_image(case.image).array, read_label(case.label).array
        if image.shape[:3] != label.shape:
            raise DataError(f"{case.image}: shape {image.shape[:3]}, but its label has {label.shape}")
        inside = np.clip(np.rint(image[np.isin(label, list(dataset.labels))]), lowest, highest)
        counts += np.bincount(inside.astype(np.int64).ravel() - lowest, minlength=counts.size)
        on_case()
    if not counts.any():
        raise DataError(f"{dataset.name}: no voxel of any case carries a label of {list(dataset.labels)}")
    shares = np.cumsum(counts) / counts.sum()
    low, high = (float(np.searchsorted(shares, p / 100) + lowest) for p in FOREGROUND_PERCENTILES)
    return low, max(high, low + 1)
