import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfseg.metrics import overlap
from tfseg.metrics.overlap import Counts

SCORES = (overlap.dice, overlap.iou, overlap.precision, overlap.recall)
LABEL_MAPS = arrays(np.int16, (4, 5, 3), elements=st.integers(0, 4))


def test_formulas_on_counts_worked_by_hand():
    counts = Counts(tp=6, fp=2, fn=4, tn=88)
    assert overlap.dice(counts) == 12 / 18
    assert overlap.iou(counts) == 6 / 12
    assert overlap.precision(counts) == 6 / 8
    assert overlap.recall(counts) == 6 / 10
    assert overlap.specificity(counts) == 88 / 90
    assert overlap.accuracy(counts) == 94 / 100


def test_both_empty():
    both_empty = Counts(0, 0, 0, 50)
    assert all(np.isnan(score(both_empty)) for score in SCORES)
    assert overlap.specificity(both_empty) == overlap.accuracy(both_empty) == 1


@pytest.mark.parametrize("counts", [Counts(0, 7, 0, 43), Counts(0, 0, 7, 43), Counts(0, 3, 4, 43)])
def test_false_alarm_miss_and_disjoint_masks_score_0(counts):
    assert [score(counts) for score in SCORES] == [0, 0, 0, 0]


def test_nothing_negative_and_nothing_at_all():
    assert np.isnan(overlap.specificity(Counts(50, 0, 0, 0)))
    assert np.isnan(overlap.accuracy(Counts(0, 0, 0, 0)))


def test_label_positions_follow_the_order_of_the_labels():
    array = np.array([[0, 300, 7], [7, -2, 5]], np.int16)
    assert overlap.label_positions(array, [7, 300, -2]).tolist() == [[0, 2, 1], [1, 3, 0]]
    assert overlap.label_positions(array.astype(np.uint8), [300, -2]).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_more_labels_than_a_byte_holds():
    array = np.arange(400).reshape(20, 20)
    positions = overlap.label_positions(array, range(1, 400))
    assert positions.tolist() == array.tolist()
    counts = overlap.confusion_counts(positions, positions, 399, array.size)
    assert counts == [Counts(1, 0, 0, 399)] * 399


def test_voxels_outside_the_arrays_are_true_negatives():
    ones = np.ones((2, 2), np.uint8)
    assert overlap.confusion_counts(ones, ones, 1, voxels=100) == [Counts(4, 0, 0, 96)]


@given(LABEL_MAPS, LABEL_MAPS)
@settings(max_examples=100, deadline=None)
def test_counts_of_all_labels_against_one_label_at_a_time(truth, prediction):
    labels = [3, 1, 4]
    positions = [overlap.label_positions(array, labels) for array in (truth, prediction)]
    counted = overlap.confusion_counts(*positions, len(labels), truth.size)
    for label, counts in zip(labels, counted, strict=True):
        t, p = truth == label, prediction == label
        assert counts == ((t & p).sum(), (~t & p).sum(), (t & ~p).sum(), (~t & ~p).sum())


@given(*[st.integers(0, 100)] * 4)
@settings(max_examples=100, deadline=None)
def test_identities(tp, fp, fn, tn):
    counts, swapped = Counts(tp, fp, fn, tn), Counts(tp, fn, fp, tn)
    dice, iou = overlap.dice(counts), overlap.iou(counts)
    np.testing.assert_allclose(dice, 2 * iou / (1 + iou))
    np.testing.assert_equal(overlap.dice(swapped), dice)
    np.testing.assert_equal(overlap.precision(swapped), overlap.recall(counts))
    if tp:
        precision, recall = overlap.precision(counts), overlap.recall(counts)
        np.testing.assert_allclose(dice, 2 * precision * recall / (precision + recall))


@given(arrays(np.uint8, (4, 5, 3), elements=st.integers(0, 3)), arrays(np.uint8, (4, 5, 3), elements=st.integers(0, 3)))
@settings(max_examples=50, deadline=None)
def test_counts_of_unions_are_those_of_their_masks(truth, prediction):
    unions = [(1, 2, 3), (1, 3), (3,), (0,)]
    members = np.array([[index in union for union in unions] for index in range(4)])
    for union, counts in zip(unions, overlap.union_counts(truth, prediction, members), strict=True):
        expected, found = np.isin(truth, union), np.isin(prediction, union)
        assert counts == Counts(
            (expected & found).sum(), (~expected & found).sum(), (expected & ~found).sum(), (~expected & ~found).sum()
        )
