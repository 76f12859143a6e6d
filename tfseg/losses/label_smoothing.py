"""Label smoothing: train towards a truth that is a little less than certain."""

from typing import Any

import keras
from keras import ops

from tfseg.losses.checks import check_number
from tfseg.losses.registry import Tensor


def smooth_labels(
    y_true: Tensor, channels: int, amount: float, regions: bool = False, ignore_label: int | None = None
) -> Tensor:
    """Smooth a truth: `y (1 - ε) + ε/K`, K the number of classes, which is 2 for one channel and for each region.

    Ignored voxels stay so: those of one channel and of regions keep `ignore_label`, those of classes are 0 in all.

    Args:
        y_true: labels `[batch, *spatial, 1]`, or 0 and 1 for each of several regions `[batch, *spatial, channels]`.
        channels: of the prediction.
        amount: ε in [0, 1).
        regions: channels are independent regions, not classes.
        ignore_label: value of ignored voxels.

    Source: Szegedy 2016, 10.1109/CVPR.2016.308; Müller 2019, arXiv:1906.02629.

    Example:
        >>> import numpy as np
        >>> from tfseg.losses.label_smoothing import smooth_labels
        >>> np.asarray(smooth_labels(np.array([[[0], [2]]]), channels=3, amount=0.3), float).round(1).tolist()
        [[[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]]
    """
    y_true = ops.convert_to_tensor(y_true)
    if channels > 1 and not regions:
        labels = ops.squeeze(y_true, -1)
        known = ops.ones_like(labels) if ignore_label is None else ops.not_equal(labels, ignore_label)
        counted = ops.expand_dims(ops.cast(known, "float32"), -1)
        return (ops.one_hot(labels, channels, dtype="float32") * (1 - amount) + amount / channels) * counted
    truth = ops.cast(y_true, "float32")
    smoothed = truth * (1 - amount) + amount / 2
    return smoothed if ignore_label is None else ops.where(ops.equal(truth, ignore_label), truth, smoothed)


class SmoothedLabels(keras.losses.Loss):
    """A loss whose truth is smoothed first, in all of its terms.

    Args:
        loss: the loss.
        amount: ε in [0, 1), as for `smooth_labels`.
        regions, ignore_label: as for `smooth_labels`.

    Raises:
        ValueError: `amount` is out of its range.
    """

    def __init__(
        self, loss: keras.losses.Loss, amount: float, regions: bool = False, ignore_label: int | None = None
    ) -> None:
        super().__init__(name=loss.name)
        self._loss, self._amount = loss, check_number("label_smoothing", amount, low=0, high=1, below=True)
        self._regions, self._ignore_label = regions, ignore_label

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> Tensor:
        """Return the loss of the smoothed truth."""
        smoothed = smooth_labels(y_true, y_pred.shape[-1], self._amount, self._regions, self._ignore_label)
        return self._loss(smoothed, y_pred, sample_weight)
