"""Distances in the graph and on the host, against SciPy's."""

import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tfseg.losses import LOSSES, get
from tfseg.losses.cards import card
from tfseg.losses.distance import boundary_distance, graph_distance, host_distance


def reference(masks, spacing):
    """Inside and outside distances of each mask."""
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


def test_distances_in_the_graph_are_exact_far_away():
    masks = np.arange(512).reshape(1, 1, 512, 1) == 500
    expected = 0.7 * np.maximum(np.abs(np.arange(512) - 500), 1)
    np.testing.assert_allclose(graph_distance(masks, [0.7, 0.7])[0, 0, :, 0], expected, rtol=5e-7)


@pytest.mark.parametrize("step", [5000.0, 1e-4])
def test_distances_in_the_graph_are_exact_in_any_unit(step):
    masks = np.arange(300).reshape(1, 1, 300, 1) == 0
    spacing = [0.5 * step, step]
    np.testing.assert_allclose(graph_distance(masks, spacing), reference(masks, spacing), rtol=1e-6)


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


SPACING = (1.0, 0.5, 3.0)
HAUSDORFF = {"tversky_hausdorff": ("tversky",), "dice_focal_hausdorff": ("dice", "focal")}


def by_reference(name, truth, prediction):
    """The loss of each sample from SciPy's distances."""
    of_truth, of_prediction = (reference(image > 0.5, SPACING) for image in (truth, prediction))
    if name == "boundary":
        return np.mean(np.where(truth > 0.5, -of_truth, of_truth) * (prediction - truth), axis=(1, 2, 3, 4))
    if name == "distance_penalized_ce":
        right = np.where(truth > 0.5, prediction, 1 - prediction)
        return np.mean(-(1 + 0.5 / of_truth) * np.log(right), axis=(1, 2, 3, 4))
    cost = np.mean((truth - prediction) ** 2 * (of_truth**2 + of_prediction**2), axis=(1, 2, 3, 4))
    if name in HAUSDORFF:
        terms = [get(term, reduction=None, dtype="float64")(truth, prediction) for term in HAUSDORFF[name]]
        return 0.9 * np.mean(terms, axis=0) + 0.1 * np.log1p(cost)
    return np.log1p(cost) if name == "log_hausdorff_dt" else cost


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if "spacing_mm" in loss.parameters])
def test_each_axis_has_its_spacing(example, name):
    truth, prediction, _ = example("binary3d")
    loss = get(name, spacing_mm=list(SPACING), reduction=None, dtype="float64")
    np.testing.assert_allclose(loss(truth, prediction), by_reference(name, truth, prediction), rtol=1e-6)
    in_voxels = get(name, reduction=None, dtype="float64")(truth, prediction).numpy()
    assert (np.abs(in_voxels / by_reference(name, truth, prediction) - 1) > 1e-3).all()


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if "spacing_mm" in loss.parameters])
def test_ignored_voxels_lie_outside_the_structure(name):
    """The truth fills a row of eight; its only boundary is with the last voxel, which is ignored."""
    truth = np.ones((1, 1, 8, 1))
    truth[0, 0, 7] = 255
    prediction = np.full(truth.shape, 0.9)

    def value(name: str) -> float:
        return float(get(name, ignore_label=255, dtype="float64")(truth, prediction))

    away = np.arange(1, 8)
    hausdorff = np.mean(0.1**2 * (away**2 + away**2))
    by_hand = {
        "boundary": np.mean(0.1 * away),
        "hausdorff_dt": hausdorff,
        "log_hausdorff_dt": np.log1p(hausdorff),
        "distance_penalized_ce": -np.log(0.9) * np.mean(1 + 1 / away),
        "tversky_hausdorff": 0.9 * value("tversky") + 0.1 * np.log1p(hausdorff),
        "dice_focal_hausdorff": 0.45 * (value("dice") + value("focal")) + 0.1 * np.log1p(hausdorff),
    }
    assert value(name) == pytest.approx(by_hand[name], rel=1e-6)
    remark = r"[Ff]or the distances, ignored voxels are outside every \w+, so that a boundary may run along them\."
    assert re.search(remark, " ".join(card(name).notes))


def test_the_axis_of_the_spacing_matters():
    truth, prediction = np.zeros((1, 9, 9, 1)), np.zeros((1, 9, 9, 1))
    truth[0, 4, 4] = prediction[0, 4, 4] = 1
    prediction[0, 4, 7] = 1  # three columns away from the truth's only voxel
    loss = get("boundary", spacing_mm=[1.0, 0.5], reduction=None)
    assert float(loss(truth, prediction)[0]) == pytest.approx(1.5 / 81)
