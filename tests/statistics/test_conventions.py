import numpy as np
import pandas as pd
import pytest

from tfseg.statistics import CONVENTIONS, rankings
from tfseg.statistics.conventions import apply_convention

INF, NAN = np.inf, np.nan
EMPTY = {"dice": NAN, "hd95": NAN, "hd": NAN, "specificity": 1.0}
MISSED = {"dice": 0.0, "hd95": INF, "hd": INF, "specificity": 1.0}
ALARM = {"dice": 0.0, "hd95": INF, "hd": INF, "specificity": 0.9}
FOUND = {"dice": 0.8, "hd95": 4.0, "hd": 6.0, "specificity": 0.9}

DIAGONAL = 373.1287  # √(240² + 240² + 155²)


@pytest.mark.parametrize(
    ("name", "dice", "hd95"),
    [
        ("BraTS", [1, 0, 0, 0.8], [0, DIAGONAL, DIAGONAL, 4]),
        ("nnU-Net", [NAN, 0, 0, 0.8], [NAN, NAN, NAN, 4]),
        ("MONAI", [NAN, 0, NAN, 0.8], [NAN, NAN, NAN, 4]),
        ("TransUNet", [0, 0, 1, 0.8], [0, 0, 0, 4]),
    ],
)
def test_what_each_convention_gives(make_scores, name, dice, hd95):
    scores = make_scores({"focal": {"a": EMPTY, "b": MISSED, "c": ALARM, "d": FOUND}})
    (convention,) = (each for each in CONVENTIONS if each.name == name)
    given = apply_convention(scores, convention).pivot(index="case", columns="metric", values="value")
    assert given["dice"].tolist() == pytest.approx(dice, nan_ok=True)
    assert given["hd95"].tolist() == pytest.approx(hd95, nan_ok=True, abs=1e-4)
    assert list(given.columns) == ["dice", "hd95"]
    assert convention.used_by


def ranked(table: pd.DataFrame, convention: str, metric: str) -> dict[str, tuple[float, float, int]]:
    rows = table[(table["convention"] == convention) & (table["metric"] == metric)].set_index("arm")
    return {str(arm): (row["rank"], row["mean"], row["n"]) for arm, row in rows.iterrows()}


def test_the_ranking_depends_on_the_convention(make_scores):
    scores = make_scores(
        {
            "careful": {"a": FOUND, "b": MISSED, "c": EMPTY},
            "eager": {"a": FOUND | {"dice": 0.7, "hd95": 5.0}, "b": FOUND | {"dice": 0.1}, "c": ALARM},
        }
    )
    table = rankings(scores, {"b": 60.0, "c": 60.0})
    assert table["convention"].unique().tolist() == ["tfseg", "BraTS", "nnU-Net", "MONAI", "TransUNet"]
    assert table["label"].unique().tolist() == ["lesion"]
    for convention, dice, hd95 in (
        ("tfseg", [(1, 0.4, 2), (2, 0.8 / 3, 3)], [(2, 32, 2), (1, 69 / 3, 3)]),
        ("BraTS", [(1, 1.8 / 3, 3), (2, 0.8 / 3, 3)], [(1, (4 + DIAGONAL) / 3, 3), (2, (9 + DIAGONAL) / 3, 3)]),
        ("nnU-Net", [(1, 0.4, 2), (2, 0.8 / 3, 3)], [(1, 4, 1), (2, 4.5, 2)]),
        ("MONAI", [(1, 0.4, 2), (1, 0.4, 2)], [(1, 4, 1), (2, 4.5, 2)]),
        ("TransUNet", [(2, 0.8 / 3, 3), (1, 1.8 / 3, 3)], [(1, 4 / 3, 3), (2, 3, 3)]),
    ):
        for metric, expected in (("dice", dice), ("hd95", hd95)):
            got = ranked(table, convention, metric)
            assert got["careful"] == pytest.approx(expected[0], abs=1e-4), (convention, metric)
            assert got["eager"] == pytest.approx(expected[1], abs=1e-4), (convention, metric)


def test_a_loss_without_any_value_has_no_rank(make_scores):
    scores = make_scores({"focal": {"a": FOUND}, "dice": {"a": MISSED}})
    got = ranked(rankings(scores, {"a": 10.0}), "nnU-Net", "hd95")
    assert got["focal"] == (1, 4, 1)
    assert np.isnan(got["dice"][:2]).all()
    assert got["dice"][2] == 0


def test_scores_without_outcomes_are_refused(make_scores):
    scores = make_scores({"focal": {"a": FOUND}})
    with pytest.raises(ValueError, match="expected hd and specificity of every case"):
        rankings(scores[scores["metric"] != "specificity"], {})
