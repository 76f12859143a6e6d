"""Draw slices of cases: outlines of truth and prediction, and wrong voxels, as PNG data URIs."""

import base64
import io
import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D
from PIL import Image
from skimage.measure import find_contours

from tfseg.core import colors, geometry
from tfseg.core.errors import RunError
from tfseg.datasets.formats import read_label
from tfseg.datasets.grids import Array, stored_like
from tfseg.preparation.label_maps import IGNORED
from tfseg.preparation.prepare import prepare_label
from tfseg.prepared.prepared import PreparedCase
from tfseg.runs.folder import require

# The letter on the left of a slice, which is shown as a radiologist sees it.
LEFT_SIDE = {"axial": "R", "coronal": "R", "sagittal": "A"}

_PANEL_IN, _PANEL_DPI = 2.2, 160
_LETTER: dict[str, Any] = {
    "color": "white",
    "fontsize": 8,
    "va": "center",
    "path_effects": [patheffects.withStroke(linewidth=1.5, foreground="black")],
}
_GREYS = 63  # few levels make a small PNG


@dataclass(frozen=True)
class Panel:
    """One slice of a case: its index from 0, why it was chosen, its outlines and its wrong voxels as images."""

    index: int
    reason: str
    outlines: str
    errors: str


@dataclass(frozen=True)
class View:
    """View of the slices of a case: its first channel in grey, 0 to 1, in a window, at true proportions."""

    grey: Array
    window: tuple[slice, slice]
    shape_mm: tuple[float, float]
    left_side: str

    @classmethod
    def around(cls, case: PreparedCase, mask: Array) -> "View":
        """View a case around a mask `[h, w]`, both without padding."""
        image = case.grid.unpad(np.asarray(case.image)[..., 0])
        low, high = np.percentile(image, [0.5, 99.5])
        grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
        _, height_mm, width_mm = case.grid.slice_spacing_mm
        rows, columns = crop(mask, (height_mm, width_mm))
        shape_mm = ((columns.stop - columns.start) * width_mm, (rows.stop - rows.start) * height_mm)
        side = "" if case.in_pixels else LEFT_SIDE[case.grid.axis]
        return cls(np.rint(grey * _GREYS) / _GREYS, (rows, columns), shape_mm, side)

    def draw(self, index: int, truth: Array, prediction: Array) -> tuple[str, str]:
        """Draw a slice with the outlines of both, and with its wrong voxels; class indices `[slice, h, w]`."""
        grey, expected, predicted = (_upright(part[index][self.window]) for part in (self.grey, truth, prediction))
        outlines = _outlines(grey, expected, predicted, self.shape_mm, self.left_side)
        return outlines, _errors(grey, expected, predicted, self.shape_mm)

    def draw_image(self, index: int) -> str:
        """Draw a slice of the image, without outlines."""
        nothing = np.zeros_like(self.grey[index], int)[self.window]
        return _errors(_upright(self.grey[index][self.window]) / 0.75, *(_upright(nothing),) * 2, self.shape_mm)

    def draw_heat(self, index: int, values: Array, largest: float) -> str:
        """Draw values `[slice, h, w]` from 0 (black) to `largest` (white), by lightness alone."""
        heat = colormaps["inferno"](_in_pixels(_upright(values[index][self.window]), self.shape_mm) / largest)
        return _png(_bytes(heat[::-1, :, :3]))


def largest_and_worst(truth: Array, *predictions: Array) -> dict[int, str]:
    """Choose the slice with the most labelled voxels and the slice with the most wrong voxels, which may be one.

    Args:
        truth, predictions: class indices `[slice, h, w]`. If the truth is empty, the predictions decide which slice
            is largest; wrong voxels are summed over the predictions.

    Returns:
        Slice index → why it was chosen, in the order of slices.
    """
    labelled, whose = _leading(truth, *predictions)
    if not labelled.any():
        return {geometry.fullest_slice(labelled): "middle of the scan; no label"}
    reasons = {geometry.fullest_slice(labelled): f"largest {whose}"}
    wrong = _wrong_voxels(truth, *predictions)
    worst = int(wrong.argmax())
    if wrong[worst]:
        reasons[worst] = f"{reasons[worst]}; most wrong voxels" if worst in reasons else "most wrong voxels"
    return dict(sorted(reasons.items()))


