"""What a fair comparison holds equal, as hashes: the initial weights, and the order in which slices are seen."""

import hashlib

import keras
import numpy as np

from tfseg.data.pipeline import SliceBatches


def controls(model: keras.Model, batches: SliceBatches, epochs: int) -> dict[str, str]:
    """Return SHA-256 of the weights that a training begins with, and of the batches of all its epochs.

    Args:
        model: the network before its first step.
        batches: what it is trained on.
        epochs: how many there will be.
    """
    weights, order = hashlib.sha256(), hashlib.sha256("\0".join(batches.case_names).encode())
    for variable in model.get_weights():
        weights.update(np.ascontiguousarray(variable).tobytes())
    for epoch in range(epochs):
        order.update(np.ascontiguousarray(batches.order(epoch), np.int64).tobytes())
    return {"initial_weights_sha256": weights.hexdigest(), "batches_sha256": order.hexdigest()}
