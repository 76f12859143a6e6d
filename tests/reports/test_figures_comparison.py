import base64
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest

from tfseg.reports import figures_comparison
from tfseg.statistics import questions, scores_by_size

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["$x^2$ <b>&\"'", "海馬", "a" * 60]


def drawing(uri: str) -> ElementTree.Element:
    return ElementTree.fromstring(base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")))


def texts(uri: str) -> list[str]:
    return ["".join(text.itertext()) for text in drawing(uri).iter(f"{SVG}text")]


def test_boxes_draw_every_subject_of_every_loss_and_label() -> None:
    values = {
        "left": {"focal": [0.5, 0.6, 0.9], "dice": [0.4, np.nan, 0.8]},
        "right": {"focal": [0.7, 0.8], "dice": [np.nan]},
    }
    drawn = texts(figures_comparison.boxes(values, "Dice", best=1.0))
    assert [text for text in drawn if text in ("left", "right")] == ["left", "right"]
    assert [drawn.count(name) for name in ("focal", "dice", "no value", "Dice", "∞")] == [2, 2, 1, 1, 0]


def test_boxes_give_infinite_values_a_place() -> None:
    drawn = texts(figures_comparison.boxes({"left": {"focal": [1.0, np.inf], "dice": [2.0, 3.0]}}, "HD95 (mm)"))
    assert drawn.count("∞") == 1


@pytest.mark.parametrize("values", [{"left": {}}, {"left": {"focal": []}}, {"left": {"focal": [0.3] * 9}}])
def test_boxes_of_what_hardly_varies(values: dict[str, dict[str, list[float]]]) -> None:
    for best in (None, 1.0):
        assert "Dice" in texts(figures_comparison.boxes(values, "Dice", best=best))


def sizes(losses: list[str], labels: list[str], groups: tuple[str, ...] = ("small", "medium", "large")) -> pd.DataFrame:
    rows = [
        (label, "dice", size, 0.825 + place, 1.5 + place, 8, loss, 0.5 + 0.1 * place + 0.01 * index)
        for label in labels
        for place, size in enumerate(groups)
        for index, loss in enumerate(losses)
    ]
    return pd.DataFrame(rows, columns=["label", "metric", "size", "smallest", "largest", "n", "arm", "mean"])


@pytest.mark.parametrize("labels", [["left"], ["left", "right"], ["a", "b", "c"]])
def test_sizes_draw_every_label_with_its_range(labels: list[str]) -> None:
    drawn = texts(figures_comparison.by_size(sizes(["focal", "dice"], labels), "mean Dice"))
    assert [text for text in drawn if text in labels] == labels
    assert [drawn.count(name) for name in ("focal", "dice", "mean Dice")] == [1, 1, 1]
    assert [drawn.count(name) for name in ("small", "0.825–1.5 ml", "n = 8")] == [
        len(labels),
        len(labels),
        3 * len(labels),
    ]


def test_sizes_of_a_label_that_lacks_a_third() -> None:
    drawn = texts(figures_comparison.by_size(sizes(["focal"], ["left"], ("small", "large")), "Dice", unit="voxels"))
    assert "medium" not in drawn
    assert "1.82–2.5 voxels" in drawn


def test_large_volumes_are_whole_millilitres() -> None:
    table = sizes(["focal"], ["left"], ("small",)).assign(smallest=904.6, largest=1072.4)
    assert "905–1072 ml" in texts(figures_comparison.by_size(table, "Dice"))


def test_sizes_need_a_row() -> None:
    with pytest.raises(ValueError, match="table: expected the scores of a label by size, received none"):
        figures_comparison.by_size(sizes([], []), "Dice")


def test_sizes_from_scores(draw_comparison: pd.DataFrame) -> None:
    asked = questions(draw_comparison, {})
    volumes = pd.Series({f"s{index}": 1.0 + index for index in range(6)})
    drawn = texts(figures_comparison.by_size(scores_by_size(asked, {"lesion": volumes}), "Dice"))
    assert {"1–2 ml", "3–4 ml", "5–6 ml"} <= set(drawn)


@pytest.fixture
def draw_comparison() -> pd.DataFrame:
    rows = [
        (loss, 0, 0, f"s{index}", f"s{index}", "lesion", "dice", 0.5 + index / 20)
        for loss in ("focal", "dice")
        for index in range(6)
    ]
    return pd.DataFrame(rows, columns=["loss", "seed", "fold", "subject", "case", "label", "metric", "value"])


def test_names_are_drawn_as_they_are() -> None:
    for drawn in (
        texts(figures_comparison.boxes({name: {name: [0.5, 0.7]} for name in NAMES}, "Dice")),
        texts(figures_comparison.by_size(sizes(NAMES, NAMES), "Dice")),
    ):
        for name in (*NAMES[:2], "a" * 23 + "…"):
            assert any(name in text for text in drawn), name


def test_figures_are_the_same_every_time() -> None:
    before = dict(matplotlib.rcParams)
    for draw in (
        lambda: figures_comparison.boxes({"left": {"focal": [0.5, np.inf]}}, "x"),
        lambda: figures_comparison.by_size(sizes(["a", "b"], ["left"]), "x"),
    ):
        assert draw() == draw()
    assert dict(matplotlib.rcParams) == before
