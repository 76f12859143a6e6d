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
    "nothing found": (BLOB, np.zeros(SHAPE)),
    "all found": (BLOB, np.ones(SHAPE)),
    "nearly saturated": (BLOB, np.clip(1 - BLOB, 1e-7, 1 - 1e-7)),
    "one pixel": (np.ones((2, 1, 1, 1)), np.full((2, 1, 1, 1), 0.3)),
    "one voxel": (np.ones((2, 1, 1, 1, 1)), np.zeros((2, 1, 1, 1, 1))),
    "one image": (BLOB[:1], np.zeros((1, *SHAPE[1:]))),
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


@pytest.mark.parametrize(("name", "params"), UNUSUAL)
def test_value_and_gradient_are_finite(name, params):
    for case, (truth, prediction) in INPUTS.items():
        for dtype in ("float32", "float16"):
            value, gradient = value_and_gradient(get(name, **params), truth, prediction.astype(dtype))
            assert np.isfinite(value) and np.isfinite(gradient).all(), (case, dtype)


@pytest.mark.parametrize(("name", "params"), UNUSUAL)
def test_finite_on_saturated_softmax(name, params):
    classes = np.eye(3)
    found = classes[np.arange(2 * 12 * 12).reshape(2, 12, 12) % 2]  # class 2 is absent
    nothing = np.broadcast_to(classes[0], found.shape)
    wrong = np.roll(found, 1, axis=-1)
    for truth, prediction in ((found, found), (found, wrong), (nothing, nothing), (nothing, found), (found, nothing)):
        value, gradient = value_and_gradient(get(name, **params), truth, prediction.astype("float32"))
        assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(1, 512, 512, 1), (1, 128, 128, 128, 1)])
def test_finite_in_half_precision_on_a_large_image(name, shape):
    truth = np.zeros(shape, "float16")
    truth[:, 20:100, 25:110] = 1
    nothing, one_voxel = np.zeros_like(truth), np.zeros_like(truth)
    one_voxel.flat[truth.size // 2] = 1
    pairs = [(truth, 0.9 - 0.8 * truth), (nothing, nothing), (one_voxel, nothing)]
    if len(shape) == 4:
        pairs += [(truth, truth), (truth, 1 - truth), (truth, nothing), (nothing, truth)]
    for truth, prediction in pairs:
        value, gradient = value_and_gradient(get(name), truth, prediction)
        assert value.dtype == "float32" and gradient.dtype == "float16"
        assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize(
    ("name", "params"),
    [
        *[(name, {}) for name in ("bce", "ce", "weighted_bce", "weighted_ce", "focal", "distance_penalized_ce")],
        ("top_k", {"fraction": 1}),
        ("exponential_logarithmic", {"dice_weight": 0}),
    ],
)
def test_a_voxel_wrong_for_certain_pulls_as_one_that_nearly_is(name, params, classes):
    """Of probabilities within 1e-7 of 0 or 1 the value stands still, the gradient is the one at 1e-7."""
    truth = np.zeros((1, 8, 8, classes))
    truth[..., -1] = 1
    loss = get(name, dtype="float64", **params)
    wrong = [np.concatenate([np.full((1, 8, 8, classes - 1), 0.5), np.full((1, 8, 8, 1), p)], -1) for p in (1e-7, 0)]
    (value, gradient), (beyond, its_gradient) = (value_and_gradient(loss, truth, each) for each in wrong)
    assert beyond == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(its_gradient[..., -1], gradient[..., -1], rtol=1e-6)
    assert (gradient[..., -1] < 0).all()


def test_a_gradient_beyond_half_precision_is_the_largest_it_holds():
    nothing = np.zeros((1, 64, 64, 1))
    _, gradient = value_and_gradient(get("jaccard"), nothing, nothing.astype("float16"))
    _, exact = value_and_gradient(get("jaccard"), nothing, nothing.astype("float32"))
    assert (exact > 99_000).all() and (gradient == np.finfo("float16").max).all()


@pytest.mark.parametrize("name", LOSSES)
def test_finite_without_a_voxel_that_counts(name):
    truth = np.full(SHAPE, 255.0)
    value, gradient = value_and_gradient(get(name, ignore_label=255), truth, SOFT.astype("float32"))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("overlap_over", ["sample", "batch"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_finite_difference(example, kind, name, overlap_over):
    truth, prediction, params = example(kind)
    if "overlap_over" in LOSSES[name]().get_config():
        params = {**params, "overlap_over": overlap_over}
    elif overlap_over == "batch":
        return
    loss = get(name, dtype="float64", **params)
    direction = np.random.default_rng(1).standard_normal(prediction.shape)
    step = 1e-7 * direction  # so small that errors keep their order, which the Lovász loss sorts by
    difference = (loss(truth, prediction + step) - loss(truth, prediction - step)) / 2e-7
    _, gradient = value_and_gradient(loss, truth, prediction)
    assert (gradient * direction).sum() == pytest.approx(float(difference), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_on_ignored_voxels(example, kind, name):
    truth, prediction, params = example(kind)
    ignored = np.random.default_rng(1).random((*truth.shape[:-1], 1)) < 0.3
    if name == "hausdorff_erosion":  # small errors do not survive an erosion
        wrong = np.roll(truth, 1, axis=-1) if truth.shape[-1] > 2 else 1 - truth
        prediction = 0.9 * wrong + 0.1 * prediction
    loss = get(name, ignore_label=-1, **params)
    _, gradient = value_and_gradient(loss, np.where(ignored, -1, truth), prediction)
    assert (gradient[np.broadcast_to(ignored, truth.shape)] == 0).all()
    assert np.abs(gradient).max() > 0
