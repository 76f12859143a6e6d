"""Overlap of two label maps: confusion counts, then one formula per score."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Counts(NamedTuple):
    """Voxels of one label against the rest: true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


def label_positions(array: NDArray, labels: Collection[int]) -> NDArray[np.unsignedinteger]:
    """Return every voxel's position in `labels`, counted from 1; 0 if its value is none of them.

    Args:
        array: integer or boolean `[*spatial]`.
        labels: distinct label values.

    >>> label_positions(np.array([0, 7, 3]), [3, 7]).tolist()
    [0, 2, 1]
    """
    positions = np.zeros_like(array, dtype=np.min_scalar_type(len(labels)))
    for position, label in enumerate(labels, start=1):
        np.copyto(positions, position, where=array == int(label))
    return positions


def confusion_counts(
    truth: NDArray[np.unsignedinteger], prediction: NDArray[np.unsignedinteger], labels: int, voxels: int
) -> list[Counts]:
    """Count every label's voxels in one pass over both arrays.

    Args:
        truth, prediction: `[*spatial]`, values 0 (no label) to `labels`, as from `label_positions`.
        labels: number of labels.
        voxels: voxels of the whole case; those outside the given arrays are true negatives.

    >>> confusion_counts(np.array([0, 1, 1], np.uint8), np.array([1, 1, 0], np.uint8), labels=1, voxels=10)
    [Counts(tp=1, fp=1, fn=1, tn=7)]
    """
    table = _confusion_table(truth, prediction, labels)
    counts = []
    for label in range(1, labels + 1):
        tp = int(table[label, label])
        fn = int(table[label].sum()) - tp
        fp = int(table[:, label].sum()) - tp
        counts.append(Counts(tp, fp, fn, voxels - tp - fp - fn))
    return counts


def union_counts(
    truth: NDArray[np.unsignedinteger], prediction: NDArray[np.unsignedinteger], members: NDArray[np.bool_]
) -> list[Counts]:
    """Count the voxels of unions of classes, which may overlap, in one pass over both arrays.

    Args:
        truth, prediction: class indices `[*spatial]`.
        members: whether a class is part of a union, `[classes, unions]`.
    """
    table = _confusion_table(truth, prediction, len(members) - 1)
    counts = []
    for inside in members.T:
        tp, fn = int(table[inside][:, inside].sum()), int(table[inside][:, ~inside].sum())
        fp = int(table[~inside][:, inside].sum())
        counts.append(Counts(tp, fp, fn, truth.size - tp - fp - fn))
    return counts


def _confusion_table(
    truth: NDArray[np.unsignedinteger], prediction: NDArray[np.unsignedinteger], labels: int
) -> NDArray[np.integer]:
    """Count voxels by position in the truth and in the prediction, `[labels + 1, labels + 1]`."""
    pairs = truth.ravel().astype(np.intp) * (labels + 1) + prediction.ravel()
    return np.bincount(pairs, minlength=(labels + 1) ** 2).reshape(labels + 1, labels + 1)


def dice(counts: Counts) -> float:
    """Dice coefficient `2TP / (2TP + FP + FN)`, 0 to 1.

    Truth and prediction empty: NaN. One of them empty: 0.
    Source: Dice 1945, 10.2307/1932409.

    >>> counts = Counts(tp=3, fp=1, fn=2, tn=10)
    >>> round(dice(counts), 4), iou(counts), precision(counts), recall(counts), round(specificity(counts), 4)
    (0.6667, 0.5, 0.75, 0.6, 0.9091)
    """
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """Intersection over union, Jaccard's index, `TP / (TP + FP + FN)`, 0 to 1.

    Truth and prediction empty: NaN. One of them empty: 0.
    Source: Jaccard 1912, 10.1111/j.1469-8137.1912.tb05611.x.
    """
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> float:
    """Positive predictive value `TP / (TP + FP)`, 0 to 1.

    Truth and prediction empty: NaN. One of them empty: 0, also if nothing was predicted.
    Source: Taha and Hanbury 2015, 10.1186/s12880-015-0068-x.
    """
    return 0.0 if counts.fn and not counts.tp else _ratio(counts.tp, counts.tp + counts.fp)


def recall(counts: Counts) -> float:
    """Sensitivity `TP / (TP + FN)`, 0 to 1.

    Truth and prediction empty: NaN. One of them empty: 0, also if the truth is empty.
    Source: Taha and Hanbury 2015, 10.1186/s12880-015-0068-x.
    """
    return 0.0 if counts.fp and not counts.tp else _ratio(counts.tp, counts.tp + counts.fn)


def specificity(counts: Counts) -> float:
    """True negative rate `TN / (TN + FP)`, 0 to 1.

    Truth and prediction empty: 1. A truth that fills the array: NaN.
    Source: Taha and Hanbury 2015, 10.1186/s12880-015-0068-x.
    """
    return _ratio(counts.tn, counts.tn + counts.fp)


def accuracy(counts: Counts) -> float:
    """Fraction of voxels that agree, `(TP + TN) / (TP + FP + FN + TN)`, 0 to 1.

    Truth and prediction empty: 1. No voxel to count: NaN.
    Source: Taha and Hanbury 2015, 10.1186/s12880-015-0068-x.
    """
    return _ratio(counts.tp + counts.tn, sum(counts))


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
