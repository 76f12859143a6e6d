"""Feed batches to TensorFlow ahead of the training step."""

from collections.abc import Sequence

import tensorflow as tf

from tfseg.prepared.batches import Batches
from tfseg.prepared.supervision import middles

PARALLEL_BATCHES = 2  # loaded at a time; their order is kept


def as_dataset(
    batches: Batches, initial_epoch: int = 0, sizes: Sequence[tuple[int, ...]] | None = None
) -> tf.data.Dataset:
    """Return all epochs from `initial_epoch` on as one endless dataset of images and truths.

    Args:
        batches: the batches.
        initial_epoch: the first epoch, from 0.
        sizes: spatial sizes of a network's outputs; every batch then has a tuple of truths, one of each size.
    """
    image_shape, truth_shape = batches.shapes

    def planned(epoch: tf.Tensor) -> tf.data.Dataset:
        plan = tf.numpy_function(batches.plan, [epoch], tf.int64)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(plan, (None, image_shape[0], None)))

    def load(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | tuple[tf.Tensor, ...]]:
        images, truths = tf.numpy_function(batches.load, [batch], (tf.float32, tf.uint8))
        truths = tf.ensure_shape(truths, truth_shape)
        return tf.ensure_shape(images, image_shape), truths if sizes is None else at_sizes(truths, sizes)

    epochs = tf.data.Dataset.range(initial_epoch, tf.int64.max)
    dataset = epochs.flat_map(planned).map(load, num_parallel_calls=PARALLEL_BATCHES, deterministic=True)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Nothing here is left to tune, and the thread that tunes can hold up the end of a training for a minute.
    options.autotune.enabled = False
    return dataset.with_options(options).prefetch(2)


def at_sizes(truth: tf.Tensor, sizes: Sequence[tuple[int, ...]]) -> tuple[tf.Tensor, ...]:
    """Return the truth `[batch, *spatial, channels]` at each size: the voxel in the middle of each larger one."""
    truths = []
    for size in sizes:
        coarse = truth
        for axis, (length, shorter) in enumerate(zip(truth.shape[1:-1], size, strict=True), start=1):
            coarse = coarse if length == shorter else tf.gather(coarse, middles(length, shorter), axis=axis)
        truths.append(coarse)
    return tuple(truths)
