"""Scores of whole cases, in millimetres, without Keras."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tfseg.core import geometry
from tfseg.metrics import overlap, surface
from tfseg.metrics.lesions import count_lesions, lesion_f1
from tfseg.metrics.summary import MEAN_LABEL, subject_values, summarise
from tfseg.metrics.table import METRICS, Metric, heading, metric_of, write_value

__all__ = [
    "METRICS",
    "Metric",
    "heading",
    "lesion_scores",
    "metric_of",
    "score",
    "subject_values",
    "summarise",
    "write_value",
]


def __dir__() -> list[str]:
    return __all__


def score(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    labels: Mapping[int, str],
    spacing_mm: Sequence[float] | None = None,
    tolerance_mm: float = 1.0,
    ignore_label: int | None = None,
) -> pd.DataFrame:
    """Score one whole case on the scan's own grid.

    | case                           | dice, iou, precision, recall | hd, hd95, assd, masd | nsd |
    | ------------------------------ | ---------------------------- | -------------------- | --- |
    | truth and prediction empty     | NaN                          | NaN                  | NaN |
    | one of them empty              | 0                            | inf                  | 0   |

    Specificity and accuracy follow their formulas there. The functions in `tfseg.metrics.overlap` and
    `tfseg.metrics.surface` define each score; `METRICS` holds its name, unit and better direction.

    Args:
        truth, prediction: integer or boolean labels `[*spatial]` of one shape, 2D or 3D. A 3D array with an axis of
            one voxel is a single slice: its surfaces are lines in the plane.
        labels: label value → name, in the table's order. Background (0) is scored only if it is named here.
        spacing_mm: distance between voxel centres along each axis; None if there is none (a 2D image): distances
            and the tolerance are then in pixels, and volumes are NaN.
        tolerance_mm: the surface distance that nsd allows, finite, at least 0.
        ignore_label: truth voxels of this value are not counted and belong to no mask.

    Returns:
        Columns `label, metric, value`; per label `dice, iou, precision, recall, specificity, accuracy, hd, hd95,
        assd, masd, nsd, volume_truth_ml, volume_prediction_ml` (volumes are NaN in 2D). `attrs["unit"]` is the
        unit of distances: "mm", or "px" without a spacing.

    Raises:
        ValueError: labels that are not integer or boolean, shapes that differ or are not 2D or 3D, a spacing of
            the wrong length or not positive and finite, a negative or infinite tolerance, a label mapping that is
            empty, repeats a name, uses "mean" or contains `ignore_label`.

    >>> table = score([[0, 1, 1]], [[0, 0, 1]], labels={1: "lesion"})
    >>> table.head(4)
        label     metric     value
    0  lesion       dice  0.666667
    1  lesion        iou  0.500000
    2  lesion  precision  1.000000
    3  lesion     recall  0.500000
    """
    case = _case(truth, prediction, labels, ignore_label)
    ndim = np.ndim(truth)
    spacing = geometry.validated_spacing((1.0,) * ndim if spacing_mm is None else spacing_mm, ndim)
    if not 0 <= tolerance_mm < np.inf:
        raise ValueError(f"tolerance_mm: expected a finite number of at least 0, received {tolerance_mm}")

    has_volume = spacing_mm is not None and ndim == 3
    voxel_ml = float(np.prod(spacing)) / 1000 if has_volume else float("nan")
    across = geometry.single_slice_axis(np.shape(truth))
    spacing = spacing if across is None else (*spacing[:across], *spacing[across + 1 :])
    rows: list[tuple[str, str, float]] = []
    counts = overlap.confusion_counts(case.truth, case.prediction, len(labels), case.voxels)
    for position, (name, count) in enumerate(zip(labels.values(), counts, strict=True), start=1):
        distances = surface.surface_distances(case.truth == position, case.prediction == position, spacing)
        values = {
            "dice": overlap.dice(count),
            "iou": overlap.iou(count),
            "precision": overlap.precision(count),
            "recall": overlap.recall(count),
            "specificity": overlap.specificity(count),
            "accuracy": overlap.accuracy(count),
            "hd": surface.hd(distances),
            "hd95": surface.hd95(distances),
            "assd": surface.assd(distances),
            "masd": surface.masd(distances),
            "nsd": surface.nsd(distances, tolerance_mm),
            "volume_truth_ml": (count.tp + count.fn) * voxel_ml,
            "volume_prediction_ml": (count.tp + count.fp) * voxel_ml,
        }
        rows += [(name, metric, value) for metric, value in values.items()]
    table = _table(rows)
    table.attrs["unit"] = "px" if spacing_mm is None else "mm"
    return table


def lesion_scores(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    labels: Mapping[int, str],
    ignore_label: int | None = None,
    min_overlap: float = 0.0,
) -> pd.DataFrame:
    """Count the lesions of one case: components whose voxels share at least a corner.

    | case                           | truth | detected | missed | false | lesion_f1 |
    | ------------------------------ | ----- | -------- | ------ | ----- | --------- |
    | truth and prediction empty     | 0     | 0        | 0      | 0     | NaN       |
    | n lesions, nothing predicted   | n     | 0        | n      | 0     | 0         |
    | no lesion, m predicted         | 0     | 0        | 0      | m     | 0         |

    `tfseg.metrics.lesions.count_lesions` defines when a lesion counts as detected.

    Args:
        truth, prediction, labels, ignore_label: as for `score`; ignored voxels can split a lesion in two.
        min_overlap: fraction (0 to 1) of a lesion's voxels that the prediction must cover; 0: one voxel is enough.

    Returns:
        Columns `label, metric, value`; per label `lesions_truth, lesions_detected, lesions_missed, lesions_false,
        lesion_f1`.

    Raises:
        ValueError: as for `score`; a fraction below 0 or above 1.

    >>> lesion_scores([[1, 0, 1, 0, 0]], [[1, 0, 0, 0, 1]], labels={1: "lesion"})
        label            metric  value
    0  lesion     lesions_truth    2.0
    1  lesion  lesions_detected    1.0
    2  lesion    lesions_missed    1.0
    3  lesion     lesions_false    1.0
    4  lesion         lesion_f1    0.5
    """
    case = _case(truth, prediction, labels, ignore_label)
    rows: list[tuple[str, str, float]] = []
    for position, name in enumerate(labels.values(), start=1):
        lesions = count_lesions(case.truth == position, case.prediction == position, min_overlap)
        values = {
            "lesions_truth": lesions.truth,
            "lesions_detected": lesions.detected,
            "lesions_missed": lesions.missed,
            "lesions_false": lesions.false,
            "lesion_f1": lesion_f1(lesions),
        }
        rows += [(name, metric, float(value)) for metric, value in values.items()]
    return _table(rows)


class _Case(NamedTuple):
    """Positions in the labels (0: none of them), cropped to their bounding box, and the number of voxels counted."""

    truth: NDArray[np.unsignedinteger]
    prediction: NDArray[np.unsignedinteger]
    voxels: int


def _case(truth: ArrayLike, prediction: ArrayLike, labels: Mapping[int, str], ignore_label: int | None) -> _Case:
    truth, prediction = _label_map("truth", truth), _label_map("prediction", prediction)
    if truth.shape != prediction.shape:
        raise ValueError(f"prediction: expected the truth's shape {truth.shape}, received {prediction.shape}")
    _check_labels(labels, ignore_label)
    across = geometry.single_slice_axis(truth.shape)
    if across is not None:
        truth, prediction = truth.squeeze(across), prediction.squeeze(across)
    truth_positions = overlap.label_positions(truth, labels)
    prediction_positions = overlap.label_positions(prediction, labels)
    voxels = truth.size
    if ignore_label is not None:
        ignored = truth == ignore_label
        truth_positions[ignored] = 0
        prediction_positions[ignored] = 0
        voxels -= int(np.count_nonzero(ignored))
    box = geometry.bounding_box(truth_positions > 0, prediction_positions > 0)
    return _Case(np.ascontiguousarray(truth_positions[box]), np.ascontiguousarray(prediction_positions[box]), voxels)


def _table(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["label", "metric", "value"])


def _label_map(argument: str, array: ArrayLike) -> NDArray[np.integer]:
    array = np.asarray(array)
    if array.dtype.kind not in "iub":
        raise ValueError(f"{argument}: expected integer or boolean labels, received {array.dtype}")
    if array.ndim not in (2, 3):
        raise ValueError(f"{argument}: expected 2 or 3 dimensions, received shape {array.shape}")
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def _check_labels(labels: Mapping[int, str], ignore_label: int | None) -> None:
    if not labels or not all(isinstance(label, (int, np.integer)) for label in labels):
        raise ValueError(f"labels: expected a mapping of label values to names, received {labels!r}")
    names = list(labels.values())
    if len(set(names)) < len(names) or MEAN_LABEL in names:
        raise ValueError(f'labels: expected distinct names other than "{MEAN_LABEL}", received {names}')
    if ignore_label in labels:
        raise ValueError(f"labels: expected none to be ignore_label={ignore_label}, received {labels!r}")
