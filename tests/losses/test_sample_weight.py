"""Sample weights: one number for each sample, in the forms that Keras passes."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import LOSSES as LOSSES_BY_NAME
from tfseg.losses import Dice, get

LOSSES = {"a loss": Dice(), "a sum": Dice() + 0.5 * get("bce")}
WEIGHT = np.array([0.0, 2.0, 0.5], "float32")


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


@pytest.mark.parametrize("weight", [WEIGHT, WEIGHT[:, None], WEIGHT.tolist(), tf.constant(WEIGHT)])
def test_every_sample_has_its_weight(example, loss, weight):
    truth, prediction, _ = example("binary2d")
    each = [float(loss(truth[i : i + 1], prediction[i : i + 1])) for i in range(3)]
    assert float(loss(truth, prediction, weight)) == pytest.approx(np.dot(each, WEIGHT) / 3, rel=1e-5)
    unknown = tf.TensorSpec([None] * np.ndim(weight))
    graph = tf.function(lambda weight: loss(truth, prediction, weight), input_signature=[unknown])
    assert float(graph(weight)) == pytest.approx(np.dot(each, WEIGHT) / 3, rel=1e-5)


def test_a_number_is_the_weight_of_all_samples(example, loss):
    truth, prediction, _ = example("binary2d")
    assert float(loss(truth, prediction, 2.0)) == pytest.approx(2 * float(loss(truth, prediction)), rel=1e-6)


@pytest.mark.parametrize("shape", [(3, 13, 12, 1), (3, 13, 12), (3, 3), (1, 3), (12,), (1,)])
def test_other_shapes_are_refused(example, loss, shape):
    truth, prediction, _ = example("binary2d")
    message = r"sample_weight must have the shape \[batch\] or \[batch, 1\], batch 3; received "
    with pytest.raises(ValueError, match=message + str(shape).replace("(", r"\(").replace(")", r"\)")):
        loss(truth, prediction, np.zeros(shape, "float32"))


def test_weights_of_voxels_are_refused_in_a_graph_of_unknown_size(example, loss):
    truth, prediction, _ = example("binary2d")
    graph = tf.function(lambda weight: loss(truth, prediction, weight), input_signature=[tf.TensorSpec([None] * 4)])
    with pytest.raises(ValueError, match=r"sample_weight must have .*received \(None, None, None, None\)"):
        graph.get_concrete_function()


POOLED = [name for name, each in LOSSES_BY_NAME.items() if "overlap_over" in each.parameters]


def test_a_sample_of_weight_0_leaves_the_sums_over_the_batch(examples):
    """Value and gradient are those of the other samples, by the share that Keras's mean gives them."""
    for kind in ("softmax3d", "regions2d"):
        truth, prediction, params = examples[kind]
        for name in POOLED:
            loss = get(name, overlap_over="batch", dtype="float64", **params)
            results = []
            for part, weight in ((slice(None), [1.0, 0.0, 1.0]), ([0, 2], [1.0, 1.0])):
                shown = tf.constant(prediction[part])
                with tf.GradientTape() as tape:
                    tape.watch(shown)
                    value = loss(truth[part], shown, weight)
                results.append((float(value) * len(weight), tape.gradient(value, shown).numpy() * len(weight)))
            (value, gradient), (expected, slope) = results
            assert value == pytest.approx(expected, rel=1e-9), (kind, name)
            np.testing.assert_allclose(gradient[[0, 2]], slope, rtol=1e-7, atol=1e-12, err_msg=f"{kind} {name}")
            assert (gradient[1] == 0).all(), (kind, name)


def test_a_sample_of_weight_0_leaves_the_sums_of_a_sum_and_of_a_graph(examples):
    truth, prediction, _ = examples["softmax2d"]
    labels = truth.argmax(-1)
    labels[0, :3] = 9
    loss = get("dice", overlap_over="batch", ignore_label=9) + 0.5 * get("ce", ignore_label=9)
    expected = float(loss(labels[1:], prediction[1:])) * 2 / 3
    weight = np.array([0.0, 1.0, 1.0], "float32")
    assert float(loss(labels, prediction, weight)) == pytest.approx(expected, rel=1e-6)
    unknown = [tf.TensorSpec([None] * 3), tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None])]
    graph = tf.function(lambda *arguments: loss(*arguments), input_signature=unknown)
    assert float(graph(labels, prediction, weight)) == pytest.approx(expected, rel=1e-6)


def test_a_sample_of_weight_0_may_have_any_value_in_sums_over_the_batch():
    """As padding may; the loss of the others is finite."""
    truth, prediction = np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.3)
    truth[0, 2:5], truth[1] = 1, 255
    loss = get("dice", overlap_over="batch")
    value = float(loss(truth, prediction, [1.0, 0.0]))
    assert value == pytest.approx(float(loss(truth[:1], prediction[:1])) / 2, rel=1e-6)
