"""The model behind every verdict: subjects and networks both vary, and it is not known how much.

A value of subject i under the network that seed s trained on fold k is

    value = effect + subject_i + network_sk + residual_si

For the difference of two arms the effect is what is asked; for one arm it is the mean. Subjects and networks are random
samples. How their standard deviations compare with the residual's is unknown, so the answer is averaged over a grid of
both ratios, weighted by how well they explain the data (restricted likelihood) and by a prior that is flat below a
half and scale-free above. `docs/verdicts.md` derives this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.special
from numpy.typing import NDArray

from tfseg.statistics.quantities import Array

_RATIOS = np.concatenate([[0.0], np.geomspace(0.05, 1000, 33)])  # SD of networks or subjects over SD of the residual
_FLAT_BELOW = 0.5
_TRAINING_SET_SHARES = {0.0: 0.5, 0.5: 0.5}  # of a network's variance → prior probability
_NEGLIGIBLE = 1e-10  # probability
_BISECTIONS = 20  # of an interval that spans at most a few hundred times the smallest scale


class Design:
    """The subject and the network that each observation belongs to; a network is a seed and a fold.

    If all seeds train on the same folds, the networks of a fold may share a part of their effect: that of the training
    set.

    Args:
        observed: boolean `[seeds, subjects]`.
        folds: `[seeds, subjects]`, the fold that tested a subject under a seed.

    >>> design = Design(np.ones((2, 4), bool), np.array([[0, 0, 1, 1], [0, 1, 0, 1]]))
    >>> design.subjects, design.networks, design.training_sets, design.fewest_seeds
    (4, 4, 4, 2)
    """

    def __init__(self, observed: NDArray[np.bool_], folds: NDArray[np.integer]) -> None:
        self.observed = observed
        seed, subject = np.nonzero(observed)
        keys, network = np.unique(np.stack([seed, folds[seed, subject]]), axis=1, return_inverse=True)
        sets = [tuple(np.flatnonzero(folds[s] == k)) for s, k in keys.T]
        self._training_set = np.array([sets.index(each) for each in sets], dtype=int)
        self._of_subject = _membership(np.unique(subject, return_inverse=True)[1])
        self._of_network = _membership(network.ravel())
        self._per_subject = self._of_subject.sum(axis=0)
        self.observations, self.subjects = self._of_subject.shape
        self.networks = len(sets)
        self.training_sets = len(set(sets))
        self.fewest_seeds = int(self._per_subject.min(initial=self.observations))

    @cached_property
    def _weights(self) -> Array:
        """The weight of each observation in the mean over subjects of their means over networks."""
        return self._of_subject @ (1 / (self.subjects * self._per_subject))

    def _subject_ratios(self) -> Array:
        """If no subject is observed twice, its effect is part of the residual."""
        return _RATIOS if (self._per_subject > 1).any() else _RATIOS[:1]

    def _network_ratios(self) -> Array:
        """The effect of a single network is part of the mean: what follows then holds for this network only."""
        return _RATIOS if self.networks > 1 else _RATIOS[:1]

    def _network_roots(self) -> Iterator[tuple[float, Array]]:
        """Yield each share of the training sets: its prior, and a root of the networks' correlation."""
        if self.training_sets == self.networks:
            yield 1.0, np.eye(self.networks)
            return
        same_set = self._training_set[:, None] == self._training_set
        for share, prior in _TRAINING_SET_SHARES.items():
            yield prior, np.linalg.cholesky((1 - share) * np.eye(self.networks) + share * same_set)

    @cached_property
    def _slices(self) -> list["_Slice"]:
        ratios, masses = self._subject_ratios(), _prior_mass(self._subject_ratios())
        return [
            self._slice(ratio, self._of_network @ root, prior * mass)
            for prior, root in self._network_roots()
            for ratio, mass in zip(ratios, masses, strict=True)
        ]

    def _slice(self, subject_ratio: float, networks: Array, prior: float) -> "_Slice":
        network_variance = self._network_ratios() ** 2
        subject_shrinkage = subject_ratio**2 / (1 + subject_ratio**2 * self._per_subject)
        whitened = networks - self._of_subject @ (subject_shrinkage[:, None] * (self._of_subject.T @ networks))
        eigenvalues, vectors = np.linalg.eigh(networks.T @ whitened)
        inflation = 1 + np.maximum(eigenvalues, 0)[:, None] * network_variance
        ones = 1 - self._of_subject @ (subject_shrinkage * self._per_subject)
        rotated = whitened @ vectors
        information = ones.sum() - rotated.sum(axis=0) ** 2 @ (network_variance / inflation)
        log_determinant = np.log1p(subject_ratio**2 * self._per_subject).sum() + np.log(inflation).sum(axis=0)
        return _Slice(
            subject_shrinkage=subject_shrinkage,
            network_shrinkage=network_variance / inflation,
            ones=ones,
            rotated=rotated,
            information=information,
            log_weight=np.log(prior * _prior_mass(self._network_ratios()))
            - (log_determinant + np.log(information)) / 2,
            variance=(self._weights**2).sum()
            + subject_ratio**2 / self.subjects
            + network_variance * ((self._weights @ networks) ** 2).sum(),
            network_variance=network_variance,
            subject_variance=np.full_like(network_variance, subject_ratio**2),
        )

    def fit(self, values: Array) -> "Fit":
        """Fit the model to one or more tables of values.

        Args:
            values: `[tables, seeds, subjects]`; only what is observed is read.

        >>> design = Design(np.ones((1, 6), bool), np.array([[0, 0, 1, 1, 2, 2]]))
        >>> fit = design.fit(np.array([[[0.01, 0.02, 0.03, 0.02, 0.01, 0.03]]]))
        >>> fit.mean.round(3).tolist(), fit.p_value().round(3).tolist()
        ([0.02], [0.033])
        """
        rows = np.asarray(values, float)[:, self.observed]
        mean = rows @ self._weights
        rows = rows - mean[:, None]  # the likelihood is the same, with less rounding
        squares, by_subject = (rows**2).sum(axis=1), (rows @ self._of_subject) ** 2
        sums = np.hstack([part.sum_of_squares(rows, squares, by_subject) for part in self._slices])
        sums = np.maximum(sums, 1e-14 * squares[:, None] + np.finfo(float).tiny)
        freedom = self.observations - 1
        log_weights = np.concatenate([part.log_weight for part in self._slices]) - freedom / 2 * np.log(sums)
        weights = scipy.special.softmax(log_weights, axis=1)
        table, place = np.nonzero(weights > _NEGLIGIBLE)
        residual = sums[table, place] / freedom

        def over_grid(name: str) -> Array:
            return residual * np.concatenate([getattr(part, name) for part in self._slices])[place]

        return Fit(
            mean=mean,
            table=table,
            weight=weights[table, place],
            variance=over_grid("variance"),
            network_variance=over_grid("network_variance"),
            subject_variance=over_grid("subject_variance"),
            residual_variance=residual,
            freedom=freedom,
        )


