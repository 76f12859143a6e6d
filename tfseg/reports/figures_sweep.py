"""Draw the figures of a sweep, each an SVG as a data URI."""

from collections.abc import Sequence

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfseg.core.colors import LINE_COLORS
from tfseg.reports.figures import STYLE, to_svg

_WIDTH_IN = 5.6


def best_so_far(scores: Sequence[float], again: float, title: str) -> str:
    """Draw the score of every trial, the best one so far, and what the best values reach under another seed.

    Args:
        scores: in the order of the trials; NaN if a trial failed.
        again: the score under another seed.
        title: what is measured.
    """
    numbers = np.arange(1, len(scores) + 1)
    best = np.fmax.accumulate(np.asarray(scores, float))
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, 3.0), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(numbers, scores, "o", color="#888888", markersize=4, label="trial")
        axes.step(numbers, best, where="post", color=LINE_COLORS[0], label="best so far")
        axes.axhline(again, color=LINE_COLORS[1], linestyle="--", label="best values, another seed")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel(title)
        axes.grid()
        figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
        return to_svg(figure)


def parameter(values: pd.Series, scores: pd.Series, title: str, is_log: bool) -> str:
    """Draw the score of every trial over the value of one field; values that are not numbers stand side by side."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, 2.6), layout="constrained")
        axes = figure.add_subplot()
        if pd.api.types.is_numeric_dtype(values):
            axes.plot(values, scores, "o", color=LINE_COLORS[0], markersize=4)
            if is_log:
                axes.set_xscale("log")
        else:
            names = list(dict.fromkeys(values.astype(str)))
            axes.plot([names.index(str(value)) for value in values], scores, "o", color=LINE_COLORS[0], markersize=4)
            _name(axes, names)
        axes.set_xlabel(str(values.name))
        axes.set_ylabel(title)
        axes.grid()
        return to_svg(figure)


def heat_map(table: pd.DataFrame, rows: str, columns: str, score: str, title: str) -> str:
    """Draw the best score for every pair of values of two fields, with its number.

    Args:
        table: a row per trial.
        rows, columns: the fields.
        score: the column of the score.
        title: what is measured.
    """
    best = table.pivot_table(index=rows, columns=columns, values=score, aggfunc="max")
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, 1.2 + 0.4 * len(best)), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(best, cmap="cividis", aspect="auto")
        middle = (np.nanmin(best.to_numpy()) + np.nanmax(best.to_numpy())) / 2
        for place, value in np.ndenumerate(best.to_numpy()):
            if not np.isnan(value):
                ink = "black" if value > middle else "white"
                axes.text(place[1], place[0], f"{value:.3f}", ha="center", va="center", fontsize=7, color=ink)
        _name(axes, [f"{value}" for value in best.columns])
        axes.set_yticks(range(len(best)), [f"{value}" for value in best.index])
        axes.set_xlabel(columns)
        axes.set_ylabel(rows)
        figure.colorbar(image, label=title)
        return to_svg(figure)


def _name(axes: Axes, names: Sequence[str]) -> None:
    long = sum(map(len, names)) > 50
    axes.set_xticks(range(len(names)), names, rotation=30 if long else 0, ha="right" if long else "center", fontsize=8)
