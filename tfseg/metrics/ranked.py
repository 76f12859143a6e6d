"""Sums of weights over values in order; equal values are taken together, so that their order changes nothing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Ranked(NamedTuple):
    """Cumulative sums up to each distinct value, smallest first, from 0 on.

    `counts` `[distinct + 1]`: how many values; `sums` `[distinct + 1]`: of their weights.
    """

    counts: Array
    sums: Array


def ranked(values: NDArray, weight: NDArray) -> Ranked:
    """Sort values and sum their weights.

    Args:
        values: `[n]`, without NaN.
        weight: `[n]`, numbers or booleans.

    >>> ranked(np.array([0.5, 0.1, 0.5]), np.array([1, 0, 0]))
    Ranked(counts=array([0., 1., 3.]), sums=array([0., 0., 1.]))
    """
    order = np.argsort(values)
    ordered = values[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), values.size - 1) if values.size else np.zeros(0, int)
    return Ranked(np.append(0.0, last + 1), np.append(0.0, np.cumsum(weight[order], dtype=np.float64)[last]))


def sums_of_smallest(values: NDArray, counts: ArrayLike, weight: NDArray) -> Array:
    """Return the sum of the weights of the `count` smallest values for each count, without sorting all values.

    A count that ends among equal values takes the same share of each, and so does a fraction of a value.

    Args:
        values: `[n]`, without NaN, n at least 1.
        counts: of values, from 0 to n.
        weight: `[n]`, numbers or booleans.

    >>> sums_of_smallest(np.array([0.5, 0.1, 0.5]), [1, 2, 2.5], np.array([0, 4, 1])).tolist()
    [4.0, 4.5, 4.75]
    """
    counts = np.asarray(counts, np.float64)
    ends = np.unique(np.minimum(counts.astype(np.intp), values.size - 1))
    edges = np.unique(np.partition(values, ends)[ends])
    # Groups in order: below the first edge, equal to it, between it and the second, …
    below = np.searchsorted(edges, values)
    group = 2 * below + (edges[np.minimum(below, edges.size - 1)] == values)
    groups = 2 * edges.size + 1
    mass, sums = (np.cumsum(np.bincount(group, each, groups)) for each in (None, weight))
    return np.interp(counts, np.append(0.0, mass), np.append(0.0, sums))
