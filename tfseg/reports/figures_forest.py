"""Draw differences of pairs of arms with their intervals: a forest plot, as an SVG in a data URI."""

from collections.abc import Mapping
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfseg.core.colors import BLACK, BLUE
from tfseg.core.words import shorten
from tfseg.metrics.table import MINUS
from tfseg.reports.figures import GREY, STYLE, to_svg
from tfseg.statistics import Verdict

_WIDTH_IN = 5.6  # legible at the width of a phone
_REACH = 4  # an interval is cut where it is this many times farther than the largest difference
_MARKERS: dict[Verdict, dict[str, Any]] = {
    Verdict.BETTER: {"marker": "o", "color": BLUE},
    Verdict.WORSE: {"marker": "o", "color": BLUE},
    Verdict.EQUIVALENT: {"marker": "s", "color": BLACK},
    Verdict.OPEN: {"marker": "o", "color": GREY, "mfc": "white"},
    Verdict.UNTESTED: {"marker": "D", "color": GREY, "mfc": "white"},
}


def forest(groups: Mapping[str, pd.DataFrame], title: str, sign: int, margin: float = np.nan) -> str:
    """Draw a row for every pair: its difference, the 95 % interval, and the verdict in words.

    Args:
        groups: label → rows of `tfseg.statistics.compare_arms`.
        title: the metric, with its unit.
        sign: 1 if higher is better, -1 if lower is.
        margin: of equivalence, drawn as a band; NaN if there is none.
    """
    rows: list[str | pd.Series] = []
    for name, table in groups.items():
        rows += [name, *(pair for _, pair in table.iterrows())]
    limit = _limit(pd.concat(list(groups.values())), margin)
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure((_WIDTH_IN, 0.75 + 0.27 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        if margin < limit:
            axes.axvspan(-margin, margin, color="#F0F0EC", linewidth=0)
        axes.axvline(0, color=BLACK, linewidth=0.8)
        pairs = {place: row for place, row in enumerate(rows) if not isinstance(row, str)}
        for place, row in enumerate(rows):
            if isinstance(row, str):
                heading: dict[str, Any] = {"va": "center", "fontweight": "bold", "in_layout": False}
                axes.text(0, place, shorten(row, 60), transform=axes.get_yaxis_transform(), **heading)
            else:
                _draw_pair(axes, place, row, limit)
        names = [f"{shorten(row['first'], 20)} {MINUS} {shorten(row['second'], 20)}" for row in pairs.values()]
        axes.set_yticks(list(pairs), names)
        verdicts = axes.secondary_yaxis("right")
        verdicts.set_yticks(list(pairs), [row["verdict"] for row in pairs.values()])
        for each in (axes, verdicts):
            each.tick_params(axis="y", length=0, pad=8)
        for spine in (axes.spines["left"], verdicts.spines["right"]):
            spine.set_visible(False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(-limit, limit)
        better = "right" if sign > 0 else "left"
        axes.set_xlabel(f"difference in {title}; {better} of 0, the first is better")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        return to_svg(figure)


def _limit(pairs: pd.DataFrame, margin: float) -> float:
    """Return where the axis ends. Pairs with collapsed networks, which are far apart, count only if all are such."""
    sound = pairs[pairs[["collapsed_first", "collapsed_second"]].sum(axis=1) == 0]
    pairs = sound if len(sound) else pairs
    farthest = np.nanmax(np.abs([*pairs["low"], *pairs["high"], 0.0]))
    largest = np.nanmax(np.abs([*pairs["difference"], margin, 1e-6]))
    return float(1.06 * max(min(farthest, _REACH * largest), largest))


def _draw_pair(axes: Axes, place: int, row: pd.Series, limit: float) -> None:
    style = _MARKERS[row["verdict"]]
    low, high = row["low"], row["high"]
    if not np.isnan(low):
        axes.plot(np.clip([low, high], -limit, limit), [place, place], color=style["color"], linewidth=1.6)
    for end in (low, high, row["difference"]):
        if abs(end) > limit:
            arrow = ">" if end > 0 else "<"
            axes.plot(np.clip(end, -limit, limit), place, marker=arrow, color=style["color"], clip_on=False, zorder=3)
    if not np.isnan(row["difference"]):
        axes.plot(row["difference"], place, markersize=6, linestyle="", zorder=4, **style)
