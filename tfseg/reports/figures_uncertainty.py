"""Draw how far probabilities can be trusted: violins, confidence plots, reliability diagrams, retention curves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfseg.core.colors import BLUE, GREEN, VERMILLION
from tfseg.core.words import shorten
from tfseg.datasets.grids import Array
from tfseg.reports.figures import GREY, INK, LINE_MARKERS, STYLE, to_svg
from tfseg.reports.figures_comparison import WIDTH_IN, line_style

SOURCE_COLORS = {"plain": BLUE, "dropout": VERMILLION, "calibrated": GREEN}
_COLUMNS = 3


def violins(histograms: Mapping[str, tuple[Array, Array]], title: str) -> str:
    """Draw a violin per arm: its width is the share of voxels with this value; the dot is the mean.

    Args:
        histograms: arm → middles of bins and counts, `[bins]` each.
        title: what is measured, with its unit.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((WIDTH_IN, 0.7 + 0.5 * len(histograms)), layout="constrained")
        axes = figure.add_subplot()
        for place, (middles, counts) in enumerate(histograms.values()):
            share = counts / max(counts.sum(), 1)
            width = 0.42 * share / max(share.max(), 1e-12)
            axes.fill_between(middles, place - width, place + width, color=BLUE, alpha=0.35, linewidth=0)
            axes.plot((share * middles).sum(), place, marker="o", markersize=5, color=INK)
        axes.set_yticks(range(len(histograms)), [shorten(arm) for arm in histograms])
        axes.set_ylim(len(histograms) - 0.45, -0.55)
        axes.set_xlim(left=0)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(title)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        return to_svg(figure)


def confidence(histograms: Mapping[str, tuple[Array, Array, Array]]) -> str:
    """Draw a panel per arm: the share of voxels by probability, right ones and, on top, wrong ones.

    Args:
        histograms: arm → middles of bins, counts of right and of wrong voxels, `[bins]` each.
    """

    def draw(axes: Axes, arm: str) -> None:
        middles, right, wrong = histograms[arm]
        total = max(right.sum() + wrong.sum(), 1)
        width = middles[1] - middles[0]
        axes.bar(middles, right / total, width, color=BLUE, alpha=0.5, label="right")
        axes.bar(middles, wrong / total, width, bottom=right / total, color=VERMILLION, hatch="///", label="wrong")

    return _panels(list(histograms), draw, "probability of the label", "share of voxels")


def reliability(points: Mapping[str, Mapping[str, tuple[Array, Array]]]) -> str:
    """Draw a panel per arm: the frequency of the label over its probability, a line per source.

    Args:
        points: arm → source ("plain", "dropout", "calibrated") → mean probability and frequency, `[bins]` each.
    """

    def draw(axes: Axes, arm: str) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        for place, (source, (probability, frequency)) in enumerate(points[arm].items()):
            style: dict[str, Any] = {"marker": LINE_MARKERS[place], "markersize": 3.5, "color": SOURCE_COLORS[source]}
            axes.plot(probability, frequency, label=source, **style)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")

    return _panels(list(points), draw, "probability of the label", "frequency")


def retention(curves: Mapping[str, tuple[Array, Array]]) -> str:
    """Draw the Dice of every arm over the share of voxels that are handed to a person.

    Args:
        curves: arm → shares and Dice, `[points]` each.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((WIDTH_IN, 3.2 + 0.17 * -(-len(curves) // 4)), layout="constrained")
        axes = figure.add_subplot()
        for place, (arm, (share, dice)) in enumerate(curves.items()):
            axes.plot(share, dice, markersize=5, mec="white", markevery=8, label=shorten(arm), **line_style(place))
        axes.set_xlabel("voxels looked at, as a share of truth and prediction together")
        axes.set_ylabel("Dice")
        axes.set_xlim(-0.01, 1.01)
        axes.grid()
        axes.set_axisbelow(True)
        if len(curves) > 1:
            figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8, columnspacing=1.2)
        return to_svg(figure)


def _panels(arms: Sequence[str], draw: Callable[[Axes, str], None], xlabel: str, ylabel: str) -> str:
    """Draw a panel per arm on shared axes, with one legend."""
    columns = min(len(arms), _COLUMNS)
    rows = -(-len(arms) // columns)
    with matplotlib.style.context(["default", STYLE]):
        width = WIDTH_IN if columns > 1 else WIDTH_IN * 0.6
        figure = Figure((width, 0.7 + 2.1 * rows if columns > 1 else 3.2), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, arm in zip(panels, arms, strict=False):
            draw(axes, arm)
            if len(arms) > 1:
                axes.set_title(shorten(arm, 24), loc="left", fontsize=9, fontweight="bold")
            axes.grid()
            axes.set_axisbelow(True)
        for axes in panels[len(arms) :]:
            axes.set_axis_off()
        figure.supxlabel(xlabel, fontsize=9)
        figure.supylabel(ylabel, fontsize=9)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
        return to_svg(figure)
