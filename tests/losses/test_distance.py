"""Distances in the graph and by the host, against SciPy's."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tfseg.losses import get
from tfseg.losses.distance import boundary_distance, graph_distance, host_distance


def reference(masks, spacing):
    """Inside and outside of each mask, one class of one sample after the other."""
    distance = np.zeros(masks.shape)
    for sample in range(len(masks)):
        for channel in range(masks.shape[-1]):
            mask = masks[sample, ..., channel]
            if mask.any() and not mask.all():
                distance[sample, ..., channel] = sum(
                    ndimage.distance_transform_edt(side, sampling=spacing) for side in (mask, ~mask)
                )
    return distance


@pytest.mark.parametrize("form", [host_distance, graph_distance, boundary_distance, tf.function(boundary_distance)])
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(2, 7, 9, 2), (1, 1, 12, 1), (2, 4, 5, 6, 1), (1, 6, 1, 3, 2)]),
    step=st.sampled_from([0.5, 1.0, 3.0]),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_distances_are_exact(form, seed, shape, step):
    rng = np.random.default_rng(seed)
    masks = rng.random(shape) < rng.choice([0.0, 0.1, 0.5, 0.97, 1.0])
    spacing = [1.0, step, 0.7][: len(shape) - 2]
    np.testing.assert_allclose(form(masks, spacing), reference(masks, spacing), rtol=1e-5)


def test_xla_takes_the_graph_form():
    masks = np.random.default_rng(0).random((2, 9, 8, 1)) < 0.3
    compiled = tf.function(lambda mask: boundary_distance(mask, [1.0, 2.0]), jit_compile=True)
    np.testing.assert_allclose(compiled(tf.constant(masks)), reference(masks, [1.0, 2.0]), rtol=1e-5)


@pytest.mark.parametrize("name", ["boundary", "hausdorff_dt"])
def test_millimetres_scale_the_loss(example, name):
    """Distances come in as d for the boundary loss, as d² for the Hausdorff loss."""
    truth, prediction, _ = example("binary3d")
    voxels = get(name, reduction=None)(truth, prediction).numpy()
    two_mm = get(name, reduction=None, spacing_mm=2)(truth, prediction).numpy()
    np.testing.assert_allclose(two_mm, voxels * (2 if name == "boundary" else 4), rtol=1e-5)


def test_the_axis_of_the_spacing_matters():
    truth, prediction = np.zeros((1, 9, 9, 1)), np.zeros((1, 9, 9, 1))
    truth[0, 4, 4] = prediction[0, 4, 4] = 1
    prediction[0, 4, 7] = 1  # three columns away from the truth's only voxel
    loss = get("boundary", spacing_mm=[1.0, 0.5], reduction=None)
    assert float(loss(truth, prediction)[0]) == pytest.approx(1.5 / 81)
