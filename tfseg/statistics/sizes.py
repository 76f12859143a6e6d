"""Scores by the size of the structure: losses differ most on the small ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfseg.statistics.paired import Paired

SIZES = ("small", "medium", "large")
SIZE_COLUMNS = ("label", "metric", "size", "smallest", "largest", "n", "loss", "mean")


def truth_volumes_ml(scores: pd.DataFrame) -> dict[str, pd.Series]:
    """The mean truth volume of every subject, over its cases: label → volume in ml by subject.

    Labels without a volume, as those of pictures, are left out; the caller may give their voxel counts instead.

    Args:
        scores: columns `subject, case, label, metric, value`.
    """
    volumes = scores[scores["metric"] == "volume_truth_ml"].dropna(subset="value")
    cases = volumes.drop_duplicates(["label", "case"])
    return {str(label): group.groupby("subject")["value"].mean() for label, group in cases.groupby("label", sort=False)}


def size_groups(sizes: pd.Series) -> pd.Series:
    """Sorts subjects into thirds by size: at most the first tertile, at most the second, above.

    Args:
        sizes: by subject; those of size 0, without the structure, and NaN are left out.

    Returns:
        By subject, "small", "medium" or "large"; empty where fewer than three subjects have the structure.
    """
    present = sizes[sizes > 0].sort_index()
    if len(present) < len(SIZES):
        return pd.Series(dtype=object)
    groups = np.searchsorted(np.quantile(present, [1 / 3, 2 / 3]), present, side="left")
    return pd.Series([SIZES[group] for group in groups], index=present.index)


def scores_by_size(paired: Sequence[Paired], sizes: Mapping[str, pd.Series]) -> pd.DataFrame:
    """The mean value of every loss on small, medium and large structures.

    Args:
        paired: as `paired_values` gives them.
        sizes: label → size by subject, as `truth_volumes_ml` gives them; other labels are left out.

    Returns:
        Columns `label, metric`; `size`: "small", "medium", "large"; `smallest, largest`: the sizes in that
        third; `n`: its subjects that have a value under every loss; `loss, mean`: over those subjects.
    """
    rows = []
    for each in paired:
        if each.label not in sizes:
            continue
        complete = each.values.dropna()
        groups = size_groups(sizes[each.label])
        for name in SIZES:
            subjects = groups.index[groups == name].intersection(complete.index)
            if len(subjects) == 0:
                continue
            found = sizes[each.label].loc[subjects]
            for loss, mean in complete.loc[subjects].mean().items():
                rows.append((each.label, each.metric, name, found.min(), found.max(), len(subjects), loss, mean))
    return pd.DataFrame(rows, columns=list(SIZE_COLUMNS))
