"""The table of per-case quantities: name, unit, which direction is better, and how each is written."""

from typing import Literal, NamedTuple

import numpy as np

MINUS = "−"


class Metric(NamedTuple):
    """A per-case quantity.

    `name`: as people read it; `better`: "higher", "lower", or "" if neither, in which case arms are not compared by
    it; `unit`: "mm" for distances (pixels for 2D images without a spacing), "ml", "nats", or "" if it has none;
    `digits`: decimals when written; `both_empty`: what a case with empty truth and prediction counts as in a pair in
    which the other arm has a value; `over_labels`: whether its mean over labels is reported; `of_probabilities`:
    whether it is measured on probabilities.
    """

    name: str
    better: Literal["higher", "lower", ""] = ""
    unit: Literal["mm", "ml", "nats", ""] = ""
    digits: int = 3
    both_empty: float = np.nan
    over_labels: bool = False
    of_probabilities: bool = False

    @property
    def sign(self) -> int:
        """1 if higher is better, -1 if lower is, 0 if neither."""
        return {"higher": 1, "lower": -1, "": 0}[self.better]

    @property
    def is_distance(self) -> bool:
        """Whether it is a length, which is infinite if one of two masks is empty."""
        return self.unit == "mm"

    @property
    def of_masks(self) -> bool:
        """Whether it compares two masks, and so depends on whether they are empty."""
        return not np.isnan(self.both_empty)


def _overlap(name: str, digits: int = 3) -> Metric:
    return Metric(name, "higher", digits=digits, both_empty=1.0, over_labels=True)


def _distance(name: str) -> Metric:
    return Metric(name, "lower", "mm", digits=2, both_empty=0.0, over_labels=True)


def _volume(name: str) -> Metric:
    return Metric(name, unit="ml", digits=1)


def _count(name: str) -> Metric:
    return Metric(name, digits=0, over_labels=True)


# Whose probabilities: those of the plain network, the mean over dropout passes, the plain network's after temperature
# scaling. The suffix of a metric, and the name.
PLAIN, DROPOUT, CALIBRATED = "", "_dropout", "_calibrated"
SOURCES = {PLAIN: "plain", DROPOUT: "dropout", CALIBRATED: "calibrated"}
_ERRORS_OF_PROBABILITIES = {"ece": "ECE", "ace": "ACE", "brier": "Brier score", "nll": "NLL"}


def _of_probabilities(
    name: str,
    better: Literal["higher", "lower", ""] = "",
    unit: Literal["nats", ""] = "",
    digits: int = 4,
    both_empty: float = np.nan,
) -> Metric:
    return Metric(name, better, unit, digits, both_empty, over_labels=True, of_probabilities=True)


def _said(source: str) -> str:
    return f" ({SOURCES[source]})" if source else ""


def _calibration(source: str) -> dict[str, Metric]:
    """Errors of probabilities in the whole volume, in the foreground, which may be empty, and near the border."""
    return {
        f"{key}_{place}{source}": _of_probabilities(
            f"{name} in the {place}{_said(source)}",
            "lower",
            "nats" if key == "nll" else "",
            both_empty=0.0 if place == "foreground" else np.nan,
        )
        for key, name in _ERRORS_OF_PROBABILITIES.items()
        for place in ("volume", "foreground", "band")
    }


def _uncertainty(source: str) -> dict[str, Metric]:
    metrics = {
        "entropy_mean": _of_probabilities("Mean entropy", unit="nats", digits=6),
        "entropy_sd": _of_probabilities("SD of entropy", unit="nats", digits=6),
        "probability_mean": _of_probabilities("Mean probability", digits=6),
        "probability_sd": _of_probabilities("SD of probability", digits=6),
        "uncertainty": _of_probabilities("Uncertainty per voxel", unit="nats", digits=3),
        "error_auroc": _of_probabilities("AUROC of errors in the band", "higher", digits=3),
        "error_aupr": _of_probabilities("AUPR of errors in the band", "higher", digits=3),
        "retention_dice": _of_probabilities("Retention Dice", "higher", digits=3, both_empty=1.0),
    }
    return {f"{key}{source}": metric._replace(name=f"{metric.name}{_said(source)}") for key, metric in metrics.items()}


# Of two masks, on the scan's own grid. With the suffix, on the grid that the scan was resampled to.
PREPARED = "_prepared"
_MASKS = {
    "dice": _overlap("Dice"),
    "iou": _overlap("IoU"),
    "precision": _overlap("Precision"),
    "recall": _overlap("Recall"),
    "specificity": _overlap("Specificity", digits=4),
    "accuracy": _overlap("Accuracy", digits=4),
    "hd": _distance("HD"),
    "hd95": _distance("HD95"),
    "assd": _distance("ASSD"),
    "masd": _distance("MASD"),
    "nsd": _overlap("NSD"),
}

METRICS = {
    **_MASKS,
    "global_accuracy": Metric("Global accuracy", "higher", digits=4),
    "volume_truth_ml": _volume("Volume of the truth"),
    "volume_prediction_ml": _volume("Volume of the prediction"),
    "lesions_truth": _count("Lesions"),
    "lesions_detected": _count("Detected lesions"),
    "lesions_missed": _count("Missed lesions"),
    "lesions_false": _count("False lesions"),
    "lesion_f1": _overlap("Lesion F1"),
    **{f"{name}{PREPARED}": metric._replace(name=f"{metric.name} (prepared grid)") for name, metric in _MASKS.items()},
    **_calibration(PLAIN),
    **_uncertainty(PLAIN),
    **_calibration(DROPOUT),
    **_uncertainty(DROPOUT),
    **_calibration(CALIBRATED),
}
"""Every score: name, as in tables → its description."""


def metric_of(name: str) -> Metric:
    """Look up a metric; one that the table lacks has its own name, no unit and no better direction.

    So tables and reports show it, and no test is made of it. To have it tested, add it to `METRICS`.

    >>> metric_of("hd95").better, metric_of("my_score").better
    ('lower', '')
    """
    return METRICS.get(name, Metric(name))


def heading(name: str, unit: str = "mm") -> str:
    """Name a metric with its unit, as the head of a column or an axis; `unit` is that of distances.

    >>> heading("dice"), heading("hd95", "px"), heading("volume_truth_ml")
    ('Dice', 'HD95 (px)', 'Volume of the truth (ml)')
    """
    metric = metric_of(name)
    own = unit if metric.is_distance else metric.unit
    return f"{metric.name} ({own})" if own else metric.name


def write_value(name: str, value: float, unit: str = "mm") -> str:
    """Write a value of a metric with its digits and its unit; `unit` is that of distances.

    >>> write_value("dice", 0.81234), write_value("hd95", 3.14159, "px"), write_value("volume_truth_ml", 12.34)
    ('0.812', '3.14 px', '12.3 ml')
    """
    metric = metric_of(name)
    rounded = round(value, metric.digits) + 0.0  # no minus before zero
    text = f"{rounded:.{metric.digits}f}".replace("-", MINUS)
    return f"{text} {unit if metric.is_distance else metric.unit}".rstrip()
