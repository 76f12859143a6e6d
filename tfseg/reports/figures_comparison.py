"""Draw the figures of a comparison of losses, each an SVG as a data URI."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from tfseg.core.colors import BLUE, LINE_COLORS
from tfseg.core.words import shorten
from tfseg.reports.figures import GREY, INK, LINE_MARKERS, SOFT, STYLE, draw_rows, to_svg
from tfseg.statistics import Ranking
from tfseg.statistics.quantities import write_p
from tfseg.statistics.sizes import SIZES

_WIDTH_IN = 5.6  # legible at the width of a phone
_LETTER_IN = 0.082  # of a name beside the axis of ranks
_LINE_IN = 0.25


def critical_difference(ranking: Ranking) -> str:
    """Draw a critical-difference diagram: losses by mean rank, with bars over losses that do not differ significantly.

    Args:
        ranking: of two losses or more; if it has no test, the reason takes the place of the bars.

    Raises:
        ValueError: fewer than two losses.

    Source: Demšar 2006, Journal of Machine Learning Research 7:1-30.
    """
    losses = len(ranking.mean_ranks)
    if losses < 2:
        raise ValueError(f"ranking: expected mean ranks of two losses or more, received {losses}")
    names = [shorten(loss) for loss in ranking.mean_ranks]
    left = 0.6 + _LETTER_IN * max(map(len, names))
    right = _WIDTH_IN - left
    scale = (right - left) / (losses - 1)
    axis_y = 0.78 if not ranking.reason else 0.55
    names_y = axis_y + 0.16 + 0.12 * len(ranking.groups)
    on_left = (losses + 1) // 2
    height = names_y + _LINE_IN * on_left + 0.3
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH_IN), ylim=(height, 0))
        axes.set_axis_off()
        axes.plot([left, right], [axis_y, axis_y], color=INK)
        for tick in range(losses):
            x = left + tick * scale
            axes.plot([x, x], [axis_y - 0.06, axis_y], color=INK, linewidth=0.9)
            axes.text(x, axis_y - 0.1, str(tick + 1), ha="center", va="bottom", fontsize=8, color=SOFT)
        for place, rank in enumerate(ranking.mean_ranks.values()):
            row = place if place < on_left else losses - 1 - place
            y = names_y + _LINE_IN * (row + 0.5)
            x, edge = left + (rank - 1) * scale, (left - 0.06 if place < on_left else right + 0.06)
            axes.plot([x, x, edge], [axis_y, y, y], color=GREY, linewidth=0.8)
            axes.plot([x], [axis_y], marker="o", markersize=4.5, color=INK, mew=0)
            name, aside = names[place], "right" if place < on_left else "left"
            text = f"{name}  {rank:.2f}" if place < on_left else f"{rank:.2f}  {name}"
            axes.text(edge + (-0.06 if place < on_left else 0.06), y, text, ha=aside, va="center")
        for row, group in enumerate(ranking.groups):
            ends = [left + (ranking.mean_ranks[loss] - 1) * scale for loss in (group[0], group[-1])]
            y = axis_y + 0.12 * (row + 1)
            axes.plot([ends[0] - 0.05, ends[1] + 0.05], [y, y], color=BLUE, linewidth=3.5, solid_capstyle="butt")
        if not ranking.reason:
            length = ranking.critical_difference * scale
            axes.plot([left, left + length], [0.3, 0.3], color=BLUE, linewidth=1.6, marker="|", markersize=7, mew=1.6)
            axes.text(left, 0.18, f"critical difference {ranking.critical_difference:.2f}", fontsize=8, va="bottom")
        axes.text(_WIDTH_IN / 2, height - 0.08, _verdict(ranking), ha="center", va="bottom", fontsize=8, color=SOFT)
        return to_svg(figure)


def _verdict(ranking: Ranking) -> str:
    over = f"mean rank over {ranking.n} subjects, 1 is best"
    if ranking.reason:
        return f"{over}; no test: {ranking.reason}"
    alike = len(ranking.groups) == 1 and len(ranking.groups[0]) == len(ranking.mean_ranks)
    return f"{over}; Friedman {write_p(ranking.p)}{'; no significant difference' if alike else ''}"


def boxes(values: Mapping[str, Mapping[str, ArrayLike]], title: str, best: float | None = None) -> str:
    """Draw a dot for every subject, a row for every loss, a panel for every label, with quartiles and median.

    Args:
        values: label → loss → one value per subject; NaN is left out, infinity is drawn on a line of its own.
        title: what is measured, with its unit.
        best: the best possible value, at which the axis ends; if None, the axis begins at 0.
    """
    rows = [row for label, losses in values.items() for row in ((label, None), *losses.items())]
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, 0.6 + 0.34 * len(rows)), layout="constrained")
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
        figure = Figure((_WIDTH_IN, 3.2 + 0.17 * -(-len(histories) // 4)), layout="constrained")
        axes = figure.add_subplot()
        for place, (loss, networks) in enumerate(histories.items()):
            by_epoch = pd.concat(networks).groupby("epoch")[column]
            mean, low, high = by_epoch.mean(), by_epoch.min(), by_epoch.max()
            style = _line_style(place)
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
    labels, losses = list(table["label"].unique()), list(table["loss"].unique())
    columns = min(len(labels), 2)
    rows = -(-len(labels) // columns)
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, 0.5 + 0.17 * -(-len(losses) // 4) + 2.3 * rows), layout="constrained")
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


def _line_style(place: int) -> dict[str, Any]:
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
        means = table[table["loss"] == loss].set_index("size")["mean"].reindex(present)
        axes.plot(range(len(present)), means, markersize=6, mec="white", label=shorten(loss), **_line_style(place))
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