def choose_slices(truth: Array, prediction: Array, count: int = 4) -> dict[int, str]:
    """Choose slices of one prediction to show: largest, worst, at a quarter and three quarters of the extent.

    If one slice is several of these, the slices with the most wrong voxels fill the places.

    Args:
        truth, prediction: class indices `[slice, h, w]`.
        count: slices to choose at most.

    Returns:
        Slice index → why it was chosen, in the order of slices.
    """
    reasons = largest_and_worst(truth, prediction)
    mask, whose = _leading(truth, prediction)
    labelled = np.flatnonzero(mask.any(axis=(1, 2)))
    for part in (0.25, 0.75) if labelled.size else ():
        reasons.setdefault(int(labelled[round(part * (labelled.size - 1))]), f"{part:.0%} of the {whose}’s extent")
    wrong = _wrong_voxels(truth, prediction)
    fillers = (int(index) for index in np.argsort(-wrong, kind="stable") if wrong[index] and index not in reasons)
    reasons.update({index: "many wrong voxels" for index in islice(fillers, max(count - len(reasons), 0))})
    return dict(sorted(reasons.items()))


def _leading(truth: Array, *predictions: Array) -> tuple[Array, str]:
    """The labelled voxels of the truth, or of the predictions if the truth is empty, and which of the two it is."""
    if truth.any():
        return truth > 0, "truth"
    return np.any([prediction > 0 for prediction in predictions], axis=0), "prediction"


def _wrong_voxels(truth: Array, *predictions: Array) -> Array:
    """Wrong voxels of each slice, summed over the predictions."""
    return np.sum([np.count_nonzero(prediction != truth, axis=(1, 2)) for prediction in predictions], axis=0)


def read_prediction(path: Path, case: PreparedCase, labels: dict[int, str]) -> Array:
    """Read a predicted label map of a case as class indices `[slice, h, w]`, padded as the case is.

    Raises:
        RunError: if it is missing, or of another shape than the scan.
        DataError: if it cannot be read.
    """
    require(path)
    volume = stored_like(read_label(path), np.asarray(case.grid.affine)).array
    if volume.shape != case.grid.shape:
        raise RunError(f"{path}: expected the scan's shape {case.grid.shape}, received {volume.shape}")
    return prepare_label(volume, case.grid, labels)


def shown_classes(case: PreparedCase, *predictions: Array) -> list[Array]:
    """Return truth and predictions as they are drawn: without padding, and as background where the truth is ignored.

    Args:
        case: the prepared case.
        predictions: class indices `[slice, h, w]`, padded as the case is.
    """
    truth, *others = (case.grid.unpad(np.asarray(classes)) for classes in (case.label, *predictions))
    return [np.where(truth == IGNORED, 0, classes) for classes in (truth, *others)]


def draw_case(case: PreparedCase, prediction: Array) -> list[Panel]:
    """Draw the chosen slices of a case, cropped around truth and prediction.

    Args:
        case: the prepared case; its first channel is shown.
        prediction: class indices `[slice, h, w]`, padded as the case is.
    """
    truth, shown = shown_classes(case, prediction)
    view = View.around(case, np.any((truth > 0) | (shown > 0), axis=0))
    return [
        Panel(index, reason, *view.draw(index, truth, shown)) for index, reason in choose_slices(truth, shown).items()
    ]


def crop(mask: Array, spacing_mm: tuple[float, float]) -> tuple[slice, slice]:
    """Return a window around a mask `[h, w]`: half again as wide as its extent, at least 40 % of the slice."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    occupied = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1)]
    extents = [1.5 * (places[-1] - places[0] + 1) * mm for places, mm in zip(occupied, spacing_mm, strict=True)]
    window = []
    for axis, (places, mm) in enumerate(zip(occupied, spacing_mm, strict=True)):
        length = max(extents[axis], 0.8 * extents[1 - axis]) / mm
        length = min(math.ceil(max(length, 0.4 * mask.shape[axis])), mask.shape[axis])
        start = round((places[0] + places[-1] + 1) / 2 - length / 2)
        start = min(max(start, 0), mask.shape[axis] - length)
        window.append(slice(start, start + length))
    return window[0], window[1]


def _upright(part: Array) -> Array:
    """Turn `[h, w]` so that, drawn from below, it stands upright with the patient's right on the left."""
    return part[::-1].T


