"""Gradients: finite everywhere, right where finite differences can tell, none where ignored."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import LOSSES, get

SHAPE = (2, 12, 12, 1)
BLOB = np.zeros(SHAPE)
BLOB[:, 3:8, 4:9] = 1
SOFT = 0.1 + 0.8 * BLOB
INPUTS = {
    "perfect": (BLOB, BLOB),
    "worst": (BLOB, 1 - BLOB),
    "empty truth": (np.zeros(SHAPE), SOFT),
    "both empty": (np.zeros(SHAPE), np.zeros(SHAPE)),
    "both full": (np.ones(SHAPE), np.ones(SHAPE)),
    "empty prediction": (BLOB, np.zeros(SHAPE)),
    "full prediction": (BLOB, np.ones(SHAPE)),
    "nearly saturated": (BLOB, np.clip(1 - BLOB, 1e-7, 1 - 1e-7)),
    "one pixel": (np.ones((2, 1, 1, 1)), np.full((2, 1, 1, 1), 0.3)),
    "one voxel": (np.ones((2, 1, 1, 1, 1)), np.zeros((2, 1, 1, 1, 1))),
    "one image": (BLOB[:1], np.zeros((1, *SHAPE[1:]))),
}
CLASSES = np.eye(3)
STRIPES = CLASSES[np.arange(2 * 12 * 12).reshape(2, 12, 12) % 2]  # class 2 is absent
BACKGROUND = np.broadcast_to(CLASSES[0], STRIPES.shape)
SOFTMAX_INPUTS = {
    "perfect": (STRIPES, STRIPES),
    "worst": (STRIPES, np.roll(STRIPES, 1, axis=-1)),
    "both empty": (BACKGROUND, BACKGROUND),
    "empty truth": (BACKGROUND, STRIPES),
    "empty prediction": (STRIPES, BACKGROUND),
}
UNUSUAL: list[tuple[str, dict]] = [(name, {}) for name in LOSSES] + [
    ("focal", {"gamma": 0.5}),
    ("focal", {"gamma": 0, "alpha": None}),
    ("focal_tversky", {"gamma": 0.5}),
    ("focal_tversky", {"gamma": 1}),
]


def value_and_gradient(loss, truth, prediction):
    prediction = tf.constant(prediction)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = loss(truth, prediction)
    return value.numpy(), tape.gradient(value, prediction).numpy()


def check_finite(loss, inputs, dtype):
    truth, prediction = (np.concatenate(images) for images in zip(*inputs.values(), strict=True))
    results = value_and_gradient(loss, truth, prediction.astype(dtype))
    values, gradients = (np.split(result, len(inputs)) for result in results)
    for case, value, gradient in zip(inputs, values, gradients, strict=True):
        assert np.isfinite(value).all() and np.isfinite(gradient).all(), (case, dtype)


@pytest.mark.parametrize(("name", "params"), UNUSUAL)
def test_value_and_gradient_are_finite(name, params):
    """Inputs of one shape are samples of one batch."""
    loss = get(name, reduction=None, **params)
    for shape in {truth.shape for truth, _ in INPUTS.values()}:
        for dtype in ("float32", "float16"):
            check_finite(loss, {case: pair for case, pair in INPUTS.items() if pair[0].shape == shape}, dtype)
    check_finite(loss, SOFTMAX_INPUTS, "float32")


@pytest.mark.parametrize("name", LOSSES)
def test_finite_in_half_precision_on_a_large_image(name):
    for shape in ((1, 260, 260, 1), (1, 41, 41, 41, 1)):  # more voxels than float16 can count
        truth = np.zeros(shape, "float16")
        truth[:, 10:60, 25:70] = 1
        empty, one_voxel = np.zeros_like(truth), np.zeros_like(truth)
        one_voxel.flat[truth.size // 2] = 1
        pairs = {"soft": (truth, 0.9 - 0.8 * truth), "both empty": (empty, empty), "one voxel": (one_voxel, empty)}
        if len(shape) == 4:
            pairs |= {"perfect": (truth, truth), "worst": (truth, 1 - truth)}
            pairs |= {"empty prediction": (truth, empty), "empty truth": (empty, truth)}
        for case, (true, prediction) in pairs.items():
            value, gradient = value_and_gradient(get(name), true, prediction)
            assert value.dtype == "float32" and gradient.dtype == "float16", (shape, case)
            assert np.isfinite(value) and np.isfinite(gradient).all(), (shape, case)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        *[(name, {}) for name in ("bce", "ce", "weighted_bce", "weighted_ce", "focal", "distance_penalized_ce")],
        ("top_k", {"fraction": 1}),
        ("exponential_logarithmic", {"dice_weight": 0}),
    ],
)
def test_a_voxel_that_is_certainly_wrong_has_the_gradient_of_one_that_nearly_is(name, params):
    """Beyond 1e-7 from 0 or 1 the value stays, and the gradient is the one at 1e-7."""
    loss = get(name, dtype="float64", **params)
    for classes in (1, 3):
        truth = np.zeros((1, 8, 8, classes))
        truth[..., -1] = 1
        rest = np.full((1, 8, 8, classes - 1), 0.5)
        near, certain = (np.concatenate([rest, np.full((1, 8, 8, 1), p)], -1) for p in (1e-7, 0))
        value, gradient = value_and_gradient(loss, truth, near)
        beyond, its_gradient = value_and_gradient(loss, truth, certain)
        assert beyond == pytest.approx(value, rel=1e-6), classes
        np.testing.assert_allclose(its_gradient[..., -1], gradient[..., -1], rtol=1e-6, err_msg=f"{classes} classes")
        assert (gradient[..., -1] < 0).all(), classes


def test_a_gradient_beyond_half_precision_is_the_largest_it_holds():
    empty = np.zeros((1, 64, 64, 1))
    _, gradient = value_and_gradient(get("jaccard"), empty, empty.astype("float16"))
    _, exact = value_and_gradient(get("jaccard"), empty, empty.astype("float32"))
    assert (exact > 99_000).all() and (gradient == np.finfo("float16").max).all()


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_finite_difference(examples, name):
    for kind, (truth, prediction, params) in examples.items():
        direction = np.random.default_rng(1).standard_normal(prediction.shape)
        step = 1e-7 * direction  # so small that errors keep their order, which the Lovász loss sorts by
        for overlap_over in ("sample", "batch") if "overlap_over" in LOSSES[name].parameters else (None,):
            options = {"overlap_over": overlap_over} if overlap_over else {}
            loss = get(name, dtype="float64", **params, **options)
            difference = float(loss(truth, prediction + step) - loss(truth, prediction - step)) / 2e-7
            _, gradient = value_and_gradient(loss, truth, prediction)
            slope = (gradient * direction).sum()
            assert slope == pytest.approx(difference, rel=1e-5, abs=1e-7), (kind, overlap_over)


@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_on_ignored_voxels(examples, name):
    for kind, (truth, prediction, params) in examples.items():
        ignored = np.random.default_rng(1).random((*truth.shape[:-1], 1)) < 0.3
        if name == "hausdorff_erosion":  # small errors do not survive an erosion
            wrong = np.roll(truth, 1, axis=-1) if truth.shape[-1] > 2 else 1 - truth
            prediction = 0.9 * wrong + 0.1 * prediction
        loss = get(name, ignore_label=-1, **params)
        _, gradient = value_and_gradient(loss, np.where(ignored, -1, truth), prediction)
        assert (gradient[np.broadcast_to(ignored, truth.shape)] == 0).all(), kind
        assert np.abs(gradient).max() > 0, kind


def test_no_loss_and_no_gradient_if_every_voxel_is_ignored():
    truth = np.full(SHAPE, 255.0)
    for name in LOSSES:
        value, gradient = value_and_gradient(get(name, ignore_label=255), truth, SOFT.astype("float32"))
        assert value == 0, name
        assert (gradient == 0).all(), name
