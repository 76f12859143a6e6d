import base64
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest

from tfseg.core.colors import LINE_COLORS
from tfseg.reports import figures


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition("base64,")[2])


def texts(uri: str) -> list[str]:
    found = ElementTree.fromstring(decoded(uri)).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()) for text in found]


def marks(uri: str) -> int:
    return len(list(ElementTree.fromstring(decoded(uri)).iter("{http://www.w3.org/2000/svg}use")))


def history(epochs: int) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame({"epoch": epoch, "loss": 1 / epoch, "val_loss": 1.2 / epoch, "val_dice": 1 - 1 / epoch})


def test_distribution_draws_every_subject() -> None:
    without = figures.distribution({"a": []}, "HD95 (mm)")
    values = [0.5, 0.6, np.nan, np.inf, 0.9]
    # Ticks differ, and are counted among the marks; the dots are what is left.
    ticks = len([text for text in texts(figures.distribution({"a": values}, "HD95 (mm)")) if text != "HD95 (mm)"])
    assert marks(figures.distribution({"a": values}, "HD95 (mm)")) == 4 + ticks - 1
    assert "no value" in texts(without)


def test_distribution_gives_infinite_values_a_place() -> None:
    assert "∞" in texts(figures.distribution({"a": [1.0, np.inf]}, "HD95 (mm)"))
    assert "∞" in texts(figures.distribution({"a": [np.inf, np.inf]}, "HD95 (mm)"))
    assert "∞" not in texts(figures.distribution({"a": [1.0, np.nan]}, "HD95 (mm)"))


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [np.nan], [], [0.3] * 8, [0.0] * 8, [np.inf] * 8])
def test_distribution_of_what_hardly_varies(values: list[float]) -> None:
    for best in (None, 1.0):
        assert "a" in texts(figures.distribution({"a": values}, "x", best=best))


def test_names_are_drawn_as_they_are() -> None:
    names = ["$x^2$ <b>&\"'", "海馬", "a" * 60]
    drawn = texts(figures.distribution({name: [0.5, 0.7] for name in names}, "Dice", best=1.0))
    assert names[0] in drawn
    assert names[1] in drawn
    assert "a" * 23 + "…" in drawn


def test_figures_are_the_same_every_time() -> None:
    before = dict(matplotlib.rcParams)
    first, second = (figures.distribution({"a": [0.5, 0.7, np.inf]}, "x") for _ in range(2))
    assert first == second
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("epochs", [1, 12])
@pytest.mark.parametrize("folds", [1, 9])
def test_curves_name_every_fold(epochs: int, folds: int) -> None:
    drawn = figures.curves([history(epochs)] * folds, [1] * folds, ("val_loss", "loss"), "loss")
    assert [text for text in texts(drawn) if text.startswith("fold")] == [f"fold {fold}" for fold in range(folds)]


def test_a_first_epoch_far_above_the_others_puts_the_loss_on_a_logarithmic_axis() -> None:
    usual, steep = history(12), history(12)
    steep.loc[0, "val_loss"] = 500 * steep["val_loss"].median()
    linear, logarithmic = (texts(figures.curves([each], [1], ("val_loss", "loss"), "loss")) for each in (usual, steep))
    assert {"1", "10", "100"} <= set(logarithmic)
    assert "100" not in linear


def test_a_curve_joins_the_epochs_that_were_scored() -> None:
    every_second = history(6)
    every_second.loc[::2, "val_dice"] = np.nan
    svg = ElementTree.fromstring(decoded(figures.curves([every_second], [4], ("val_dice",), "Dice")))
    paths = [path for path in svg.iter("{http://www.w3.org/2000/svg}path") if "clip-path" in path.attrib]
    (curve,) = [path for path in paths if LINE_COLORS[0].lower() in path.get("style", "")]
    assert len(curve.get("d").split("L")) == 3


def test_curves_bear_missing_values() -> None:
    lost = history(4)
    lost.loc[2, "val_dice"] = np.nan
    assert "epoch" in texts(figures.curves([lost], [4], ("val_dice",), "Dice"))
