"""Draw the plots of a report, each an SVG as a data URI."""

import base64
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from tfseg.core.colors import BLACK, BLUE, LINE_COLORS
from tfseg.core.words import shorten
from tfseg.datasets.grids import Array

LINE_MARKERS = "osD^vPX"
INK, SOFT, GREY = "#222222", "#444444", "#767676"

STYLE = {
    "font.sans-serif": ["system-ui", "Segoe UI", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9,
    "text.parse_math": False,  # a name may contain a $
    "svg.fonttype": "none",  # the browser has fonts for every script
    "svg.hashsalt": "tfseg",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.labelcolor": INK,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
}
_WIDTH_IN = 4.9
_BOX_FROM = 5  # subjects; quartiles of fewer say less than the dots
_WIDE_RANGE = 20


def distribution(values: Mapping[str, ArrayLike], title: str, best: float | None = None) -> str:
    """Draw a dot for every subject, a row for every label, with quartiles and median.

    Args:
        values: label → one value per subject; NaN is left out, infinity is drawn on a line of its own.
        title: what is measured, with its unit.
        best: the best possible value, at which the axis ends; if None, the axis begins at 0.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, 0.75 + 0.42 * len(values)), layout="constrained")
        draw_rows(figure.add_subplot(), list(values.items()), title, best)
        return to_svg(figure)


def draw_rows(axes: Axes, rows: Sequence[tuple[str, ArrayLike | None]], title: str, best: float | None) -> None:
    """Draw named rows of dots, first on top, as `distribution` does; a row of None is a heading over the next."""
    drawn = {place: np.sort(np.asarray(values, float)) for place, (_, values) in enumerate(rows) if values is not None}
    everything = np.concatenate([*drawn.values(), np.zeros(0)])
    low, high = _limits(everything[np.isfinite(everything)], best)
    beyond = high + 0.09 * (high - low)
    infinite = bool(np.isinf(everything).any())
    for place, (name, _) in enumerate(rows):
        if place in drawn:
            _draw_row(axes, place, drawn[place][~np.isnan(drawn[place])], beyond)
        else:
            heading: dict[str, Any] = {"va": "center", "fontweight": "bold", "in_layout": False}
            axes.text(0, place, shorten(name, 60), transform=axes.get_yaxis_transform(), **heading)
    for line in axes.get_lines():
        line.set_in_layout(False)  # an empty line that is not clipped would make room for the figure's corner
    axes.set_yticks(list(drawn), [shorten(rows[place][0]) for place in drawn])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    margin = 0.02 * (high - low)
    axes.set_xlim(low - margin, (beyond if infinite else high) + 2 * margin)
    if infinite:
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        axes.set_xticks([*ticks, beyond], [*(f"{tick:g}" for tick in ticks), "∞"])
        axes.axvline((high + beyond) / 2, color=GREY, linewidth=0.7, linestyle=":")
    axes.set_xlabel(title)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


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
        axes.plot(places[shown], row + offsets[shown], ls="", color=BLUE, clip_on=False, **style)
    median = min(float(np.median(values)), beyond)
    axes.plot([median, median], [row - 0.36, row + 0.36], color=BLACK, linewidth=1.6)


def curves(
    histories: Sequence[pd.DataFrame],
    best_epochs: Sequence[int],
    columns: Sequence[str],
    title: str,
    folds: Sequence[int] | None = None,
) -> str:
    """Draw columns of the folds' histories over their epochs.

    Args:
        histories: per fold, a column `epoch` from 1 and the columns to draw; NaN if an epoch has no value.
        best_epochs: per fold, from 1; marked on the first column.
        columns: the first is drawn solid, the second dashed.
        title: what is measured.
        folds: their numbers; from 0 if None.
    """
    numbers = range(len(histories)) if folds is None else folds
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, 3.1), layout="constrained")
        axes = figure.add_subplot()
        for fold, history, best_epoch in zip(numbers, histories, best_epochs, strict=True):
            color, marker = LINE_COLORS[fold % len(LINE_COLORS)], LINE_MARKERS[fold % len(LINE_MARKERS)]
            for column, line in zip(columns, ("-", (0, (3, 1.5))), strict=False):
                known = history.dropna(subset=[column])
                single = "." if len(known) == 1 else ""
                axes.plot(known["epoch"], known[column], linestyle=line, marker=single, color=color)
            best = history[history["epoch"] == best_epoch]
            marked: dict[str, Any] = {"marker": marker, "markersize": 6.5, "color": color, "mec": "white"}
            axes.plot(best["epoch"], best[columns[0]], linestyle="", zorder=3, **marked)
            axes.plot([], [], label=f"fold {fold}", **marked)
        drawn = np.concatenate([history[list(columns)].to_numpy(float).ravel() for history in histories])
        drawn = drawn[np.isfinite(drawn)]
        # A first epoch far above the others would flatten them.
        if drawn.size and drawn.min() > 0 and drawn.max() > _WIDE_RANGE * np.median(drawn):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
        figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize=8, columnspacing=1.2)
        return to_svg(figure)


def to_svg(figure: Figure) -> str:
    """Return a figure as an SVG in a data URI; the same figure gives the same text."""
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        # The font that measures text may lack the script of a name; the browser has one for it.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"
