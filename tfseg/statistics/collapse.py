"""Networks that collapsed: on one label they are far below the other networks of a comparison."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from tfseg.statistics.model import Design
from tfseg.statistics.quantities import Array
from tfseg.statistics.questions import Question

COLLAPSED_BELOW = 0.25  # of the Dice of the median network of the better arm


class Collapses(NamedTuple):
    """Collapsed networks of each arm, among those that both have; `alone` `[seeds, subjects]`: neither collapsed.

    >>> Collapses(first=3, second=0, networks=3, alone=np.zeros((1, 6), bool)).p_counts()
    0.1
    """

    first: int
    second: int
    networks: int
    alone: NDArray[np.bool_]

    def p_counts(self) -> float:
        """Return the p of Fisher's exact test: one arm collapses more often than the other."""
        counts = [[self.first, self.networks - self.first], [self.second, self.networks - self.second]]
        return round(float(scipy.stats.fisher_exact(counts).pvalue), 12)


def collapses(dice: Sequence[Question], first: str, second: str, observed: NDArray[np.bool_]) -> Collapses:
    """Find the networks of two arms that collapsed on any label.

    A network collapsed if its mean Dice is below a quarter of that of the median network of the better arm. Masks that
    no known network made are as they are.

    Args:
        dice: the question on the Dice of each label that matters.
        first, second: the arms.
        observed: `[seeds, subjects]`: which values both arms have.
    """
    fallen = np.zeros((2, *observed.shape), bool)
    for question in dice:
        means = np.stack([_network_means(question, arm, observed) for arm in (first, second)])
        if np.isnan(means).all():
            continue
        usual = max(np.nanmedian(_once(of_arm, question.folds)) for of_arm in means if not np.isnan(of_arm).all())
        fallen |= means < COLLAPSED_BELOW * usual
        fallen[[arm in question.masks for arm in (first, second)]] = False
    if not dice or not fallen.any():
        return Collapses(0, 0, 0, observed)
    folds = dice[0].folds
    first_fallen, second_fallen, networks = (
        int(_once(np.where(observed, each, np.nan), folds).sum()) for each in (*fallen, np.ones(observed.shape))
    )
    return Collapses(first_fallen, second_fallen, networks, alone=observed & ~fallen.any(axis=0))


def p_without(differences: Array, folds: NDArray[np.integer], alone: NDArray[np.bool_]) -> float:
    """Return the model's p of no difference between the networks that did not collapse, 1 if fewer than two are left.

    Args:
        differences: `[seeds, subjects]`.
        folds: `[seeds, subjects]`.
        alone: which values to use.
    """
    design = Design(alone, folds)
    if design.networks < 2 or design.subjects < 2 or np.ptp(differences[alone]) == 0:
        return 1.0
    return float(design.fit(differences[None]).p_value()[0])


def _network_means(question: Question, arm: str, observed: NDArray[np.bool_]) -> Array:
    """Return for each value `[seeds, subjects]` the mean of the values of its network; NaN if there are none."""
    values = np.where(observed, question.of_arm(arm), np.nan)
    means = np.full(values.shape, np.nan)
    for row, folds, mean in zip(values, question.folds, means, strict=True):
        for fold in np.unique(folds[~np.isnan(row)]):
            mean[folds == fold] = np.nanmean(row[folds == fold])
    return means


def _once(values: Array, folds: NDArray[np.integer]) -> Array:
    """Return one of the equal values of each network, from `[seeds, subjects]`; NaN is left out."""
    seed, subject = np.nonzero(~np.isnan(values))
    _, place = np.unique(np.stack([seed, folds[seed, subject]]), axis=1, return_index=True)
    return values[seed[place], subject[place]]
