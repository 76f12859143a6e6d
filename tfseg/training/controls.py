"""Hash what a fair comparison holds equal: the initial weights, and the plan of every batch."""

import hashlib
from collections.abc import Sequence

import keras
import numpy as np

from tfseg.prepared.batches import Batches


def controls(model: keras.Model, stages: Sequence[tuple[Batches, int]]) -> dict[str, str]:
    """Return SHA-256 of the weights that a training begins with, and of the batches of all epochs that it may have.

    Args:
        model: the network before its first step.
        stages: what each stage is trained on, and for how many epochs at most.
    """
    weights, order = hashlib.sha256(), hashlib.sha256("\0".join(stages[0][0].case_names).encode())
    for variable in model.get_weights():
        weights.update(np.ascontiguousarray(variable).tobytes())
    planned = [batches for batches, epochs in stages for _ in range(epochs)]
    for epoch, batches in enumerate(planned):
        order.update(np.ascontiguousarray(batches.plan(epoch), np.int64).tobytes())
    return {"initial_weights_sha256": weights.hexdigest(), "batches_sha256": order.hexdigest()}
