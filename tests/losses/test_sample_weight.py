"""Sample weights: one number for each sample, in the forms that Keras passes."""

import numpy as np
import pytest
import tensorflow as tf

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
