"""Lesions counted one by one, against counts by hand and by another labelling of components."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from tfseg import metrics
from tfseg.metrics.lesions import Lesions, count_lesions, lesion_f1

NAMES = ["lesions_truth", "lesions_detected", "lesions_missed", "lesions_false", "lesion_f1"]
PAIRS = array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)


def boxes(shape, *corners):
    """Boxes, each given by slices, in an empty mask."""
    mask = np.zeros(shape, np.bool_)
    for corner in corners:
        mask[corner] = True
    return mask


def values(*args, **kwargs):
    table = metrics.lesion_scores(*args, **{"labels": {1: "lesion"}, **kwargs})
    assert table["label"].tolist() == ["lesion"] * 5
    return dict(zip(table["metric"], table["value"], strict=True))


def test_counts_by_hand():
    truth = boxes((20, 20, 20), np.s_[1:4, 1:4, 1:4], np.s_[8:12, 8:12, 8:12], np.s_[15, 2, 2])
    prediction = boxes(
        (20, 20, 20),
        np.s_[3:6, 3:6, 3:6],  # one voxel in the first lesion
        np.s_[8:12, 8:12, 8:12],  # the second; the third is missed
        np.s_[16:19, 16:19, 16:19],  # false
        np.s_[1, 18, 18],  # false
    )
    lesions = count_lesions(truth, prediction)
    assert lesions == Lesions(truth=3, detected=2, false=2)
    assert lesions.missed == 1
    assert lesion_f1(lesions) == 4 / 7


@pytest.mark.parametrize("ndim", [2, 3])
def test_what_touches_by_a_corner_is_one_lesion(ndim):
    mask = boxes((5,) * ndim, (1,) * ndim, (2,) * ndim)
    assert count_lesions(mask, mask) == Lesions(1, 1, 0)
    apart = boxes((5,) * ndim, (1,) * ndim, (3,) * ndim)
    assert count_lesions(apart, apart) == Lesions(2, 2, 0)


def test_one_component_may_find_two_lesions_and_two_components_one():
    two, one = boxes((3, 9), np.s_[1, 1:3], np.s_[1, 6:8]), boxes((3, 9), np.s_[1, 1:8])
    assert count_lesions(truth=two, prediction=one) == Lesions(2, 2, 0)
    assert count_lesions(truth=one, prediction=two) == Lesions(1, 1, 0)


def test_overlap_asked_for():
    truth, prediction = boxes((3, 30), np.s_[1, 5:15]), boxes((3, 30), np.s_[1, 12:20])  # 3 of 10 voxels
    assert count_lesions(truth, prediction, min_overlap=0.3) == Lesions(1, 1, 0)
    assert count_lesions(truth, prediction, min_overlap=0.31) == Lesions(1, 0, 0)  # missed, yet nothing false
    assert count_lesions(truth, truth, min_overlap=1) == Lesions(1, 1, 0)


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 5)])
@pytest.mark.parametrize(
    ("lesions", "predicted", "expected"),
    [(0, 0, (0, 0, 0, 0, np.nan)), (2, 0, (2, 0, 2, 0, 0)), (0, 2, (0, 0, 0, 2, 0))],
)
def test_every_row_of_the_table_of_empty_cases(shape, lesions, predicted, expected):
    places = [(1,) * len(shape), (4,) * len(shape)]
    truth, prediction = boxes(shape, *places[:lesions]), boxes(shape, *places[:predicted])
    got = values(truth, prediction)
    np.testing.assert_equal([got[name] for name in NAMES], expected)


def test_masks_that_fill_the_array():
    full = np.ones((4, 3, 2), np.bool_)
    assert count_lesions(full, full) == Lesions(1, 1, 0)
    assert count_lesions(full, ~full) == Lesions(1, 0, 0)


@given(PAIRS, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
@settings(max_examples=150, deadline=None)
def test_against_one_component_at_a_time(pair, min_overlap):
    truth, prediction = pair
    all_neighbours = np.ones((3,) * truth.ndim)
    numbered, lesions = ndimage.label(truth, all_neighbours)
    shares = [prediction[numbered == number].mean() for number in range(1, lesions + 1)]
    detected = sum(share > 0 and share >= min_overlap for share in shares)
    numbered, found = ndimage.label(prediction, all_neighbours)
    false = sum(not truth[numbered == number].any() for number in range(1, found + 1))
    got = count_lesions(truth, prediction, min_overlap)
    assert got == (lesions, detected, false)
    if lesions + found:
        assert lesion_f1(got) == pytest.approx(detected / (detected + (lesions - detected + false) / 2))


def test_a_table_per_label_in_their_order_of_any_type_and_box():
    truth = np.zeros((12, 12, 12), np.int16)
    truth[1:3, 1:3, 1:3] = truth[6:8, 6:8, 6:8] = 7
    truth[10, 10, 10] = -2
    prediction = np.where(truth == 7, -2, truth)
    table = metrics.lesion_scores(truth, prediction, labels={-2: "new", 7: "old"})
    assert list(table.columns) == ["label", "metric", "value"]
    assert table["label"].tolist() == ["new"] * 5 + ["old"] * 5
    assert table["metric"].tolist() == NAMES * 2
    assert table["value"].tolist() == [1, 1, 0, 2, 0.5, 2, 0, 2, 0, 0]
    padded = metrics.lesion_scores(np.pad(truth, 5), np.pad(prediction, 5), labels={-2: "new", 7: "old"})
    pd.testing.assert_frame_equal(padded, table)


def test_ignored_voxels_belong_to_no_lesion():
    truth, prediction = boxes((3, 20), np.s_[1, 2:9]).astype(np.uint8), boxes((3, 20), np.s_[1, 2], np.s_[1, 15:18])
    truth[1, 5] = truth[:, 14:] = 255
    got = values(truth, prediction, ignore_label=255)
    assert [got[name] for name in NAMES] == [2, 1, 1, 0, 2 / 3]  # parted in two; what was false is ignored


def test_lesions_are_summarised_with_the_scores():
    truth, empty = boxes((4, 9), np.s_[1, 1], np.s_[1, 5]), np.zeros((4, 9), np.bool_)
    cases = {"a": (truth, truth), "b": (truth, empty), "c": (empty, empty)}
    tables = [
        table(*pair, labels={1: "lesion"}).assign(loss="dice", seed=0, fold=0, subject=case, case=case)
        for case, pair in cases.items()
        for table in (metrics.score, metrics.lesion_scores)
    ]
    summary = metrics.summarise(pd.concat(tables), {"b": 9.0})
    f1 = summary[(summary["metric"] == "lesion_f1") & (summary["label"] == "lesion")].iloc[0]
    assert (f1["n"], f1["mean_finite"], f1["both_empty"], f1["missed"]) == (2, 0.5, 1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth": np.zeros((3, 3))}, "truth: expected integer or boolean labels, received float64"),
        ({"prediction": np.zeros((3, 2), int)}, r"prediction: expected the truth's shape \(3, 3\), received \(3, 2\)"),
        ({"labels": {}}, "labels: expected a mapping"),
        ({"ignore_label": 1}, "labels: expected none to be ignore_label=1"),
        ({"min_overlap": -0.1}, "min_overlap: expected a fraction of 0 to 1, received -0.1"),
        ({"min_overlap": 1.1}, "min_overlap"),
        ({"min_overlap": np.nan}, "min_overlap"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    zeros = np.zeros((3, 3), int)
    arguments = {"truth": zeros, "prediction": zeros, "labels": {1: "lesion"}, **changes}
    with pytest.raises(ValueError, match=message):
        metrics.lesion_scores(arguments.pop("truth"), arguments.pop("prediction"), **arguments)
