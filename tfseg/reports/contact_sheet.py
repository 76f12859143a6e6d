"""Draw a contact sheet: one slice per case with its labels outlined, to see a dataset at a glance."""

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from tfseg.core import files, geometry
from tfseg.core.colors import label_color
from tfseg.core.words import shorten
from tfseg.datasets.grids import Array
from tfseg.datasets.layouts import Case, Dataset
from tfseg.datasets.reading import read_case
from tfseg.preparation.slicing import SliceGrid
from tfseg.reports.slices import LEFT_SIDE

MOST_CASES = 30
_COLUMNS = 6
_FEWEST_COLUMNS = 3  # the title needs as much
_MOST_NAMES = 24
_PANEL_IN = 1.7
_DPI = 150
# Grey spans these percentiles of all but the background; in CT, which begins at air, it spans soft tissue.
_WINDOW_PERCENTILES = (0.5, 99.5)
_AIR_HU = -500
_SOFT_TISSUE_HU = (-160.0, 240.0)
_LETTER: dict[str, Any] = {
    "color": "white",
    "fontsize": 5,
    "path_effects": [withStroke(linewidth=1, foreground="black")],
}


class Slice(NamedTuple):
    """One slice of a case, upright: `[h, w]` in grey or `[h, w, 3]` in colour, 0 to 1, and its label values."""

    number: int  # from 1
    image: Array
    label: Array
    aspect: float  # a pixel's height by its width
    is_2d: bool


def write_contact_sheet(dataset: Dataset, axis: str, out: Path, on_case: Callable[[], None] = lambda: None) -> None:
    """Write a PNG of up to 30 cases, spread evenly over the dataset; the first channel of a scan is shown.

    Args:
        dataset: of cases without faults.
        axis: "sagittal", "coronal" or "axial" slices.
        out: the file.
        on_case: called after each case.

    Raises:
        DataError: if a case cannot be read.
    """
    shown = spread(dataset.cases, MOST_CASES)
    columns = min(_COLUMNS, max(_FEWEST_COLUMNS, len(shown)))
    rows = math.ceil(len(shown) / columns)
    names = list(dataset.labels.values())[:_MOST_NAMES]
    height_in = (_PANEL_IN + 0.2) * rows + 0.4 + 0.18 * math.ceil(len(names) / columns)
    figure = Figure((_PANEL_IN * columns, height_in), layout="constrained", facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, case in zip(grid.flat, shown, strict=False):
        _draw(axes, choose_slice(case, dataset, axis), dataset, LEFT_SIDE[axis])
        axes.set_title(shorten(case.name), fontsize=6, pad=2)
        on_case()
    patches = [Patch(color=label_color(index), label=shorten(name, 16)) for index, name in enumerate(names, start=1)]
    figure.legend(handles=patches, loc="outside lower center", ncols=columns, fontsize=7, frameon=False)
    title = f"{shorten(dataset.name)}: {len(shown)} of {len(dataset.cases)} cases"
    figure.suptitle(f"{title}, the {axis} slice with the most label", fontsize=9)
    with files.replacing(out) as temporary, warnings.catch_warnings():
        # A case's name may be in a script that the font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(temporary, format="png", dpi=_DPI)


def spread(cases: Sequence[Case], most: int) -> list[Case]:
    """Take up to `most` cases at even distances, the first and the last among them."""
    places = np.linspace(0, len(cases) - 1, min(most, len(cases)))
    return [cases[place] for place in np.rint(places).astype(int).tolist()]


def choose_slice(case: Case, dataset: Dataset, axis: str) -> Slice:
    """Read a case and take the slice with the most labelled voxels, or the middle one if there are none.

    Raises:
        DataError: if the case cannot be read.
    """
    image, label = read_case(case, dataset)
    shape = label.array.shape
    unpadded = SliceGrid.of(shape, image.affine, axis, (1, 1)).slice_shape[1:]
    grid = SliceGrid.of(shape, image.affine, axis, unpadded)
    labels = grid.to_slices(label.array)
    index = geometry.fullest_slice(np.isin(labels, list(dataset.labels)))
    colours = image.in_pixels and image.array.shape[3] == 3
    channels = image.array if colours else image.array[..., :1]
    low, high = np.percentile(channels[channels != channels[0, 0, 0]], _WINDOW_PERCENTILES)
    if low < _AIR_HU:
        low, high = _SOFT_TISSUE_HU
    grey = np.clip((grid.to_slices(channels)[index] - low) / max(high - low, 1e-6), 0, 1)
    _, height_mm, width_mm = grid.slice_spacing_mm
    shown = upright(grey)
    return Slice(
        index + 1, shown if colours else shown[..., 0], upright(labels[index]), width_mm / height_mm, image.in_pixels
    )


def upright(part: Array) -> Array:
    """Turn `[h, w, …]` so that it stands upright with the patient's right on the left."""
    return part[::-1, ::-1].swapaxes(0, 1)


def _draw(axes: Axes, shown: Slice, dataset: Dataset, left_side: str) -> None:
    axes.imshow(shown.image, cmap="gray", vmin=0, vmax=1, aspect=shown.aspect, interpolation="nearest")
    for index, value in enumerate(dataset.labels, start=1):
        mask = shown.label == value
        if mask.any() and min(mask.shape) > 1:
            axes.contour(mask, levels=[0.5], colors=[label_color(index)], linewidths=0.8)
    if not shown.is_2d:
        axes.text(0.02, 0.5, left_side, transform=axes.transAxes, va="center", **_LETTER)
        axes.text(0.98, 0.02, str(shown.number), transform=axes.transAxes, ha="right", **_LETTER)
