"""Graphs in which the sizes of truth and prediction are unknown."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import LOSSES, get


def graph(loss, rank, classes, last=None, compiled=False):
    """The loss as a graph that knows only `last`, the last axis of the truth, and the classes of the prediction."""
    shapes = [tf.TensorSpec([None] * (rank - 1) + [axis]) for axis in (last, classes)]
    return tf.function(loss, input_signature=shapes, jit_compile=compiled)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"ms_ssim"}))
def test_graph_of_unknown_size_gives_the_eager_value(example, name):
    truth, prediction, _ = example("softmax2d")
    loss = get(name, reduction=None, ignore_label=255)
    labels = truth.argmax(-1)
    labels[:, :2] = 255
    shapes = [tf.TensorSpec((None, None, None), tf.uint8), tf.TensorSpec((None, None, None, 3))]
    graph = tf.function(loss, input_signature=shapes)
    np.testing.assert_allclose(graph(labels.astype("uint8"), prediction), loss(labels, prediction), rtol=1e-5)


def test_multi_scale_ssim_must_know_the_size():
    graph = tf.function(get("ms_ssim"), input_signature=[tf.TensorSpec((None, None, None, 1))] * 2)
    with pytest.raises(ValueError, match="known size for ms_ssim"):
        graph.get_concrete_function()


@pytest.mark.parametrize("name", ["ce", "dice", "boundary"])
@pytest.mark.parametrize("kind", ["binary2d", "binary3d", "regions2d"])
def test_the_last_axis_of_the_truth_may_be_unknown_where_it_has_one_form(example, kind, name):
    truth, prediction, params = example(kind)
    loss = get(name, **params)
    unknown = graph(loss, truth.ndim, truth.shape[-1])
    assert float(unknown(truth, prediction)) == pytest.approx(float(loss(truth, prediction)), rel=1e-5)


def test_the_last_axis_of_the_truth_must_be_known_where_it_may_be_labels_or_channels():
    message = r"last axis of y_true must be known: 1 for labels, 3 for .*received \(None, None, None, None\)"
    with pytest.raises(ValueError, match=message):
        graph(get("ce"), 4, 3).get_concrete_function()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("last", [1, None])
def test_a_single_sample_of_an_unknown_number_is_not_repeated(example, last, compiled):
    truth, prediction, _ = example("binary2d")
    unknown = graph(get("dice"), 4, 1, last, compiled)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"[Rr]eshape"):
        unknown(truth[:1], prediction)


@pytest.mark.parametrize("name", ["ssim", "hybrid"])
@pytest.mark.parametrize("shape", [(2, 8, 30, 1), (2, 5, 12, 14, 1)])
def test_the_window_shrinks_to_a_side_that_a_graph_does_not_know(name, shape):
    rng = np.random.default_rng(0)
    truth, prediction = (rng.random(shape) < 0.4).astype("float32"), rng.random(shape, dtype="float32")
    unknown = graph(get(name), len(shape), 1, last=1)
    assert float(unknown(truth, prediction)) == pytest.approx(float(get(name)(truth, prediction)), rel=1e-6)