class _Slice(NamedTuple):
    """The part of the grid with one ratio of subjects: all ratios of networks, along the last axis.

    With the covariance `B` of subject and residual over the residual's variance, `Z` of networks, and
    `Zᵀ·B⁻¹·Z = V·Λ·Vᵀ`: `ones` is `B⁻¹·1`, `rotated` is `B⁻¹·Z·V`, and `information` `1ᵀ·H⁻¹·1` for the covariance `H`
    of everything. Variances are over the residual's.
    """

    subject_shrinkage: Array
    network_shrinkage: Array
    ones: Array
    rotated: Array
    information: Array
    log_weight: Array
    variance: Array
    network_variance: Array
    subject_variance: Array

    def sum_of_squares(self, rows: Array, squares: Array, by_subject: Array) -> Array:
        """Return the generalised residual sum of squares `[tables, ratios]` of rows `[tables, observations]`."""
        rotated = rows @ self.rotated
        projected = (rows @ self.ones)[:, None] - (rotated * self.rotated.sum(axis=0)) @ self.network_shrinkage
        without_mean = (squares - by_subject @ self.subject_shrinkage)[:, None] - rotated**2 @ self.network_shrinkage
        return without_mean - projected**2 / self.information


def _membership(group: NDArray[np.integer]) -> scipy.sparse.csr_array:
    """Return a matrix `[observations, groups]` that is 1 where an observation belongs to a group."""
    shape = group.size, int(group.max(initial=-1)) + 1
    return scipy.sparse.csr_array((np.ones(group.size), (np.arange(group.size), group)), shape=shape)


