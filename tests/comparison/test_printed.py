"""Printed numbers beside those of a comparison."""

import pandas as pd
import pytest

from tfseg.comparison.printed import beside_printed, read_printed, reproduced
from tfseg.core.errors import ConfigError
from tfseg.statistics import t_interval

HEAD = "setting,arm,label,metric,value\n"


def test_one_setting_is_read(tmp_path):
    path = tmp_path / "printed.csv"
    path.write_text(HEAD + "first,dice,spleen,dice,0.8\nsecond,NA,spleen,dice,0.7\n")
    assert read_printed(path, "second").values.tolist() == [["NA", "spleen", "dice", 0.7]]
    with pytest.raises(ConfigError, match="expected one of the settings first, second; received third"):
        read_printed(path, "third")


@pytest.mark.parametrize("text", ["arm,value\ndice,1\n", HEAD + "a,dice,spleen,dice,high\n", ""])
def test_a_wrong_table_is_refused(tmp_path, text):
    (tmp_path / "printed.csv").write_text(text)
    with pytest.raises(ConfigError, match=r"printed\.csv"):
        read_printed(tmp_path / "printed.csv", "a")


def test_a_printed_number_is_inside_the_interval_or_not():
    printed = pd.DataFrame(
        [
            *(
                ["a", "x", "dice", 0.8],
                ["b", "x", "dice", 0.9],
                ["a", "x", "iou", 0.5],
                ["a", "x", "volume_truth_ml", 3.0],
                ["a", "x", "epochs", 32],
                ["b", "x", "epochs", 40],
            ),
            *(["c", "x", "dice", 0.5], ["a", "y", "dice", 0.5]),  # an arm and a label that the comparison has not, and
            ["c", "x", "epochs", 50],  # an arm that does not stop early
        ],
        columns=["arm", "label", "metric", "value"],
    )
    means = pd.DataFrame(
        {
            "arm": ["a", "b"],
            "label": "x",
            "metric": "dice",
            "mean": [0.81, 0.8],
            "low": [0.7, 0.75],
            "high": [0.9, 0.85],
        }
    )
    scores = pd.DataFrame(
        [
            {
                "loss": "a",
                "seed": 0,
                "fold": 0,
                "subject": name,
                "case": name,
                "label": "x",
                "metric": "volume_truth_ml",
            }
            | {"value": value}
            for name, value in zip("pqr", (1.0, 2.0, 6.0), strict=True)
        ]
    )
    table = beside_printed(printed, means, scores, {}, {"a": [30, 35, 37], "b": [40]})
    assert table["inside"].tolist() == ["yes", "no", "yes", "yes", ""]
    assert table["here"].tolist() == pytest.approx([0.81, 0.8, 3.0, 34.0, 40.0])
    assert table.loc[2, ["low", "high"]].tolist() == pytest.approx(t_interval([1, 2, 6]))
    assert table.loc[3, ["low", "high"]].tolist() == pytest.approx(t_interval([30, 35, 37]))
    assert reproduced(table) == (
        "3 of 4 numbers of the printed study lie inside the 95 % interval found here; 1 more has no interval."
    )
    assert reproduced(table[4:]).startswith("None of the 1 numbers")
