"""Feed batches to TensorFlow ahead of the training step."""

import tensorflow as tf

from tfseg.prepared.batches import Batches

PARALLEL_BATCHES = 2  # loaded at a time; their order is kept


def as_dataset(batches: Batches, initial_epoch: int = 0) -> tf.data.Dataset:
    """Return all epochs from `initial_epoch` on as one endless dataset of images and truths."""
    image_shape, truth_shape = batches.shapes

    def planned(epoch: tf.Tensor) -> tf.data.Dataset:
        plan = tf.numpy_function(batches.plan, [epoch], tf.int64)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(plan, (None, image_shape[0], None)))

    def load(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, truths = tf.numpy_function(batches.load, [batch], (tf.float32, tf.uint8))
        return tf.ensure_shape(images, image_shape), tf.ensure_shape(truths, truth_shape)

    epochs = tf.data.Dataset.range(initial_epoch, tf.int64.max)
    dataset = epochs.flat_map(planned).map(load, num_parallel_calls=PARALLEL_BATCHES, deterministic=True)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(2)
