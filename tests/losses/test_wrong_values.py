"""Values of truth and prediction that mean nothing: errors in eager calls, NaN in graphs."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import LOSSES, get, make

SHAPE = (2, 12, 12)
UNIFORM = np.full((*SHAPE, 4), 0.25, "float32")


def marked(value, dtype="float32"):
    """Labels of 0, with a value in one voxel of the second sample."""
    labels = np.zeros(SHAPE, dtype)
    labels[1, 5, 7] = value
    return labels


LOGITS = UNIFORM.copy()
LOGITS[1] = 4 * UNIFORM[1] - 2
CASES = {
    "a label too many": (marked(4), UNIFORM, {}),
    "a negative label": (marked(-1), UNIFORM, {}),
    "no whole number": (marked(0.5), UNIFORM, {}),
    "a truth of NaN": (marked(np.nan), UNIFORM, {}),
    "a mask of 0 and 255": (marked(255), UNIFORM[..., :1], {}),
    "channels that sum to 2": (np.eye(4)[np.zeros(SHAPE, int)] + np.eye(4)[3] * marked(1)[..., None], UNIFORM, {}),
    "a voxel without a class": (np.eye(4)[np.zeros(SHAPE, int)] * (1 - marked(1)[..., None]), UNIFORM, {}),
    "regions of 255": (marked(255)[..., None] * np.ones(4), UNIFORM, {"regions": True}),
    "logits": (marked(0), LOGITS, {}),
    "logits beside ignored voxels": (marked(9), LOGITS, {"ignore_label": 9}),
    "a prediction of NaN": (marked(0), UNIFORM * np.where(marked(1)[..., None], np.nan, 1), {}),
}


def value_and_gradient(loss, truth, prediction):
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = loss(truth, prediction)
        total = tf.reduce_sum(value)
    return value, tape.gradient(total, prediction)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_wrong_values_are_nan_in_a_graph_and_errors_outside(case, compiled):
    truth, prediction, params = CASES[case]
    for name in ("dice",) if compiled else ("ce", "dice", "lovasz"):
        loss = get(name, reduction=None, **params)
        with pytest.raises(ValueError, match=r"must contain .*; received"):
            loss(truth, prediction)
        graph = tf.function(value_and_gradient, jit_compile=compiled)
        value, gradient = graph(loss, tf.constant(truth, "float32"), tf.constant(prediction, "float32"))
        assert np.isnan(value).tolist() == [False, True], name
        assert np.isnan(gradient[1]).any(), name
        assert np.isfinite(gradient[0]).all(), name


def test_every_loss_is_nan_for_a_mask_of_0_and_255():
    prediction = UNIFORM[..., :1]
    for name in LOSSES:
        loss = get(name, reduction=None)
        value = tf.function(loss)(tf.constant(marked(255)[..., None]), tf.constant(prediction))
        assert np.isnan(value).tolist() == [False, True], name
    assert np.isnan(tf.function(get("dice"))(tf.constant(marked(255)[..., None]), tf.constant(prediction)))


def test_a_sum_is_nan_if_a_term_is():
    loss = make({"sum": ["dice", {"name": "ce", "weight": 0.5}]})
    assert np.isnan(tf.function(loss)(tf.constant(marked(4)), tf.constant(UNIFORM)))
    with pytest.raises(ValueError, match=r"whole numbers from 0 to 3; received \[4.0\]"):
        loss(marked(4), UNIFORM)


def test_rounding_is_no_wrong_value():
    prediction = UNIFORM[..., :1].copy()
    prediction[0, 0, 0], prediction[0, 0, 1] = 1 + 1e-5, -1e-5
    truth = marked(1)[..., None] + np.float32(1e-5)
    for name in LOSSES:
        value, gradient = value_and_gradient(get(name), tf.constant(truth), tf.constant(prediction))
        assert np.isfinite(value) and np.isfinite(gradient).all(), name


def test_ignored_voxels_may_have_any_value():
    labels = marked(255)
    prediction = UNIFORM.copy()
    prediction[labels == 255] = np.nan
    for name in LOSSES:
        loss = get(name, ignore_label=255, reduction=None)
        value, gradient = value_and_gradient(loss, tf.constant(labels), tf.constant(prediction))
        np.testing.assert_array_equal(value, loss(labels, UNIFORM), err_msg=name)
        assert np.isfinite(gradient).all(), name
