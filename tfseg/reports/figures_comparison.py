"""Draw the figures of a comparison of losses, each an SVG as a data URI."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from tfseg.core.colors import LINE_COLORS
from tfseg.core.words import shorten
from tfseg.reports.figures import LINE_MARKERS, STYLE, draw_rows, to_svg
from tfseg.statistics.sizes import SIZES

WIDTH_IN = 5.6  # legible at the width of a phone


def boxes(values: Mapping[str, Mapping[str, ArrayLike]], title: str, best: float | None = None) -> str:
    """Draw a dot for every subject, a row for every loss, a panel for every label, with quartiles and median.

    Args:
        values: label → loss → one value per subject; NaN is left out, infinity is drawn on a line of its own.
        title: what is measured, with its unit.
        best: the best possible value, at which the axis ends; if None, the axis begins at 0.
    """
    rows = [row for label, losses in values.items() for row in ((label, None), *losses.items())]
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((WIDTH_IN, 0.6 + 0.34 * len(rows)), layout="constrained")
        draw_rows(figure.add_subplot(), rows, title, best)
        return to_svg(figure)


def learning(histories: Mapping[str, Sequence[pd.DataFrame]], column: str, title: str) -> str:
    """Draw a column of every loss's histories over the epochs: the mean of its networks, and their range as a tint.

    Args:
        histories: loss → a table per network, with a column `epoch` from 1 and the column to draw.
        column: its name.
        title: what is measured.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((WIDTH_IN, 3.2 + 0.17 * -(-len(histories) // 4)), layout="constrained")
        axes = figure.add_subplot()
        for place, (loss, networks) in enumerate(histories.items()):
            by_epoch = pd.concat(networks).groupby("epoch")[column]
            mean, low, high = by_epoch.mean(), by_epoch.min(), by_epoch.max()
            style = line_style(place)
            axes.fill_between(mean.index, low, high, color=style["color"], alpha=0.12, linewidth=0)
            every = max(len(mean) // 8, 1)
            axes.plot(mean.index, mean, markersize=5, mec="white", markevery=every, label=shorten(loss), **style)
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8, columnspacing=1.2)
        return to_svg(figure)


def by_size(table: pd.DataFrame, title: str, unit: str = "ml") -> str:
    """Draw the mean of every loss on small, medium and large structures, a panel for every label.

    Args:
        table: rows of one metric, as `tfseg.statistics.scores_by_size` gives them.
        title: what is measured, with its unit.
        unit: of the sizes.

    Raises:
        ValueError: no rows.
    """
    if table.empty:
        raise ValueError("table: expected the scores of a label by size, received none")
    labels, losses = list(table["label"].unique()), list(table["arm"].unique())
    columns = min(len(labels), 2)
    rows = -(-len(labels) // columns)
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((WIDTH_IN, 0.5 + 0.17 * -(-len(losses) // 4) + 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, label in zip(panels, labels, strict=False):
            _draw_sizes(axes, table[table["label"] == label], losses, unit)
            axes.set_title(shorten(label, 36), loc="left", fontsize=9, fontweight="bold")
        for axes in panels[len(labels) :]:
            axes.set_axis_off()
        figure.supylabel(title, fontsize=9)
        handles = [axes_line for axes_line in panels[0].get_lines() if not axes_line.get_label().startswith("_")]
        figure.legend(
            handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=8, columnspacing=1.2
        )
        return to_svg(figure)


def line_style(place: int) -> dict[str, Any]:
    """Distinguish lines by colour and marker, and if these run out by dashes."""
    return {
        "color": LINE_COLORS[place % len(LINE_COLORS)],
        "marker": LINE_MARKERS[place % len(LINE_MARKERS)],
        "linestyle": ("-", "--")[place // len(LINE_COLORS) % 2],
    }


def _volume(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _draw_sizes(axes: Axes, table: pd.DataFrame, losses: list[str], unit: str) -> None:
    present = [size for size in SIZES if size in set(table["size"])]
    for place, loss in enumerate(losses):
        means = table[table["arm"] == loss].set_index("size")["mean"].reindex(present)
        axes.plot(range(len(present)), means, markersize=6, mec="white", label=shorten(loss), **line_style(place))
    ranges = table.drop_duplicates("size").set_index("size").reindex(present)
    axes.set_xticks(
        range(len(present)),
        [
            f"{size}\n{_volume(row['smallest'])}–{_volume(row['largest'])} {unit}\nn = {row['n']:.0f}"
            for size, row in ranges.iterrows()
        ],
        fontsize=8,
    )
    axes.set_xlim(-0.35, len(present) - 0.65)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
