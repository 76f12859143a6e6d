"""Call a network as a function on NumPy batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfseg.core import files
from tfseg.core.errors import RunError
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


def load_saved_model(folder: Path) -> Any:
    """Load an exported SavedModel.

    Raises:
        RunError: if it is damaged.
    """
    try:
        with files.reading(folder):
            return tf.saved_model.load(str(folder))
    except OSError as error:  # its message continues with advice on devices
        raise RunError(f"{folder}: not a readable SavedModel: {str(error).splitlines()[0]}") from error


def saved_model_forward(folder: Path, channels: int, output_shape: tuple[int, ...]) -> Forward:
    """Return the prediction of an exported SavedModel.

    Args:
        folder: the SavedModel.
        channels: of an image.
        output_shape: of the probabilities of an image, `(*spatial, classes)`.

    Raises:
        RunError: if it is damaged, or has other inputs or outputs.
    """
    loaded = load_saved_model(folder)
    with files.reading(folder):
        signature = loaded.signatures["serving_default"]
        received = signature.structured_input_signature[1]["image"].shape[-1]
        shape = tuple(signature.structured_outputs["probability"].shape[1:])
    if (received, shape) != (channels, output_shape):
        raise RunError(
            f"{folder}: expected a SavedModel from {channels} channels to {output_shape}, as metadata.json says; found "
            f"one from {received} to {shape}"
        )

    def forward(image: Array) -> Array:
        # Asks `loaded`, so that its variables live as long as this function.
        return np.asarray(loaded.signatures["serving_default"](image=tf.constant(image))["probability"])

    return forward
