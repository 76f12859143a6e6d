"""Define what a study asks first, and which differences matter to it."""

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfseg.core.errors import ConfigError
from tfseg.metrics.summary import MEAN_LABEL
from tfseg.metrics.table import METRICS

KEYS = ("primary", "margins")
_COMPARED = [name for name, metric in METRICS.items() if metric.better]
_OF_LABELS = [name for name in _COMPARED if METRICS[name].over_labels]


@dataclass(frozen=True)
class Endpoint:
    """The primary question of a study, and the margins of equivalence.

    `label`: None for the mean over labels; `metric`; `margins`: metric → the smallest difference that matters, None for
    0.01 Dice. What is not `given` may be taken from the study before.
    """

    label: str | None = None
    metric: str = "dice"
    margins: Mapping[str, float] | None = None
    given: bool = False

    def question(self, labels: Sequence[str]) -> tuple[str, str]:
        """Return label and metric of the primary question.

        Args:
            labels: that are scored.

        Raises:
            ConfigError: if the label is none of them.

        >>> Endpoint(metric="hd95").question(["liver", "spleen"])
        ('mean', 'hd95')
        """
        known = [*labels, MEAN_LABEL] if len(labels) > 1 else list(labels)
        label = known[-1] if self.label in (None, MEAN_LABEL) else str(self.label)
        if label not in known:
            raise ConfigError(f"primary.label: expected one of {', '.join(known)}, received {label}")
        return label, self.metric

    def check(self, labels: Sequence[str], metrics: Collection[str]) -> None:
        """Check that a comparison will score what is asked.

        Raises:
            ConfigError: if it does not score the primary label, the primary metric, or a metric with a margin.

        >>> Endpoint(metric="ece_band").check(["liver"], ["dice", "hd95"])
        Traceback (most recent call last):
        tfseg.core.errors.ConfigError: primary.metric: expected one that is scored here, dice, hd95; received ece_band
        """
        self.question(labels)
        asked = {"primary.metric": [self.metric], "margins": list(self.margins or {})}
        for where, names in asked.items():
            if unknown := [name for name in names if name not in metrics]:
                known = ", ".join(metrics)
                raise ConfigError(f"{where}: expected one that is scored here, {known}; received {unknown[0]}")

    def joined_to(self, before: "Endpoint") -> "Endpoint":
        """Return this endpoint, completed by that of the study before."""
        asked = self if self.given else before
        margins = before.margins if self.margins is None else self.margins
        return Endpoint(asked.label, asked.metric, margins, asked.given)

    def to_parts(self) -> dict[str, Any]:
        """Return what a study file holds of it."""
        asked = {"metric": self.metric} if self.label is None else {"label": self.label, "metric": self.metric}
        parts: dict[str, Any] = {"primary": asked} if self.given else {}
        return parts if self.margins is None else parts | {"margins": dict(self.margins)}


def read_endpoint(values: Mapping[str, Any], where: str) -> Endpoint:
    """Read `primary` and `margins` of a study.

    Raises:
        ConfigError: if one has another shape, or names a metric by which arms cannot be compared, or a margin is not
            positive.

    >>> read_endpoint({"primary": {"label": "spleen", "metric": "nsd"}, "margins": {"nsd": 0.02}}, "study.yaml").margins
    {'nsd': 0.02}
    """
    asked, margins = (values.get(key) for key in KEYS)
    if asked is not None:
        if not isinstance(asked, Mapping) or not asked or asked.keys() - {"label", "metric"}:
            raise ConfigError(f"{where}: primary: expected a label and a metric, received {asked!r}")
        _check_metric(asked.get("metric", "dice"), _OF_LABELS, f"{where}: primary.metric")
    if margins is not None:
        if not isinstance(margins, Mapping):
            raise ConfigError(f"{where}: margins: expected a mapping of metrics to numbers, received {margins!r}")
        for metric, margin in margins.items():
            _check_metric(metric, _COMPARED, f"{where}: margins")
            if not isinstance(margin, int | float) or not 0 < margin < math.inf:
                raise ConfigError(f"{where}: margins.{metric}: expected a positive number, received {margin!r}")
    label = (asked or {}).get("label")
    metric = str((asked or {}).get("metric", "dice"))
    return Endpoint(None if label is None else str(label), metric, margins, given=asked is not None)


def _check_metric(metric: object, known: Sequence[str], where: str) -> None:
    if metric not in known:
        nearest = difflib.get_close_matches(str(metric), known, n=1, cutoff=0.7)
        hint = f"did you mean {nearest[0]}?" if nearest else "such as dice, nsd or hd95"
        raise ConfigError(f"{where}: expected a metric by which arms are compared, received {metric!r}; {hint}")
