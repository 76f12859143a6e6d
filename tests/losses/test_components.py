"""Connected components in the graph and on the host, against SciPy's."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tfseg.losses.components import components, graph_components, host_components


@pytest.mark.parametrize("form", [host_components, graph_components, components, tf.function(components)])
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(2, 7, 9, 2), (1, 1, 12, 1), (2, 4, 5, 6, 1), (1, 6, 1, 3, 2)]),
    density=st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_components_are_those_of_scipy(form, seed, shape, density):
    masks = np.random.default_rng(seed).random(shape) < density
    numbers = np.asarray(form(masks))
    assert numbers.dtype == np.int32 and numbers.max() <= masks[0, ..., 0].size
    for sample in range(shape[0]):
        for channel in range(shape[-1]):
            expected, count = ndimage.label(masks[sample, ..., channel], np.ones([3] * (len(shape) - 2)))
            pairs = np.unique(np.stack([expected.ravel(), numbers[sample, ..., channel].ravel()]), axis=1)
            assert ((pairs[0] == 0) == (pairs[1] == 0)).all()
            assert len(set(pairs[0])) == len(set(pairs[1])) == pairs.shape[1], (sample, channel, count)


def test_a_long_path_is_one_component_under_xla():
    """A snake through 15 × 15 voxels, which takes the most steps."""
    mask = np.zeros((1, 15, 15, 1), bool)
    mask[0, ::2] = True
    mask[0, 1::4, -1] = mask[0, 3::4, 0] = True
    numbers = tf.function(components, jit_compile=True)(tf.constant(mask)).numpy()
    assert len(np.unique(numbers[mask])) == 1 and (numbers[~mask] == 0).all()
