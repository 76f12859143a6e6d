"""Start a network at the classes' shares of the voxels, with features in favour of every class."""

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
    """Set the last layers of a network of tfseg: biases by the shares of the classes, weights as `balanced`.

    Background fills most of a scan. From equal probabilities, the first steps raise it everywhere, through every weight
    of the last layer; the features become its measure, are zero in the foreground, and pass no gradient there. A rare
    class is then lost for good.

    Args:
        model: one of tfseg's networks.
        shares: share of each channel.
        targets: what the channels mean.

    Source: Lin 2017 (arXiv:1708.02002), section 4.1, for one class and a share of 0.01.
    """
    exclusive = targets.activation == "softmax"
    bias = np.log(shares) if exclusive else np.log(shares / (1 - shares))
    for layer in model.layers:
        if layer.name.startswith(LOGITS):
            layer.bias.assign(bias.astype("float32"))
            layer.kernel.assign(balanced(np.asarray(layer.kernel), exclusive))


def balanced(kernel: Array, exclusive: bool) -> Array:
    """Rearrange the weights of a last layer so that every class is favoured by as many features as any other.

    A feature favours the class for which its weight is the greatest, or each class of its own for which it is positive.
    After ReLU a feature is never negative, so it raises the class that it favours above all others; a class that none
    favours can be lost. If weights are drawn at random, none favours one of three classes in 12 % of networks with 8
    features, and in 0.5 % with 16.

    Args:
        kernel: `[*width, features, classes]`.
        exclusive: whether a voxel has one class: two weights of a feature change places. If not, some change sign.

    >>> balanced(np.array([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]]), exclusive=True)
    array([[3., 1., 2.],
           [5., 6., 4.]])
    >>> balanced(np.array([[-1.0, 2.0], [3.0, 4.0]]), exclusive=False)
    array([[ 1., -2.],
           [-3.,  4.]])
    """
    weights = kernel.reshape(-1, kernel.shape[-1]).copy()
    features, classes = np.indices(weights.shape)
    if exclusive:
        rows, greatest, favoured = features[:, 0], weights.argmax(axis=1), features[:, 0] % weights.shape[1]
        weights[rows, greatest], weights[rows, favoured] = weights[rows, favoured], weights[rows, greatest]
    else:
        weights = np.abs(weights) * np.where((features + classes) % 2, -1, 1).astype(weights.dtype)
    return weights.reshape(kernel.shape)
