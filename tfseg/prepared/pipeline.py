"""From prepared cases to `tf.data`: batches of slices in an order that is a function of seed and epoch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfseg.datasets.grids import Array
from tfseg.preparation.label_maps import has_foreground
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.stored import stack

PARALLEL_BATCHES = 2  # read at a time; the order stays


def with_one_channel(classes: Array) -> Array:
    """Return class indices `[...]` as `[..., 1]`."""
    return classes[..., np.newaxis]


class SliceBatches:
    """Batches of training slices, epoch after epoch.

    Every batch is full: the last one of an epoch is completed with slices from the epoch's beginning, so that
    each slice is seen at least once, replicas get equal parts and batch-wise losses always see a whole batch.

    Args:
        cases: prepared cases.
        batch_size: slices in a batch.
        seed: decides the order.
        steps: batches of an epoch; as many as hold every slice where None.
        foreground_share: this share of every batch, rounded up, is drawn from slices with foreground alone.
        encode: turns class indices `[batch, h, w]` into the truth that losses take, as `Targets.encode`.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        batch_size: int,
        seed: int,
        steps: int | None = None,
        foreground_share: float = 0.0,
        encode: Callable[[Array], Array] = with_one_channel,
    ) -> None:
        self._cases = list(cases)
        self._slices = np.array([(number, index) for number, case in enumerate(cases) for index in seen_slices(case)])
        self._batch_size = batch_size
        self._seed = seed
        self.steps_per_epoch = steps or -(-len(self._slices) // batch_size)
        self._encode = encode
        self._foreground = self._slices[:0]
        if foreground_share:
            full = [has_foreground(np.asarray(case.label))[seen_slices(case)] for case in cases]
            self._foreground = self._slices[np.concatenate(full)]
        self._chosen = int(np.ceil(foreground_share * batch_size)) if len(self._foreground) else 0

    @property
    def case_names(self) -> list[str]:
        """The cases, in the order in which `order` counts them."""
        return [case.name for case in self._cases]

    def order(self, epoch: int) -> Array:
        """Return the slices of an epoch as (case, slice) indices `[steps, batch, 2]`."""
        rng = np.random.default_rng([self._seed, epoch])
        parts = [
            np.resize(rng.permutation(slices), (self.steps_per_epoch * count, 2)).reshape(-1, count, 2)
            for slices, count in ((self._slices, self._batch_size - self._chosen), (self._foreground, self._chosen))
            if count
        ]
        return np.concatenate(parts, axis=1)

    def epoch(self, epoch: int) -> Iterator[tuple[Array, Array]]:
        """Yield an epoch's batches: images float32 `[batch, h, w, channels]`, uint8 truths as `encode` says."""
        return map(self.load, self.order(epoch))

    def load(self, batch: Array) -> tuple[Array, Array]:
        """Return the images and truths of a batch of (case, slice) indices `[batch, 2]`, as `epoch` yields them."""
        images = stack([(self._cases[case].image, index) for case, index in batch])
        labels = stack([(self._cases[case].label, index) for case, index in batch])
        return images, self._encode(labels)

    def describe(self, epoch: int, step: int) -> str:
        """Return the slices of a batch: `scan_3 of subject_1 (slices 2, 5)`, the case alone where it is the subject."""
        by_case: dict[str, list[int]] = {}
        for number, index in self.order(epoch)[step]:
            case = self._cases[number]
            name = case.name if case.subject == case.name else f"{case.name} of {case.subject}"
            by_case.setdefault(name, []).append(int(index))
        return ", ".join(f"{name} (slices {', '.join(map(str, sorted(by_case[name])))})" for name in sorted(by_case))

    def dataset(self, initial_epoch: int = 0) -> tf.data.Dataset:
        """Return all epochs from `initial_epoch` on as one endless dataset."""
        height, width, channels = self._cases[0].image.shape[1:]
        slices = (self._batch_size, height, width)
        truth_channels = self._encode(np.zeros(0, np.uint8)).shape[-1]

        def batches(epoch: tf.Tensor) -> tf.data.Dataset:
            order = tf.numpy_function(self.order, [epoch], tf.int64)
            return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(order, (None, self._batch_size, 2)))

        def load(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images, truths = tf.numpy_function(self.load, [batch], (tf.float32, tf.uint8))
            return tf.ensure_shape(images, (*slices, channels)), tf.ensure_shape(truths, (*slices, truth_channels))

        epochs = tf.data.Dataset.range(initial_epoch, tf.int64.max)
        dataset = epochs.flat_map(batches).map(load, num_parallel_calls=PARALLEL_BATCHES, deterministic=True)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return dataset.with_options(options).prefetch(2)


def seen_slices(case: PreparedCase) -> Array:
    """Return the indices of the slices that training sees."""
    return np.arange(len(case.label)) if case.training_slices is None else case.training_slices
