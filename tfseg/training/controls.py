"""Hash what a fair comparison holds equal: the initial weights and the plan of every batch."""

import hashlib
from collections.abc import Sequence

import keras
import numpy as np

from tfseg.prepared.batches import Batches


def controls(model: keras.Model, stages: Sequence[tuple[Batches, int]]) -> dict[str, str]:
    """Return the SHA-256 of the initial weights, and of the planned batches of all epochs.

    Args:
        model: the network before its first step.
        stages: batches and maximum number of epochs of each stage.
    """
    weights, order = hashlib.sha256(), hashlib.sha256("\0".join(stages[0][0].case_names).encode())
    for variable in model.get_weights():
        weights.update(np.ascontiguousarray(variable).tobytes())
    planned = [batches for batches, epochs in stages for _ in range(epochs)]
    for epoch, batches in enumerate(planned):
        order.update(np.ascontiguousarray(batches.plan(epoch), np.int64).tobytes())
    return {"initial_weights_sha256": weights.hexdigest(), "batches_sha256": order.hexdigest()}
