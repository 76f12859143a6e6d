"""Tests where the fold is the unit: the corrected resampled t-test."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import ArrayLike

from tfseg.statistics.paired import Paired
from tfseg.statistics.pairwise import holm


class FoldTest(NamedTuple):
    """t and its two-sided p; NaN where there is no test, with the reason."""

    t: float
    p: float
    reason: str


def corrected_t(differences: ArrayLike, n_test: float, n_train: float) -> FoldTest:
    """Tests a mean difference over test sets whose training sets overlap (Nadeau and Bengio).

    `t = mean / √((1/J + n_test/n_train)·s²)`, J - 1 degrees of freedom, s² the variance with J - 1. The plain
    t-test has 1/J alone: it takes the folds for independent, and finds differences that are not there.

    Args:
        differences: `[J]`, one per test set.
        n_test, n_train: subjects that a network is tested and trained on.

    Source: Nadeau and Bengio 2003, 10.1023/A:1024068626366.
    """
    differences = np.round(np.asarray(differences, float), 10)
    if differences.size < 2:
        return FoldTest(np.nan, np.nan, "fewer than two test sets: there is no spread to test against")
    if np.ptp(differences) == 0:
        return FoldTest(np.nan, np.nan, "the differences of all test sets are the same")
    variance = (1 / differences.size + n_test / n_train) * differences.var(ddof=1)
    t = float(differences.mean() / np.sqrt(variance))
    return FoldTest(t, float(2 * scipy.stats.t.sf(abs(t), differences.size - 1)), "")


def fold_tests(paired: Paired, folds: pd.DataFrame, n_train: float) -> pd.DataFrame:
    """Tests every pair of losses with the test set as the unit; p-values are adjusted (Holm) over the pairs.

    Each fold of each seed gives one difference, the mean over its subjects that all runs scored; those with
    the same subjects, as where every seed trains on the same splits, are one test set and are averaged.

    Args:
        paired: one label and metric.
        folds: columns `seed, fold, subject`; every subject once per seed.
        n_train: subjects that a network is trained on, the mean over folds.

    Returns:
        Columns `first, second`; `test_sets`; `mean_difference`: first minus second; `t, p, p_holm`; `note`: why
        there is no test.
    """
    complete = paired.runs.dropna()
    known = folds[folds["subject"].isin(complete.index)].drop_duplicates(["seed", "fold", "subject"])
    tested = [(seed, frozenset(group["subject"])) for (seed, _), group in known.groupby(["seed", "fold"])]
    rows = []
    for first, second in combinations(paired.losses, 2):
        shared = set(complete[first].columns) & set(complete[second].columns)
        differences: dict[frozenset[str], list[float]] = {}
        for seed, subjects in tested:
            if seed in shared:
                runs = complete.loc[sorted(subjects)]
                differences.setdefault(subjects, []).append((runs[first, seed] - runs[second, seed]).mean())
        of_sets = [float(np.mean(of_seeds)) for of_seeds in differences.values()]
        n_test = float(np.mean([len(subjects) for subjects in differences])) if differences else np.nan
        test = corrected_t(of_sets, n_test, n_train)
        mean = float(np.mean(of_sets)) if of_sets else np.nan
        rows.append((first, second, len(of_sets), mean, test.t, test.p, np.nan, test.reason))
    columns = ["first", "second", "test_sets", "mean_difference", "t", "p", "p_holm", "note"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=holm(table["p"]))