def _prior_mass(ratios: Array) -> Array:
    """Return the prior probability around each ratio, of the density `1 / (0.5 + ratio)`."""
    if ratios.size == 1:
        return np.ones(1)
    edges = np.concatenate([[0, ratios[1] / 2], np.sqrt(ratios[1:-1] * ratios[2:]), ratios[-1:]])
    return np.diff(np.log(edges + _FLAT_BELOW))


@dataclass(frozen=True)
class Fit:
    """Posterior of the effect for each table: a mixture of Student's t, symmetric around the mean.

    `mean` `[tables]`: over subjects, of their means over networks; `freedom`: degrees of freedom of each t. One entry
    per table and pair of ratios that is not negligible: `table`; `weight`: its probability; `variance`: of the mean;
    `network_variance, subject_variance, residual_variance`: of one of them.
    """

    mean: Array
    table: NDArray[np.integer]
    weight: Array
    variance: Array
    network_variance: Array
    subject_variance: Array
    residual_variance: Array
    freedom: float

    def tail(self, distance: Array, extra: float = 0.0) -> Array:
        """Return the probability `[tables]` that the effect exceeds the mean by `distance` `[tables]`.

        Args:
            distance: how far above the mean.
            extra: variances of one network to add: 1 for the effect of one new network, or `beyond_this_dataset`.
        """
        scale = np.sqrt(self.variance + extra * self.network_variance)
        return self._average(scipy.special.stdtr(self.freedom, -np.asarray(distance)[self.table] / scale))

    def p_value(self, extra: float = 0.0) -> Array:
        """Return the two-sided p `[tables]` of an effect of 0."""
        return np.minimum(2 * self.tail(np.abs(self.mean), extra), 1)

    def half_width(self, level: float = 0.95, extra: float = 0.0) -> Array:
        """Return half the width `[tables]` of the interval around the mean that holds the effect."""
        reach = scipy.special.stdtrit(self.freedom, (1 + level) / 2)
        scale = reach * np.sqrt(self.variance + extra * self.network_variance)
        low, high = np.full(self.mean.shape, np.inf), np.zeros(self.mean.shape)
        np.minimum.at(low, self.table, scale)
        np.maximum.at(high, self.table, scale)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            too_near = 2 * self.tail(middle, extra) > 1 - level
            low, high = np.where(too_near, middle, low), np.where(too_near, high, middle)
        return high

    def standard_deviations(self) -> tuple[Array, Array, Array]:
        """Return the expected standard deviations `[tables]` of subjects, of networks, and of the residual."""
        subject, network, residual = (
            self._average(np.sqrt(variance))
            for variance in (self.subject_variance, self.network_variance, self.residual_variance)
        )
        return subject, network, residual

    def _average(self, values: Array) -> Array:
        return np.bincount(self.table, self.weight * values, minlength=self.mean.size).astype(float)


def beyond_this_dataset(test_subjects: float, training_subjects: float) -> float:
    """Return the variance that one dataset hides, in variances of one network: `test / training`.

    The training sets of one dataset share most of their subjects, so networks trained on another dataset of the kind
    differ by more than these do. This is Nadeau and Bengio's term, applied to the networks' part of the variance.

    Source: Nadeau and Bengio 2003, 10.1023/A:1024068626366.

    >>> beyond_this_dataset(test_subjects=20, training_subjects=80)
    0.25
    """
    return test_subjects / training_subjects
