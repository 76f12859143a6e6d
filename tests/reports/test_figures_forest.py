import base64
from xml.etree import ElementTree

import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tfseg.reports import figures_forest
from tfseg.reports.figures_forest import forest

SVG = "{http://www.w3.org/2000/svg}"


def pair(first: str, second: str, difference: float, half: float, verdict: str, collapsed: int = 0) -> dict:
    ends = {"low": difference - half, "high": difference + half}
    counts = {"collapsed_first": 0, "collapsed_second": collapsed}
    return {"first": first, "second": second, "difference": difference, "verdict": verdict, **ends, **counts}


PAIRS = pd.DataFrame(
    [
        pair("dice", "ce", 0.02, 0.01, "better"),
        pair("dice", "<b>$x$", -0.002, 0.004, "equivalent"),
        pair("ce", "focal", 0.001, 0.03, "open"),
        pair("ce", "log", np.nan, np.nan, "untested"),
    ]
)


def texts(uri: str) -> list[str]:
    drawing = ElementTree.fromstring(base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")))
    return ["".join(text.itertext()) for text in drawing.iter(f"{SVG}text")]


def test_every_pair_has_a_name_and_a_verdict_under_its_label():
    drawn = texts(forest({"mean": PAIRS, "liver": PAIRS.iloc[:1]}, "Dice", 1, margin=0.01))
    assert [text for text in drawn if text in ("mean", "liver")] == ["mean", "liver"]
    assert [drawn.count(name) for name in ("dice − ce", "dice − <b>$x$", "ce − log")] == [2, 1, 1]
    assert [drawn.count(word) for word in ("better", "equivalent", "open", "untested")] == [2, 1, 1, 1]


@pytest.mark.parametrize(("sign", "side"), [(1, "right"), (-1, "left")])
def test_the_axis_says_which_side_is_better(sign, side):
    assert f"difference in HD95 (mm); {side} of 0, the first is better" in texts(
        forest({"x": PAIRS}, "HD95 (mm)", sign)
    )


def test_an_interval_far_beyond_the_differences_is_cut():
    wide = pd.DataFrame([pair("a", "b", 0.01, 1.7, "open")])
    assert figures_forest._limit(wide, np.nan) == pytest.approx(1.06 * 4 * 0.01)
    assert figures_forest._limit(PAIRS, 0.01) == pytest.approx(1.06 * 0.031)
    assert forest({"x": wide}, "Dice", 1).startswith("data:image/svg+xml")


def test_collapsed_networks_do_not_set_the_scale():
    fallen = pd.DataFrame([pair("dice", "collapsed", 0.6, 0.1, "open", collapsed=4)])
    both = pd.concat([PAIRS, fallen])
    assert figures_forest._limit(both, 0.01) == figures_forest._limit(PAIRS, 0.01) < 0.1
    assert figures_forest._limit(fallen, 0.01) == pytest.approx(1.06 * 0.7)
    with matplotlib.style.context("default"):
        axes = Figure().add_subplot()
        figures_forest._draw_pair(axes, 0, fallen.iloc[0], limit=0.03)
    arrows = [line for line in axes.get_lines() if line.get_marker() == ">"]
    assert arrows and {float(line.get_xdata()[0]) for line in arrows} == {0.03}
    assert not [line for line in axes.get_lines() if line.get_marker() == "<"]


def test_nothing_tested_is_drawn_too():
    assert "untested" in texts(forest({"x": PAIRS.iloc[3:]}, "Dice", 1))
