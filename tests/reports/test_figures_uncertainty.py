"""Figures of probabilities: every arm and source is drawn, and an arm without voxels does no harm."""

import base64

import numpy as np
import pytest

from tfseg.reports import figures_uncertainty as figures

MIDDLES = (np.arange(10) + 0.5) / 10
COUNTS = np.arange(10.0)
ARMS = ("dice", "ce $x$ <b>", "focal", "tversky")


def text_of(uri: str) -> str:
    head, _, content = uri.partition(",")
    assert head == "data:image/svg+xml;base64"
    return base64.b64decode(content).decode()


@pytest.mark.parametrize("arms", [ARMS, ARMS[:1]])
def test_every_arm_has_its_panel_or_row(arms):
    points = {arm: {"plain": (MIDDLES, MIDDLES**2), "calibrated": (MIDDLES, MIDDLES)} for arm in arms}
    drawn = {
        "violins": figures.violins({arm: (MIDDLES, COUNTS) for arm in arms}, "entropy"),
        "confidence": figures.confidence({arm: (MIDDLES, COUNTS, COUNTS / 2) for arm in arms}),
        "reliability": figures.reliability(points),
        "retention": figures.retention({arm: (MIDDLES, MIDDLES) for arm in arms}),
    }
    for name, uri in drawn.items():
        svg = text_of(uri)
        if len(arms) > 1 or name == "violins":
            assert "dice" in svg and ("&lt;b&gt;" in svg) == (len(arms) > 1), name
    assert "calibrated" in text_of(drawn["reliability"]) and "wrong" in text_of(drawn["confidence"])


def test_no_voxels_are_drawn_as_nothing():
    nothing = np.zeros(10)
    for uri in (
        figures.violins({"dice": (MIDDLES, nothing)}, "entropy"),
        figures.confidence({"dice": (MIDDLES, nothing, nothing)}),
        figures.reliability({"dice": {}}),
        figures.retention({"dice": (MIDDLES, np.full(10, np.nan))}),
    ):
        assert text_of(uri).startswith("<?xml")


def test_the_same_numbers_give_the_same_text():
    first, second = (figures.violins({"dice": (MIDDLES, COUNTS)}, "entropy") for _ in range(2))
    assert first == second
