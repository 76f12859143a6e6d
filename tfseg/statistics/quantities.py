"""The metrics on which losses are compared: their names, their best values, how they are written."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MINUS = "−"


class Metric(NamedTuple):
    """A metric's name, its best value, and the digits with which it is written."""

    name: str
    best: float
    digits: int

    @property
    def is_distance(self) -> bool:
        """Whether it is a length, and lower is better."""
        return self.best == 0

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return -1 if self.is_distance else 1


METRICS = {
    "dice": Metric("Dice", 1, 3),
    "iou": Metric("IoU", 1, 3),
    "precision": Metric("Precision", 1, 3),
    "recall": Metric("Recall", 1, 3),
    "specificity": Metric("Specificity", 1, 4),
    "accuracy": Metric("Accuracy", 1, 4),
    "nsd": Metric("NSD", 1, 3),
    "lesion_f1": Metric("Lesion F1", 1, 3),
    "hd": Metric("HD", 0, 2),
    "hd95": Metric("HD95", 0, 2),
    "assd": Metric("ASSD", 0, 2),
}


def write_value(metric: str, value: float, unit: str = "mm") -> str:
    """Write a value of a metric with its digits, and its unit where it is a distance."""
    how = METRICS[metric]
    rounded = round(value, how.digits) + 0.0  # no minus before zero
    text = f"{rounded:.{how.digits}f}".replace("-", MINUS)
    return f"{text} {unit}" if how.is_distance else text


def write_p(p: float) -> str:
    """Write a p-value: `p = 0.032`, `p < 0.001`; with more digits where 0.050 would not tell on which side it lies."""
    if p < 0.001:
        return "p < 0.001"
    digits = 2 if p >= 0.1 else 4 if round(p, 3) == 0.05 else 3
    return f"p = {p:.{digits}f}"
