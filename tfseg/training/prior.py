"""Start a network at the classes' shares of the voxels, so that its first steps need not learn them."""

import keras
import numpy as np

from tfseg.datasets.grids import Array
from tfseg.models.unet import LOGITS
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.batches import Batches
from tfseg.prepared.targets import Targets

LEAST_SHARE = 0.01  # of a class that is rarer, or in none of the batches that are looked at
SAMPLES = 64


def class_shares(batches: Batches, targets: Targets) -> Array:
    """Return the share of the voxels that belongs to each output channel, float64 `[channels]` in [0.01, 0.99].

    The shares are those of batches evenly spaced in the first epoch, as many as hold 64 samples. Ignored voxels do not
    count.

    Args:
        batches: what is trained on.
        targets: what the channels mean; the shares of a softmax sum to 1.
    """
    plan = batches.plan(0)
    steps = np.unique(np.linspace(0, len(plan) - 1, -(-SAMPLES // plan.shape[1])).astype(int))
    exclusive = targets.activation == "softmax"
    member = np.arange(targets.channels) if exclusive else 1
    members, voxels = np.zeros(targets.channels), np.zeros(targets.channels)
    for step in steps:
        _, truth = batches.load(plan[step])
        members += (truth == member).sum(axis=tuple(range(truth.ndim - 1)))
        voxels += (truth != IGNORED).sum(axis=tuple(range(truth.ndim - 1)))
    shares: Array = np.clip(members / np.maximum(voxels, 1), LEAST_SHARE, 1 - LEAST_SHARE)
    return shares / shares.sum() if exclusive else shares


def start_at_shares(model: keras.Model, shares: Array, targets: Targets) -> None:
    """Set the bias of every output so that a network of tfseg begins near the shares of the classes.

    Background fills most of a scan. From equal probabilities, the first steps raise it everywhere, through every weight
    of the last layer; the features become its measure, are zero in the foreground, and pass no gradient there. A rare
    class is then lost for good.

    Args:
        model: one of tfseg's networks.
        shares: share of each channel.
        targets: what the channels mean.

    Source: Lin 2017 (arXiv:1708.02002), section 4.1, for one class and a share of 0.01.
    """
    bias = np.log(shares) if targets.activation == "softmax" else np.log(shares / (1 - shares))
    for layer in model.layers:
        if layer.name.startswith(LOGITS):
            layer.bias.assign(bias.astype("float32"))
