"""Trainings in one process leave no graphs behind."""

import gc

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.framework.func_graph import FuncGraph

from tfseg.training.fit import train
from tfseg.training.graphs import released_graphs


@tf.custom_gradient
def doubled(x):
    return 2 * x, lambda upstream: 3 * upstream


def traced():
    """A function that is traced with a written gradient."""

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = doubled(x)
        return tape.gradient(y, x)

    assert gradient(tf.constant(1.0)) == 3
    return gradient


def test_what_was_traced_inside_is_released_and_nothing_else():
    before = traced()
    with released_graphs():
        names = set(ops.gradient_registry.list())
        inside = traced()
        assert set(ops.gradient_registry.list()) > names
    assert set(ops.gradient_registry.list()) == names
    assert before(tf.constant([1.0, 2.0])).numpy().tolist() == [3, 3]  # traced anew
    assert inside(tf.constant(5.0)) == 3  # has its trace


def graphs():
    gc.collect()
    return sum(type(each) is FuncGraph for each in gc.get_objects())


def test_the_graphs_of_a_training_are_gone_after_it(prepared, split, small_config, tmp_path):
    training = small_config.training.model_copy(update={"epochs": 1})
    config = small_config.model_copy(update={"training": training})
    found = []
    for number in range(3):
        train(config, prepared, split, number, tmp_path / str(number), tf.distribute.get_strategy())
        found.append(graphs())
    assert found[1] == found[2]
