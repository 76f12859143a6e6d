"""A comparison of label maps of any origin, of whose making nothing is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from tfseg import statistics
from tfseg.comparison.means import means_and_failures
from tfseg.metrics.summary import MEAN_LABEL
from tfseg.statistics import Question

RECORD = "masks.json"
WORDING = (
    "These verdicts are about these masks and new subjects: how the methods were trained is not known, nor what "
    "another training of them would give."
)


@dataclass(frozen=True)
class MaskComparison:
    """Scores of the label maps of several methods on the same cases.

    Args:
        folder: that holds the comparison.
        dataset: name of the truths.
        scores: columns `loss, seed, fold, subject, case, label, metric, value`; `loss` is the method, seed and fold
            are NaN.
        diagonals: case → diagonal of its volume, in the unit of distances.
        unit: of distances.
        tolerance_mm: of NSD.
        sources: where each method's label maps are.
        environment: what made the comparison.
    """

    folder: Path
    dataset: str
    scores: pd.DataFrame
    diagonals: Mapping[str, float]
    unit: str
    tolerance_mm: float
    sources: Mapping[str, str]
    environment: Mapping[str, Any]

    @property
    def losses(self) -> list[str]:
        """The names of the methods."""
        return list(self.scores["loss"].unique())

    @property
    def labels(self) -> list[str]:
        """The names of the labels, in order, followed by "mean" if there are several."""
        names = list(self.scores["label"].unique())
        return [*names, MEAN_LABEL] if len(names) > 1 else names

    @cached_property
    def questions(self) -> dict[tuple[str, str], Question]:
        """Label and metric → the values of every method on the same subjects."""
        asked = statistics.questions(self.scores, self.diagonals, masks=self.losses)
        return {(each.label, each.metric): each for each in asked}

    @cached_property
    def tests(self) -> pd.DataFrame:
        """Every pair of methods on every question, with its verdict."""
        return statistics.compare_arms(list(self.questions.values()))

    @cached_property
    def means(self) -> pd.DataFrame:
        """The mean of every method on every question, and the number of its cases in which masks are empty."""
        return means_and_failures(self.scores, list(self.questions.values()))

    @property
    def primary(self) -> tuple[str, str]:
        """Label and metric of the primary question."""
        return statistics.primary_question(list(self.questions.values()))

    @property
    def headline(self) -> list[str]:
        """Return the answer to the primary question, and what it applies to."""
        return [*statistics.headline(self.tests, self.unit), WORDING]
