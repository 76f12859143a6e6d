"""The figures of a report, each as a data URI: plots as SVG, slices of cases as PNG."""

import base64
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from PIL import Image

from tfseg.data.prepared import PreparedCase
from tfseg.data.volume import Array

# Okabe and Ito's colours, distinct under every colour blindness: for outlines on grey, and for lines on white.
LABEL_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
FOLD_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FOLD_MARKERS = "osD^vPX"
MISSED_COLOR, EXTRA_COLOR, CONFUSED_COLOR = "#D55E00", "#56B4E9", "#F0E442"
# On the left side of a slice that is shown as a radiologist sees it.
LEFT_SIDE = {"axial": "R", "coronal": "R", "sagittal": "A"}

_STYLE = {
    "font.sans-serif": ["system-ui", "Segoe UI", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9,
    "text.parse_math": False,  # a name may hold a $
    "svg.fonttype": "none",  # the browser has fonts for every script
    "svg.hashsalt": "tfseg",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#767676",
    "axes.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.labelcolor": "#222222",
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
}
_WIDTH_IN = 4.9
_PANEL_IN, _PANEL_DPI = 2.2, 160
_LETTER: dict[str, Any] = {
    "color": "white",
    "fontsize": 8,
    "va": "center",
    "path_effects": [patheffects.withStroke(linewidth=1.5, foreground="black")],
}
_GREYS = 63  # few levels make a small PNG
_BOX_FROM = 5  # subjects; quartiles of fewer say less than the dots


@dataclass(frozen=True)
class Panel:
    """One slice of a case: its index from 0, why it was chosen, its outlines and its errors as images."""

    index: int
    reason: str
    outlines: str
    errors: str


def label_color(index: int) -> str:
    """Return the colour in which the outlines of a class, from 1, are drawn."""
    return LABEL_COLORS[(index - 1) % len(LABEL_COLORS)]


def distribution(values: Mapping[str, ArrayLike], title: str, best: float | None = None) -> str:
    """Draw a dot for every subject, a row for every label, with quartiles and median.

    Args:
        values: label → one value per subject; NaN is left out, inf is drawn on a line of its own.
        title: what is measured, with its unit.
        best: the best value there is, where the axis ends; without it the axis begins at 0.
    """
    arrays = {label: np.sort(np.asarray(found, float)) for label, found in values.items()}
    finite = np.concatenate([found[np.isfinite(found)] for found in arrays.values()] or [np.zeros(0)])
    low, high = _limits(finite, best)
    beyond = high + 0.09 * (high - low)
    infinite = any(np.isinf(found).any() for found in arrays.values())
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure((_WIDTH_IN, 0.75 + 0.42 * len(arrays)), layout="constrained")
        axes = figure.add_subplot()
        for row, found in enumerate(arrays.values()):
            _draw_row(axes, row, found[~np.isnan(found)], beyond)
        axes.set_yticks(range(len(arrays)), [_shorten(label) for label in arrays])
        axes.set_ylim(len(arrays) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        margin = 0.02 * (high - low)
        axes.set_xlim(low - margin, (beyond if infinite else high) + 2 * margin)
        if infinite:
            ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
            axes.set_xticks([*ticks, beyond], [*(f"{tick:g}" for tick in ticks), "∞"])
            axes.axvline((high + beyond) / 2, color="#767676", linewidth=0.7, linestyle=":")
        axes.set_xlabel(title)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        return _svg(figure)


def _limits(finite: Array, best: float | None) -> tuple[float, float]:
    if best is None:
        return 0.0, max(float(finite.max(initial=0)) * 1.02, 1e-6)
    low = math.floor(float(finite.min(initial=best)) * 10) / 10
    return min(low, best - 0.1), best


def _draw_row(axes: Axes, row: int, values: Array, beyond: float) -> None:
    places = np.where(np.isinf(values), beyond, values)
    if not places.size:
        axes.text(0.5, row, "no value", transform=axes.get_yaxis_transform(), ha="center", va="center")
        return
    if places.size >= _BOX_FROM:
        low, high = np.quantile(places, [0.25, 0.75])
        axes.barh(row, high - low, left=low, height=0.62, color="#EFEFEF", edgecolor="#9A9A9A", linewidth=0.7)
    # Multiples of the golden ratio spread neighbours evenly, and the same way every time.
    offsets = ((np.arange(places.size) * 0.618034 + 0.5) % 1 - 0.5) * min(0.04 * places.size, 0.5)
    dot: dict[str, Any] = {"marker": "o", "markersize": 4, "mew": 0, "alpha": 0.6}
    triangle: dict[str, Any] = {"marker": "^", "markersize": 6, "mew": 0.6, "mec": "white", "zorder": 3}
    for shown, style in ((np.isfinite(values), dot), (np.isinf(values), triangle)):
        axes.plot(places[shown], row + offsets[shown], ls="", color="#0072B2", clip_on=False, **style)
    median = min(float(np.median(values)), beyond)
    axes.plot([median, median], [row - 0.36, row + 0.36], color="#000000", linewidth=1.6)


WIDE_RANGE = 20


def curves(histories: Sequence[pd.DataFrame], best_epochs: Sequence[int], columns: Sequence[str], title: str) -> str:
    """Draw columns of the folds' histories over their epochs.

    Args:
        histories: per fold, a column `epoch` from 1 and the columns to draw.
        best_epochs: per fold, from 1; marked on the first column.
        columns: the first is drawn solid, the second dashed.
        title: what is measured.
    """
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure((_WIDTH_IN, 3.1), layout="constrained")
        axes = figure.add_subplot()
        for fold, (history, best_epoch) in enumerate(zip(histories, best_epochs, strict=True)):
            color, marker = FOLD_COLORS[fold % len(FOLD_COLORS)], FOLD_MARKERS[fold % len(FOLD_MARKERS)]
            for column, line in zip(columns, ("-", (0, (3, 1.5))), strict=False):
                single = "." if len(history) == 1 else ""
                axes.plot(history["epoch"], history[column], linestyle=line, marker=single, color=color)
            best = history[history["epoch"] == best_epoch]
            marked: dict[str, Any] = {"marker": marker, "markersize": 6.5, "color": color, "mec": "white"}
            axes.plot(best["epoch"], best[columns[0]], linestyle="", zorder=3, **marked)
            axes.plot([], [], label=f"fold {fold}", **marked)
        drawn = np.concatenate([history[list(columns)].to_numpy(float).ravel() for history in histories])
        drawn = drawn[np.isfinite(drawn)]
        # A first epoch far above the others would press them to the floor.
        if drawn.size and drawn.min() > 0 and drawn.max() > WIDE_RANGE * np.median(drawn):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
        figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize=8, columnspacing=1.2)
        return _svg(figure)


def choose_slices(truth: Array, prediction: Array, count: int = 4) -> dict[int, str]:
    """Choose slices to show: at a quarter and three quarters of the truth's extent, its largest, its worst.

    Where one slice is several of these, the slices with the most wrong voxels fill the places.

    Args:
        truth, prediction: class indices `[slice, h, w]`; where the truth is empty the prediction leads.
        count: slices to choose at most.

    Returns:
        Slice index → why it was chosen, in the order of slices.
    """
    leading = truth if truth.any() else prediction
    areas = np.count_nonzero(leading, axis=(1, 2))
    wrong = np.count_nonzero(truth != prediction, axis=(1, 2))
    if not areas.any():
        return {len(truth) // 2: "middle of the scan; no label"}
    labelled = np.flatnonzero(areas)
    whose = "truth" if truth.any() else "prediction"
    reasons = {int(areas.argmax()): f"largest {whose}"}
    for part in (0.25, 0.75):
        reasons.setdefault(int(labelled[round(part * (labelled.size - 1))]), f"{part:.0%} of the {whose}’s extent")
    worst = int(wrong.argmax())
    if wrong[worst]:
        reasons[worst] = f"{reasons[worst]}; most wrong voxels" if worst in reasons else "most wrong voxels"
    fillers = (int(index) for index in np.argsort(-wrong, kind="stable") if wrong[index] and index not in reasons)
    reasons.update({index: "many wrong voxels" for index in islice(fillers, max(count - len(reasons), 0))})
    return dict(sorted(reasons.items()))


def draw_case(case: PreparedCase, prediction: Array) -> list[Panel]:
    """Draw the chosen slices of a case, cut to the surroundings of truth and prediction.

    Args:
        case: the prepared case; its first channel is shown.
        prediction: class indices `[slice, h, w]`, padded as the case is.
    """
    image = case.grid.unpad(np.asarray(case.image)[..., 0])
    truth, found = case.grid.unpad(np.asarray(case.label)), case.grid.unpad(prediction)
    low, high = np.percentile(image, [0.5, 99.5])
    _, height_mm, width_mm = case.grid.slice_spacing_mm
    rows, columns = crop(np.any((truth > 0) | (found > 0), axis=0), (height_mm, width_mm))
    panels = []
    for index, reason in choose_slices(truth, found).items():
        grey = np.clip((image[index] - low) / max(high - low, 1e-6), 0, 1)
        grey = np.rint(grey * _GREYS) / _GREYS
        shown, expected, drawn = (_upright(part[rows, columns]) for part in (grey, truth[index], found[index]))
        shape = (shown.shape[0] * width_mm, shown.shape[1] * height_mm)
        outlines = _outlines(shown, expected, drawn, shape, LEFT_SIDE[case.grid.axis])
        panels.append(Panel(index, reason, outlines, _errors(shown, expected, drawn, shape)))
    return panels


def crop(mask: Array, spacing_mm: tuple[float, float]) -> tuple[slice, slice]:
    """Cut a window around a mask `[h, w]`: half its extent wider, at least 40 % of the slice."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    found = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1)]
    extents = [1.5 * (places[-1] - places[0] + 1) * mm for places, mm in zip(found, spacing_mm, strict=True)]
    window = []
    for axis, (places, mm) in enumerate(zip(found, spacing_mm, strict=True)):
        length = max(extents[axis], 0.8 * extents[1 - axis]) / mm
        length = min(math.ceil(max(length, 0.4 * mask.shape[axis])), mask.shape[axis])
        start = round((places[0] + places[-1] + 1) / 2 - length / 2)
        start = min(max(start, 0), mask.shape[axis] - length)
        window.append(slice(start, start + length))
    return window[0], window[1]


def _upright(part: Array) -> Array:
    """Turn `[h, w]` so that, drawn from below, it stands upright with the patient's right on the left."""
    return part[::-1].T


def _outlines(grey: Array, truth: Array, found: Array, shape_mm: tuple[float, float], side: str) -> str:
    figure, axes = _panel(grey[..., np.newaxis].repeat(3, axis=2), shape_mm)
    axes.text(0.03, 0.5, side, transform=axes.transAxes, **_LETTER)
    for index in (int(index) for index in np.union1d(truth, found) if index):
        solid = {"colors": [label_color(index)], "linewidths": 1.2}
        dashes = {"linestyles": [(0, (2.4, 1.6))]}
        _trace(axes, truth == index, solid)
        _trace(axes, found == index, {"colors": ["black"], "linewidths": 1.9, **dashes}, {**solid, **dashes})
        y, x = np.nonzero(truth == index if (truth == index).any() else found == index)
        middle = np.hypot(y - y.mean(), x - x.mean()).argmin()
        axes.text(x[middle] + 0.5, y[middle] + 0.5, str(index), ha="center", **_LETTER)
    return _png(figure)


def _errors(grey: Array, truth: Array, found: Array, shape_mm: tuple[float, float]) -> str:
    repeats = math.ceil(_PANEL_IN * _PANEL_DPI / grey.shape[1])
    grey, truth, found = (np.kron(part, np.ones((repeats, repeats))) for part in (grey, truth, found))
    shown = 0.75 * grey[..., np.newaxis].repeat(3, axis=2)
    rows, columns = np.indices(grey.shape) * _PANEL_IN * _PANEL_DPI // grey.shape[1]
    striped = (rows + columns) % 12 < 6
    chequered = (rows % 12 < 6) ^ (columns % 12 < 6)
    shown[(truth > 0) & (found == 0)] = to_rgb(MISSED_COLOR)
    shown[(truth == 0) & (found > 0) & striped] = to_rgb(EXTRA_COLOR)
    shown[(truth > 0) & (found > 0) & (truth != found) & chequered] = to_rgb(CONFUSED_COLOR)
    return _png(_panel(shown, shape_mm)[0])


def _panel(shown: Array, shape_mm: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure((_PANEL_IN, _PANEL_IN * shape_mm[0] / shape_mm[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    height, width = shown.shape[:2]
    axes.imshow(shown, origin="lower", aspect="auto", interpolation="nearest", extent=(0, width, 0, height))
    return figure, axes


def _trace(axes: Axes, mask: Array, *styles: dict[str, Any]) -> None:
    """Draw the outline of a mask along the edges of its voxels."""
    if not mask.any():
        return
    repeats = max(300 // min(mask.shape), 1)
    enlarged = np.kron(np.pad(mask, 1), np.ones((repeats, repeats)))  # padded: outlines close at the border
    y, x = ((np.arange(length) + 0.5) / repeats - 1 for length in enlarged.shape)
    for style in styles:
        axes.contour(x, y, enlarged, levels=[0.5], **style)
    axes.set(xlim=(0, mask.shape[1]), ylim=(0, mask.shape[0]))


def _shorten(name: str, length: int = 24) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _svg(figure: Figure) -> str:
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        # The font that measures text may lack a name's script; the browser draws it with one that has it.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"


def _png(figure: Figure) -> str:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_PANEL_DPI)
    # A palette takes a third of the bytes.
    Image.open(drawn).convert("RGB").quantize(256).save(small, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"
