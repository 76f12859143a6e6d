"""Run a network with dropout on, drawn from given seeds, and everything else as in prediction."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def has_dropout(network: keras.Model) -> bool:
    """Whether a network, or one inside it, drops anything."""
    layers = [*network.layers, *(layer for each in network.layers for layer in getattr(each, "layers", ()))]
    return any(isinstance(layer, keras.layers.Dropout) and layer.rate > 0 for layer in layers)


def dropout_pass(network: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], Any]:
    """Return a function of images and seeds, int32 `[batch, 2]`: the network's output with dropout on.

    Batch norm and the rest stay as in prediction, which `training=True` would change too. The same seed drops the same
    activations of an image, whatever else is in the batch. The weights are those of `network`.

    Args:
        network: functional, from one image `[batch, *spatial, channels]`; other networks may be inside it.
    """
    seeds = _Seeds()
    drops: list[_SeededDropout] = []

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, keras.layers.Dropout):
            return layer
        drops.append(_SeededDropout(layer.rate, len(drops), seeds))
        return drops[-1]

    dropping = keras.models.clone_model(network, clone_function=replaced, recursive=True)

    def call(image: tf.Tensor, seed: tf.Tensor) -> Any:
        seeds.current = seed
        try:
            return dropping(image, training=False)
        finally:
            seeds.current = None

    return call


class _Seeds:
    """The seeds of the pass that is being traced; None otherwise."""

    current: tf.Tensor | None = None


class _SeededDropout(keras.layers.Layer):
    """Drop a share of the activations as seeds say; `place` is the layer's number, so that layers drop others."""

    def __init__(self, rate: float, place: int, seeds: _Seeds) -> None:
        super().__init__()
        self._rate, self._place, self._seeds = rate, place, seeds

    def call(self, x: tf.Tensor) -> tf.Tensor:
        seed = self._seeds.current
        if seed is None or not self._rate:
            return x
        shape = tf.shape(x)[1:]

        def draw(own: tf.Tensor) -> tf.Tensor:
            return tf.random.stateless_uniform(shape, own + tf.constant([0, self._place]))

        drawn = tf.map_fn(draw, seed, fn_output_signature=tf.float32)
        return x * tf.cast(drawn >= self._rate, x.dtype) / (1 - self._rate)
