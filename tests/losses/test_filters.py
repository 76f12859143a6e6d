"""Filters along one axis, against SciPy's."""

import numpy as np
import pytest
from scipy import ndimage

from tfseg.losses.filters import filter_along, samples_as_channels

WEIGHTS = [0.5, -1.0, 2.0]  # not symmetric, so that their order shows


@pytest.mark.parametrize("shape", [(1, 5, 6, 3), (1, 4, 5, 6, 2), (1, 3, 1, 7, 1)])
def test_sums_of_neighbours(shape):
    values = np.random.default_rng(0).standard_normal(shape)
    for axis in range(1, len(shape) - 1):
        expected = ndimage.correlate1d(values, WEIGHTS, axis=axis, mode="constant")
        np.testing.assert_allclose(filter_along(values, axis, WEIGHTS, "same"), expected, atol=1e-12)
        if shape[axis] >= len(WEIGHTS):
            inner = np.take(expected, range(1, shape[axis] - 1), axis=axis)
            np.testing.assert_allclose(filter_along(values, axis, WEIGHTS, "valid"), inner, atol=1e-12)


def test_channels_are_sample_by_sample():
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    beside = np.asarray(samples_as_channels(values))
    assert beside.shape == (1, 3, 4, 10)
    for sample in range(2):
        np.testing.assert_array_equal(beside[0, ..., 5 * sample : 5 * sample + 5], values[sample])
