"""Run a network with dropout on, drawn from given seeds, and everything else as in prediction."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfseg.core.errors import ConfigError
from tfseg.prediction.forward import load_saved_model

LEVELS = 2**16  # whether a unit is dropped is decided by 16 random bits
WHOLE_MAPS = (keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D)


@dataclass(frozen=True)
class Passes:
    """A network with dropout on, in two parts: what stands before the first dropout is the same for all passes.

    Args:
        image_shape: of an image, `(*spatial, channels)`.
        before: images `[batch, *spatial, channels]` → features, a list of tensors `[batch, ...]`.
        after: features and seeds, int32 `[batch, 2]`, → the network's output. The same seed drops the same units of an
            image, whatever else is in the batch.
    """

    image_shape: tuple[int, ...]
    before: Callable[[tf.Tensor], list[tf.Tensor]]
    after: Callable[[list[tf.Tensor], tf.Tensor], Any]

    def __call__(self, images: tf.Tensor, seeds: tf.Tensor) -> Any:
        """Return the output of one pass."""
        return self.after(self.before(images), seeds)


def has_dropout(network: keras.Model) -> bool:
    """Whether a network drops anything; dropout inside a layer with code of its own cannot be seen."""
    return any(map(_drops, _layers_of(network)))


def dropout_passes(network: keras.Model) -> Passes:
    """Return a network's passes with dropout on.

    Batch norm and the rest stay as in prediction, which `training=True` would change too. The weights are those of
    `network`. Without dropout, every pass is the prediction.

    Args:
        network: functional, from one image `[batch, *spatial, channels]`; other networks may be inside it.

    Source: Gal and Ghahramani 2016 (arXiv:1506.02142).
    """
    seeds = _Seeds()
    drops: dict[int, _SeededDropout] = {}
    fixed: dict[int, keras.KerasTensor] = {}  # features that are the same in every pass, where passes part
    drawn: set[int] = set()  # tensors that differ between passes

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        if _is_network(layer):
            return keras.models.clone_model(layer, clone_function=replaced)
        if not _drops(layer):
            return layer
        return drops.setdefault(id(layer), _SeededDropout(layer, len(drops), seeds))

    def called(layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
        tensors = [each for each in keras.tree.flatten((inputs, options)) if isinstance(each, keras.KerasTensor)]
        outputs = layer(*inputs, **options)
        if _draws(layer) or any(id(each) in drawn for each in tensors):
            fixed.update({id(each): each for each in tensors if id(each) not in drawn})
            drawn.update(map(id, keras.tree.flatten(outputs)))
        return outputs

    dropping = keras.models.clone_model(network, clone_function=replaced, call_function=called)
    image_shape = tuple(network.input_shape[1:])
    if not drawn:
        return Passes(image_shape, lambda images: [dropping(images, training=False)], lambda features, _: features[0])
    before = keras.Model(dropping.input, list(fixed.values()))
    after = keras.Model(list(fixed.values()), dropping.output)

    def second_part(features: list[tf.Tensor], seed: tf.Tensor) -> Any:
        seeds.current = seed
        try:
            return after(features, training=False)
        finally:
            seeds.current = None

    return Passes(image_shape, lambda images: keras.tree.flatten(before(images, training=False)), second_part)


def saved_model_passes(folder: Path, image_shape: tuple[int, ...]) -> Passes:
    """Load the dropout passes of an exported SavedModel, which has one part.

    Args:
        folder: the SavedModel.
        image_shape: of an image, `(*spatial, channels)`.

    Raises:
        ConfigError: if it has no signature `mc`.
        RunError: if it is damaged.
    """
    loaded = load_saved_model(folder)
    if "mc" not in loaded.signatures:
        raise ConfigError(
            f"{folder}: no signature mc, which draws dropout passes; export has it if the run's networks have dropout "
            "(model.dropout)"
        )

    def one_pass(features: list[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        return loaded.signatures["mc"](image=features[0], seed=seed)["probability"]  # `loaded` keeps the weights

    return Passes(image_shape, lambda images: [images], one_pass)


class _Seeds:
    """The seeds of the pass that is being traced; None otherwise."""

    current: tf.Tensor | None = None


class _SeededDropout(keras.layers.Layer):
    """Drop a share of the units as seeds say, and scale the others, so that the mean over passes is the input.

    `place` is the layer's number, so that layers drop other units.
    """

    def __init__(self, layer: keras.layers.Dropout, place: int, seeds: _Seeds) -> None:
        super().__init__(dtype=layer.dtype_policy)
        self._rate = min(round(layer.rate * LEVELS), LEVELS - 1) / LEVELS
        self._whole_maps, self._noise_shape = isinstance(layer, WHOLE_MAPS), layer.noise_shape
        self._place, self._seeds = place, seeds

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if self._seeds.current is None:
            return x
        shape = self._shape_of_noise(x)
        units = math.prod(shape)

        least = tf.constant(round(self._rate * LEVELS), tf.uint16)

        def draw(seed: tf.Tensor) -> tf.Tensor:
            own = seed + tf.constant([0, self._place])
            pairs = tf.random.stateless_uniform([(units + 1) // 2], own, None, None, tf.uint32, alg="philox")
            return tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[:units] >= least

        kept = tf.reshape(tf.map_fn(draw, self._seeds.current, fn_output_signature=tf.bool), [-1, *shape])
        return tf.where(kept, x, tf.zeros([], x.dtype)) * (1 / (1 - self._rate))

    def _shape_of_noise(self, x: tf.Tensor) -> list[Any]:
        """The units of an image that are dropped one by one; along an axis of length 1 they are dropped together."""
        shape = list(x.shape[1:])
        if self._whole_maps:
            shape[:-1] = [1] * (len(shape) - 1)
        elif self._noise_shape:
            shape = [given or size for given, size in zip(self._noise_shape[1:], shape, strict=True)]
        return [tf.shape(x)[axis] if size is None else size for axis, size in enumerate(shape, start=1)]


def _layers_of(network: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a network and of networks inside it."""
    for layer in network.layers:
        yield from _layers_of(layer) if _is_network(layer) else [layer]


def _is_network(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.Function | keras.Sequential)


def _drops(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Dropout) and layer.rate > 0


def _draws(layer: keras.layers.Layer) -> bool:
    within = _layers_of(layer) if _is_network(layer) else [layer]
    return any(isinstance(each, _SeededDropout) for each in within)
