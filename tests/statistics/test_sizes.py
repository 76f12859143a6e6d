import numpy as np
import pandas as pd
import pytest

from tfseg.statistics import questions, scores_by_size, truth_volumes_ml
from tfseg.statistics.sizes import size_groups


def test_thirds_by_hand():
    sizes = pd.Series({"f": 60.0, "a": 10.0, "c": 30.0, "b": 20.0, "e": 50.0, "d": 40.0})
    assert size_groups(sizes).to_dict() == {
        "a": "small", "b": "small", "c": "medium", "d": "medium", "e": "large", "f": "large",
    }  # fmt: skip


def test_equal_sizes_stay_together():
    groups = size_groups(pd.Series([1.0, 1, 1, 1, 5, 9], index=list("abcdef")))
    assert groups.tolist() == ["small"] * 4 + ["large"] * 2


def test_subjects_without_the_structure_are_left_out():
    assert size_groups(pd.Series([0.0, 1, 2, 3, np.nan], index=list("abcde"))).index.tolist() == ["b", "c", "d"]
    assert size_groups(pd.Series([0.0, 1, 2], index=list("abc"))).empty


def test_volumes_are_means_over_cases(make_scores):
    subjects = {
        ("a", "a1"): {"volume_truth_ml": 2.0},
        ("a", "a2"): {"volume_truth_ml": 4.0},
        "b": {"volume_truth_ml": 1.0},
    }
    scores = make_scores({(loss, seed): subjects for loss in ("focal", "dice") for seed in (0, 1)})
    assert {label: found.to_dict() for label, found in truth_volumes_ml(scores).items()} == {"lesion": {"a": 3, "b": 1}}
    assert truth_volumes_ml(scores.assign(value=np.nan)) == {}, "2D images have no volume"


def test_means_by_size_by_hand(make_scores):
    volumes = [1, 2, 3, 4, 5, 6]
    runs = {
        loss: {f"s{v}": {"dice": v / 10 + gain, "volume_truth_ml": v} for v in volumes}
        for loss, gain in (("focal", 0.0), ("dice", 0.1))
    }
    del runs["dice"]["s6"]
    scores = make_scores(runs)
    table = scores_by_size(questions(scores, {}), truth_volumes_ml(scores))
    assert list(table.columns) == ["label", "metric", "size", "smallest", "largest", "n", "arm", "mean"]
    rows = list(table.drop(columns=["label", "metric", "mean"]).itertuples(index=False, name=None))
    assert rows == [
        ("small", 1, 2, 2, "focal"), ("small", 1, 2, 2, "dice"),
        ("medium", 3, 4, 2, "focal"), ("medium", 3, 4, 2, "dice"),
        ("large", 5, 6, 2, "focal"), ("large", 5, 6, 2, "dice"),
    ]  # fmt: skip
    assert table["mean"].tolist() == pytest.approx([0.15, 0.25, 0.35, 0.45, 0.55, 0.6])
    assert scores_by_size(questions(scores, {}), {}).empty


def test_voxel_counts_serve_if_there_is_no_volume(make_scores):
    scores = make_scores({"focal": {name: {"dice": 0.5} for name in "abc"}})
    table = scores_by_size(questions(scores, {}), {"lesion": pd.Series({"a": 900.0, "b": 20.0, "c": 300.0})})
    assert table["smallest"].tolist() == [20, 300, 900]
