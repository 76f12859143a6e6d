"""Estimate what would settle an open question: how many more seeds, or how many more subjects."""

from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from tfseg.statistics.effects import ALPHA

_MOST_SEEDS = 20  # more than there are
_MOST_TIMES = 10  # subjects, in multiples of those there are
_POWER = 0.8


class Evidence(NamedTuple):
    """Results of an open comparison: its difference, its margin (NaN: none), standard deviations, and counts.

    `networks`: 1 if masks are compared, of whose networks nothing is known; `tests`: comparisons that are still
    adjusted together.
    """

    difference: float
    margin: float
    sd_subjects: float
    sd_networks: float
    sd_residual: float
    seeds: int
    networks: int
    subjects: int
    tests: int


def what_would_settle(evidence: Evidence) -> str:
    """Say what would settle a comparison with a power of 80 %, if the difference and the spreads are as estimated.

    It is settled when one arm is better, or both are equivalent.

    >>> what_would_settle(Evidence(0.006, 0.01, 0.005, 0.01, 0.02, seeds=3, networks=15, subjects=24, tests=1))
    'about 9 more seeds would settle it'
    """
    of_masks = evidence.networks == 1
    seeds = 0
    if not of_masks:
        seeds = _first(evidence, evidence.seeds + np.arange(1, _MOST_SEEDS + 1), np.array(evidence.subjects))
    more = np.arange(1, (_MOST_TIMES - 1) * evidence.subjects + 1)
    subjects = _first(evidence, np.array(evidence.seeds), evidence.subjects + more)
    parts = []
    if seeds:
        parts.append(f"{seeds} more {'seed' if seeds == 1 else 'seeds'}")
    if subjects:
        parts.append(f"{_rounded_up(subjects)} more subjects")
    if not parts and of_masks:
        return f"{_MOST_TIMES} times the subjects would not settle it"
    if not parts:
        return f"neither {_MOST_SEEDS} more seeds nor {_MOST_TIMES} times the subjects would settle it"
    return f"about {', or '.join(parts)}{',' if len(parts) == 2 else ''} would settle it"


def _first(evidence: Evidence, seeds: NDArray[np.integer], subjects: NDArray[np.integer]) -> int:
    """Return how many more of what varies settle it, 0 if none of these numbers does."""
    networks = seeds * evidence.networks / evidence.seeds
    variance = (
        evidence.sd_networks**2 / networks
        + evidence.sd_subjects**2 / subjects
        + evidence.sd_residual**2 / (seeds * subjects)
    )
    freedom = (subjects if evidence.networks == 1 else np.minimum(networks, subjects)) - 1
    level, size = ALPHA / evidence.tests, abs(evidence.difference)
    better = scipy.stats.t.isf(level / 2, freedom) + scipy.stats.norm.ppf(_POWER)
    equivalent = scipy.stats.t.isf(level, freedom) + scipy.stats.norm.ppf((1 + _POWER) / 2)
    settled = (size >= better * np.sqrt(variance)) | (evidence.margin - size >= equivalent * np.sqrt(variance))
    return int(np.argmax(settled)) + 1 if settled.any() else 0


def _rounded_up(subjects: int) -> int:
    step = 1 if subjects < 20 else 5 if subjects < 100 else 10 if subjects < 500 else 100
    return -(-subjects // step) * step