def _outlines(grey: Array, truth: Array, prediction: Array, shape_mm: tuple[float, float], side: str) -> str:
    pixels = _in_pixels(grey, shape_mm)
    height, width = pixels.shape
    figure = Figure((width / _PANEL_DPI, height / _PANEL_DPI), _PANEL_DPI)
    figure.figimage(pixels, cmap="gray", vmin=0, vmax=1, origin="lower")
    figure.text(0.03, 0.5, side, **_LETTER)
    to_pixels = Affine2D().scale(width / grey.shape[1], height / grey.shape[0])
    for index in (int(index) for index in np.union1d(truth, prediction) if index):
        solid = {"colors": [colors.label_color(index)], "linewidths": 1.2, "transform": to_pixels}
        dashes = {"linestyles": [(0, (2.4, 1.6))]}
        _trace(figure, truth == index, solid)
        _trace(figure, prediction == index, {**solid, "colors": ["black"], "linewidths": 1.9, **dashes}, solid | dashes)
        y, x = np.nonzero(truth == index if (truth == index).any() else prediction == index)
        middle = np.hypot(y - y.mean(), x - x.mean()).argmin()
        figure.text(x[middle] + 0.5, y[middle] + 0.5, str(index), ha="center", transform=to_pixels, **_LETTER)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _png(np.asarray(canvas.buffer_rgba())[..., :3])


def _errors(grey: Array, truth: Array, prediction: Array, shape_mm: tuple[float, float]) -> str:
    grey, truth, prediction = (_in_pixels(part, shape_mm) for part in (grey, truth, prediction))
    shown = 0.75 * grey[..., np.newaxis].repeat(3, axis=2)
    rows, columns = np.indices(grey.shape)
    striped = (rows + columns) % 12 < 6
    chequered = (rows % 12 < 6) ^ (columns % 12 < 6)
    shown[(truth > 0) & (prediction == 0)] = to_rgb(colors.MISSED)
    shown[(truth == 0) & (prediction > 0) & striped] = to_rgb(colors.FALSE_ALARM)
    shown[(truth > 0) & (prediction > 0) & (truth != prediction) & chequered] = to_rgb(colors.CONFUSED)
    return _png(_bytes(shown[::-1]))


def _bytes(shares: Array) -> Array:
    """Turn shares of light, 0 to 1, into bytes; what is not a number is black."""
    return np.rint(255 * np.nan_to_num(shares)).astype(np.uint8)


def _in_pixels(part: Array, shape_mm: tuple[float, float]) -> Array:
    """Enlarge `[h, w]` to the pixels of a panel, each of which takes its nearest voxel."""
    width = round(_PANEL_IN * _PANEL_DPI)
    height = max(round(width * shape_mm[0] / shape_mm[1]), 1)
    rows, columns = (
        np.arange(pixels) * voxels // pixels for pixels, voxels in zip((height, width), part.shape, strict=True)
    )
    return part[np.ix_(rows, columns)]


def _trace(figure: Figure, mask: Array, *styles: dict[str, Any]) -> None:
    """Draw the outline of a mask along the edges of its voxels, once in each style."""
    repeats = max(300 // min(mask.shape), 1)
    enlarged = np.kron(np.pad(mask, 1), np.ones((repeats, repeats)))  # padded: outlines close at the border
    lines = [(line[:, ::-1] + 0.5) / repeats - 1 for line in find_contours(enlarged, 0.5)]
    for style in styles:
        figure.add_artist(LineCollection(lines, **style))


def _png(pixels: Array) -> str:
    """Encode `[h, w, 3]` of 0 to 255, the top row first."""
    small = io.BytesIO()
    # A palette takes a third of the bytes.
    Image.fromarray(pixels).quantize(256).save(small, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"
