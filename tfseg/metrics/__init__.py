"""Scores of whole cases, in millimetres, without Keras."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tfseg import geometry
from tfseg.metrics import overlap, surface
from tfseg.metrics.summary import MEAN_LABEL, subject_values, summarise

__all__ = ["score", "subject_values", "summarise"]


def score(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    labels: Mapping[int, str],
    spacing_mm: Sequence[float] | None = None,
    tolerance_mm: float = 1.0,
    ignore_label: int | None = None,
) -> pd.DataFrame:
    """Scores one case, whole, on the scan's own grid.

    | case                           | dice, iou, precision, recall | hd, hd95, assd | nsd |
    | ------------------------------ | ---------------------------- | -------------- | --- |
    | truth and prediction empty     | NaN                          | NaN            | NaN |
    | one of them empty              | 0                            | inf            | 0   |

    Specificity and accuracy follow their formulas there. The functions of `tfseg.metrics.overlap` and
    `tfseg.metrics.surface` say what each score is.

    Args:
        truth, prediction: integer or boolean labels `[*spatial]` of one shape, 2D or 3D.
        labels: label value → name, in the table's order. Background (0) is scored only when it is named here.
        spacing_mm: distance between voxel centres along each axis; None where there is none (a picture):
            distances and the tolerance are then in pixels, and volumes NaN.
        tolerance_mm: the surface distance that nsd forgives, finite, at least 0.
        ignore_label: truth voxels of this value are not counted, and belong to no mask.

    Returns:
        Columns `label, metric, value`; per label `dice, iou, precision, recall, specificity, accuracy, hd,
        hd95, assd, nsd, volume_truth_ml, volume_prediction_ml` (volumes NaN in 2D). `attrs["unit"]` is the
        unit of distances: "mm", or "px" without a spacing.

    Raises:
        ValueError: labels that are not integer or boolean, shapes that differ or are not 2D or 3D, a spacing
            of the wrong length or not positive and finite, a negative or infinite tolerance, a label mapping
            that is empty, repeats a name, uses "mean" or holds `ignore_label`.
    """
    truth, prediction = _label_map("truth", truth), _label_map("prediction", prediction)
    if truth.shape != prediction.shape:
        raise ValueError(f"prediction: expected the truth's shape {truth.shape}, received {prediction.shape}")
    spacing = geometry.validated_spacing((1.0,) * truth.ndim if spacing_mm is None else spacing_mm, truth.ndim)
    if not 0 <= tolerance_mm < np.inf:
        raise ValueError(f"tolerance_mm: expected a finite number of at least 0, received {tolerance_mm}")
    _check_labels(labels, ignore_label)

    truth_positions = overlap.label_positions(truth, labels)
    prediction_positions = overlap.label_positions(prediction, labels)
    voxels = truth.size
    if ignore_label is not None:
        ignored = truth == ignore_label
        truth_positions[ignored] = 0
        prediction_positions[ignored] = 0
        voxels -= int(np.count_nonzero(ignored))
    box = geometry.bounding_box(truth_positions > 0, prediction_positions > 0)
    truth_positions = np.ascontiguousarray(truth_positions[box])
    prediction_positions = np.ascontiguousarray(prediction_positions[box])

    has_volume = spacing_mm is not None and truth.ndim == 3
    voxel_ml = float(np.prod(spacing)) / 1000 if has_volume else float("nan")
    rows: list[tuple[str, str, float]] = []
    counts = overlap.confusion_counts(truth_positions, prediction_positions, len(labels), voxels)
    for position, (name, count) in enumerate(zip(labels.values(), counts, strict=True), start=1):
        distances = surface.surface_distances(truth_positions == position, prediction_positions == position, spacing)
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
            "nsd": surface.nsd(distances, tolerance_mm),
            "volume_truth_ml": (count.tp + count.fn) * voxel_ml,
            "volume_prediction_ml": (count.tp + count.fp) * voxel_ml,
        }
        rows += [(name, metric, value) for metric, value in values.items()]
    table = pd.DataFrame(rows, columns=["label", "metric", "value"])
    table.attrs["unit"] = "px" if spacing_mm is None else "mm"
    return table


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
