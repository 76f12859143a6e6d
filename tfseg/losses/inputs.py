"""Checks of truth, prediction and sample weights. Wrong values are errors in eager calls and NaN in graphs."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from tfseg.losses.gradients import with_gradient
from tfseg.losses.registry import Tensor

ROUNDING = 1e-4  # by how much a probability may leave [0, 1]
SUM_ROUNDING = 1e-3  # by how much the probabilities of a voxel may leave 1 in sum


def holds_labels(truth: tuple[int | None, ...], prediction: tuple[int | None, ...], regions: bool) -> bool:
    """Whether a truth of this shape is integer labels rather than a channel per class.

    Raises:
        ValueError: the prediction is not `[batch, *spatial, classes]` in 2D or 3D, the truth does not match it, or
            the last axis of the truth is unknown and could be either.
    """
    if len(prediction) not in (4, 5) or prediction[-1] is None:
        raise ValueError(
            "y_pred must have the shape [batch, *spatial, classes] with 2 or 3 spatial axes "
            f"and a known number of classes; received {prediction}"
        )
    if 0 in prediction[1:]:
        raise ValueError(f"y_pred must have voxels and classes; received the shape {prediction}")
    forms = [prediction]
    if prediction[-1] == 1 or not regions:
        forms += [prediction[:-1], (*prediction[:-1], 1)]
    if truth[-1:] == (None,) and len({form[-1] for form in forms if len(form) == len(truth)}) > 1:
        raise ValueError(
            "the last axis of y_true must be known: 1 for labels, "
            f"{prediction[-1]} for a channel per class; received {truth}"
        )
    for form in forms:
        if len(form) == len(truth) and all(a == b or None in (a, b) for a, b in zip(form, truth, strict=True)):
            return form is not prediction
    expected = " or ".join(str(form) for form in forms)
    raise ValueError(f"y_true must have the shape {expected} to match y_pred {prediction}; received {truth}")


def fitted(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """`y_true`, of the rank of `y_pred`, with the batch size and, if unknown, the channels of `y_pred`.

    A graph then fails if they differ at run time; otherwise a single sample would be broadcast over the batch.
    """
    if None not in (y_true.shape[0], y_pred.shape[0], y_true.shape[-1]):
        return y_true
    shape = (ops.shape(y_pred)[0], *ops.shape(y_true)[1:-1], y_true.shape[-1] or y_pred.shape[-1])
    return ops.reshape(y_true, shape)


def eager_values(tensor: Tensor) -> np.ndarray | None:
    """The values of a tensor in an eager call; None while a graph is being traced."""
    try:
        return np.asarray(ops.convert_to_numpy(tensor))
    except (NotImplementedError, TypeError):  # a symbolic tensor under TensorFlow, a tracer under JAX
        return None


@dataclass(frozen=True)
class Expected:
    """The values that a truth or a prediction may have.

    Args:
        name: of the argument, in messages.
        label_count: whole numbers from 0 to `label_count` - 1; None: numbers in [0, 1].
        one_hot: the last axis sums to 1.
    """

    name: str
    label_count: int | None = None
    one_hot: bool = False

    def __str__(self) -> str:
        text = "values from 0 to 1" if self.label_count is None else f"whole numbers from 0 to {self.label_count - 1}"
        return f"{text} that sum to 1 over the classes" if self.one_hot else text

    def allows(self, values: Tensor, mask: Tensor | None) -> Tensor:
        """Whether each value is allowed, as a boolean tensor; ignored voxels may have any value."""
        high = 1 if self.label_count is None else self.label_count - 1
        allowed = ops.logical_and(values >= -ROUNDING, values <= high + ROUNDING)
        if self.label_count is not None:
            allowed = ops.logical_and(allowed, values == ops.floor(values))
        if self.one_hot:
            total = ops.sum(values, axis=-1, keepdims=True)
            allowed = ops.logical_and(allowed, ops.abs(total - 1) <= SUM_ROUNDING)
        return allowed if mask is None else ops.logical_or(allowed, ops.logical_not(mask))


def check_values(values: Tensor, mask: Tensor | None, expected: Expected) -> Tensor | None:
    """Check the values of a truth or a prediction.

    Args:
        values: `[batch, *spatial, channels]`.
        mask: True for voxels that count, broadcastable to `values`; None if all do.
        expected: the allowed values.

    Returns:
        None in an eager call; in a graph, whether all values of each sample are allowed, `[batch]`.

    Raises:
        ValueError: in an eager call, a value is not allowed.
    """
    allowed = expected.allows(values, mask)
    samples = ops.all(allowed, axis=tuple(range(1, len(values.shape))))
    known = eager_values(samples)
    if known is None:
        return samples
    if not known.all():
        wrong = np.unique(eager_values(values)[~eager_values(allowed)])  # type: ignore[index, operator]
        ignored = "" if mask is None else ", or ignore_label" if expected.name == "y_true" else " where they count"
        some = wrong.tolist() if len(wrong) <= 5 else f"{wrong.min():.6g} to {wrong.max():.6g}"
        raise ValueError(f"{expected.name} must contain {expected}{ignored}; received {some}")
    return None


def nan_unless(valid: Tensor | None, losses: Tensor) -> Tensor:
    """Losses `[batch]`; NaN, and so the gradient, for samples that are not valid. None: all are."""
    return losses if valid is None else losses * ops.cast(ops.where(valid, 1.0, float("nan")), losses.dtype)


def widened(y_pred: Tensor, dtype: str) -> Tensor:
    """A prediction as a tensor; one of float16 in `dtype`, its gradient clipped to the range of float16."""
    is_variable = hasattr(y_pred, "assign")  # it lacks what a tensor has under TensorFlow
    prediction = ops.copy(y_pred) if is_variable else ops.convert_to_tensor(y_pred)
    if keras.backend.standardize_dtype(prediction.dtype) != "float16":
        return prediction
    largest = float(np.finfo(np.float16).max)

    @with_gradient
    def wide(prediction: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return ops.cast(prediction, dtype), lambda upstream: ops.cast(ops.clip(upstream, -largest, largest), "float16")

    return wide(prediction)


def sample_weights(sample_weight: Tensor | None, y_pred: Tensor) -> Tensor | None:
    """Weights `[batch]`; a number or None is returned unchanged."""
    shape = () if sample_weight is None else tuple(np.shape(sample_weight))
    if not shape:
        return sample_weight
    (batch,) = (*np.shape(y_pred), None)[:1]
    one_each = shape[0] == batch or None in (shape[0], batch)
    if not one_each or shape[1:] not in ((), (1,), (None,)):
        raise ValueError(f"sample_weight must have the shape [batch] or [batch, 1], batch {batch}; received {shape}")
    return ops.reshape(sample_weight, ops.shape(sample_weight)[:1])


def split_included(y_true: Tensor) -> tuple[Tensor, Tensor | None]:
    """The truth, and whether each sample is included, a boolean `[batch]` or None if all are."""
    if not isinstance(y_true, tuple):
        return y_true, None
    truth, included = y_true
    return truth, ops.cast(included, "bool")
