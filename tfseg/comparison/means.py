"""The means of arms, and how many of their cases failed."""

from collections.abc import Sequence

import pandas as pd

from tfseg import statistics
from tfseg.metrics.summary import count_outcomes
from tfseg.statistics import Question


def means_and_failures(scores: pd.DataFrame, questions: Sequence[Question]) -> pd.DataFrame:
    """Return the mean of every arm on every question, and the number of its cases in which masks are empty.

    Args:
        scores: as for `tfseg.statistics.questions`.
        questions: as it reads them.

    Returns:
        The columns of `tfseg.statistics.arm_means`; `cases`: scored, each once per seed; `both_empty, missed,
        false_alarm`: of these.
    """
    return statistics.arm_means(questions).merge(count_outcomes(scores), on=["arm", "label"], how="left")
