"""Call a network as a function on NumPy batches."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfseg.core import files
from tfseg.datasets.grids import Array

# Maps images [batch, h, w, channels] to probabilities [batch, h, w, classes].
Forward = Callable[[Array], Array]


def compiled_forward(model: keras.Model) -> Forward:
    """Compile the network's prediction on NumPy batches `[batch, h, w, channels]`, without dropout, to one graph."""
    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)]
    graph = tf.function(lambda image: model(image, training=False), input_signature=signature, autograph=False)

    def forward(image: Array) -> Array:
        return np.asarray(graph(tf.constant(image)))

    return forward


def saved_model_forward(folder: Path) -> Forward:
    """Load an exported SavedModel.

    Raises:
        RunError: if it is damaged.
    """
    with files.reading(folder):
        loaded = tf.saved_model.load(str(folder))
        signature = loaded.signatures["serving_default"]

    def forward(image: Array) -> Array:
        return np.asarray(signature(image=tf.constant(image))["probability"])

    return forward
