"""Scores by the size of the structure: arms differ most on small ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfseg.statistics.questions import Question

SIZES = ("small", "medium", "large")
SIZE_COLUMNS = ("label", "metric", "size", "smallest", "largest", "n", "arm", "mean")


def truth_volumes_ml(scores: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the mean truth volume of every subject, over its cases: label → volume in ml by subject.

    Labels without a volume, such as those of 2D images, are left out.

    Args:
        scores: columns `subject, case, label, metric, value`.
    """
    volumes = scores[scores["metric"] == "volume_truth_ml"].dropna(subset="value")
    cases = volumes.drop_duplicates(["label", "case"])
    return {str(label): group.groupby("subject")["value"].mean() for label, group in cases.groupby("label", sort=False)}


def size_groups(sizes: pd.Series) -> pd.Series:
    """Sort subjects into thirds by size: at most the first tertile, at most the second, above.

    Args:
        sizes: by subject; those of size 0, without the structure, and NaN are left out.

    Returns:
        By subject, "small", "medium" or "large"; empty if fewer than three subjects have the structure.

    >>> size_groups(pd.Series({"a": 1.0, "b": 5.0, "c": 9.0, "d": 0.0})).to_dict()
    {'a': 'small', 'b': 'medium', 'c': 'large'}
    """
    present = sizes[sizes > 0].sort_index()
    if len(present) < len(SIZES):
        return pd.Series(dtype=object)
    groups = np.searchsorted(np.quantile(present, [1 / 3, 2 / 3]), present, side="left")
    return pd.Series([SIZES[group] for group in groups], index=present.index)


def scores_by_size(questions: Sequence[Question], sizes: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return the mean value of every arm on small, medium and large structures.

    Args:
        questions: as `tfseg.statistics.questions` reads them.
        sizes: label → size by subject, as from `truth_volumes_ml`; other labels are left out.

    Returns:
        Columns `label, metric`; `size`: "small", "medium", "large"; `smallest, largest`: the sizes in that third; `n`:
        its subjects with a value under any arm; `arm, mean`: over the subjects with a value under that arm.
    """
    rows = []
    for question in questions:
        if question.label not in sizes:
            continue
        values = question.values.dropna(how="all")
        groups = size_groups(sizes[question.label])
        for name in SIZES:
            subjects = groups.index[groups == name].intersection(values.index)
            if len(subjects) == 0:
                continue
            of_third = sizes[question.label].loc[subjects]
            for arm, mean in values.loc[subjects].mean().items():
                rows.append(
                    (question.label, question.metric, name, of_third.min(), of_third.max(), len(subjects), arm, mean)
                )
    return pd.DataFrame(rows, columns=list(SIZE_COLUMNS))
