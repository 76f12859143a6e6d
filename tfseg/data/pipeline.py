"""From prepared cases to `tf.data`: batches of slices in an order that is a function of seed and epoch."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfseg.data.prepared import PreparedCase
from tfseg.data.volume import Array


class SliceBatches:
    """Batches of training slices, epoch after epoch.

    Every batch is full: the last one of an epoch is completed with slices from the epoch's beginning, so that
    each slice is seen at least once, replicas get equal parts and batch-wise losses always see a whole batch.
    """

    def __init__(self, cases: Sequence[PreparedCase], batch_size: int, seed: int) -> None:
        self._cases = list(cases)
        lengths = [case.label.shape[0] for case in self._cases]
        self._slices = np.array([(c, s) for c, length in enumerate(lengths) for s in range(length)])
        self._batch_size = batch_size
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch."""
        return -(-len(self._slices) // self._batch_size)

    def order(self, epoch: int) -> Array:
        """Return the slices of an epoch as (case, slice) indices `[steps, batch, 2]`."""
        shuffled = np.random.default_rng([self._seed, epoch]).permutation(self._slices)
        full = np.resize(shuffled, (self.steps_per_epoch * self._batch_size, 2))
        return full.reshape(self.steps_per_epoch, self._batch_size, 2)

    def epoch(self, epoch: int) -> Iterator[tuple[Array, Array]]:
        """Yield an epoch's batches: images float32 `[batch, h, w, channels]`, labels uint8 `[batch, h, w, 1]`."""
        for batch in self.order(epoch):
            images = np.stack([self._cases[case].image[index] for case, index in batch])
            labels = np.stack([self._cases[case].label[index] for case, index in batch])
            yield images, labels[..., np.newaxis]

    def dataset(self, initial_epoch: int = 0) -> tf.data.Dataset:
        """Return all epochs from `initial_epoch` on as one endless dataset."""
        height, width, channels = self._cases[0].image.shape[1:]
        signature = (
            tf.TensorSpec((self._batch_size, height, width, channels), tf.float32),
            tf.TensorSpec((self._batch_size, height, width, 1), tf.uint8),
        )

        def batches() -> Iterator[tuple[Array, Array]]:
            return itertools.chain.from_iterable(map(self.epoch, itertools.count(initial_epoch)))

        dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return dataset.with_options(options).prefetch(2)
