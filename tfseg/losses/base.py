"""The one convention for losses: shapes, ignored voxels, classes and reduction."""

import inspect
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from keras import ops

from tfseg.losses.checks import check_choice, check_class_weights
from tfseg.losses.inputs import Expected, check_values, fitted, holds_labels, nan_unless, split_included
from tfseg.losses.registry import Tensor
from tfseg.losses.weighted_sum import Summable

TINY = 1e-7


def power(base: Tensor, exponent: float) -> Tensor:
    """`base^exponent` of values ≥ 0, with a finite gradient: for exponents below 1 a base under 1e-7 counts as 0."""
    if exponent >= 1:
        return ops.power(ops.maximum(base, 0.0), exponent)
    return ops.where(base > TINY, ops.power(ops.maximum(base, TINY), exponent), 0.0)


def voxel_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over space, `[batch, classes]`, of `values` [batch, *spatial, classes]; 0 if all weights are 0."""
    axes = tuple(range(1, len(values.shape) - 1))
    if weights is None:
        return ops.mean(values, axis=axes)
    return ops.divide_no_nan(ops.sum(values * weights, axis=axes), ops.sum(weights, axis=axes))


def with_samples(mask: Tensor | None, included: Tensor, y_pred: Tensor) -> Tensor:
    """The mask of voxels that count, without those of samples that are not `included`, a boolean `[batch]`."""
    samples = ops.reshape(included, (-1, *[1] * (len(y_pred.shape) - 1)))
    samples = ops.broadcast_to(samples, (*ops.shape(y_pred)[:-1], 1))
    return samples if mask is None else ops.logical_and(mask, samples)


class SegmentationLoss(Summable):
    """Base class of all losses: shapes, classes, ignored voxels and configuration.

    A subclass implements `per_sample`, keeps each constructor argument in an attribute of the same name
    (`get_config` reads them back), and passes the others to its parent by keyword. Losses can be multiplied by a
    weight and added: `0.5 * Dice() + 0.5 * CrossEntropy()`.

    `y_pred` is probabilities `[batch, *spatial, classes]`, in 2D or 3D: one channel (sigmoid), several
    that sum to 1 (softmax, class 0 is the background), or independent regions (sigmoid each). `y_true` has
    the same shape, or is integer labels `[batch, *spatial]` or `[batch, *spatial, 1]`; independent regions
    take the same shape only.

    Args:
        regions: several channels are independent, overlapping regions, not classes that exclude each other.
        class_weights: one number ≥ 0 for each channel of `y_pred`, normalised to mean 1 over the classes that
            a term includes; None: all have the same weight.
        ignore_label: voxels with this value in `y_true` add no loss and no gradient. With a channel per
            class: voxels of that class or, if it is not a class, voxels whose channels do not sum to 1.
        name: the name of the loss in logs.
        reduction: how Keras reduces the values `[batch]`: "sum_over_batch_size", "sum", "mean",
            "mean_with_sample_weight" or None.
        dtype: the type of the computation, float32 or float64; smaller types become float32.

    Raises:
        ValueError: an argument is out of its range; or, when called, rank, size or class count do not match,
            or, in eager calls, `y_true` has a value that is not a label, or `y_pred` one outside [0, 1]. In a
            graph such a sample makes the loss NaN.

    Example:
        >>> import numpy as np
        >>> from tfseg.losses import Dice
        >>> labels = np.array([[[0, 1], [2, 2]]])  # [batch, h, w]
        >>> prediction = np.eye(3)[[[[0, 1], [2, 0]]]]  # [batch, h, w, classes]
        >>> Dice(reduction=None)(labels, prediction).numpy().round(3)  # of each sample
        array([0.167], dtype=float32)
    """

    parameters: ClassVar[dict[str, inspect.Parameter]]  # of the constructor, its parents' among them

    def __init__(
        self,
        *,
        regions: bool = False,
        class_weights: list[float] | None = None,
        ignore_label: int | None = None,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        if ignore_label is not None and (isinstance(ignore_label, bool) or not isinstance(ignore_label, Integral)):
            raise ValueError(f"ignore_label must be an integer or None; received {ignore_label!r}")
        self.regions = check_choice("regions", regions, (True, False))
        self.class_weights = check_class_weights(class_weights)
        self.ignore_label = None if ignore_label is None else int(ignore_label)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        parameters: dict[str, inspect.Parameter] = {}
        for parent in cls.__mro__:
            if issubclass(parent, SegmentationLoss) and "__init__" in vars(parent):
                for parameter in list(inspect.signature(parent.__init__).parameters.values())[1:]:
                    if parameter.kind is not parameter.VAR_KEYWORD:
                        parameters.setdefault(parameter.name, parameter)
        cls.parameters = parameters

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument, in the form that `from_config` reads."""
        return {argument: getattr(self, argument) for argument in self.parameters}

    @property
    def shared(self) -> dict[str, Any]:
        """The arguments that a compound loss passes to all of its terms."""
        return {name: getattr(self, name) for name in ("regions", "class_weights", "ignore_label", "dtype")}

    @property
    def pools_samples(self) -> bool:
        """Whether the value of a sample depends on the others of its batch."""
        return getattr(self, "overlap_over", "sample") == "batch"

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One value per sample, `[batch]`; see `Summable.call`."""
        y_true, included = split_included(y_true)
        is_labels = holds_labels(tuple(y_true.shape), tuple(y_pred.shape), self.regions)
        classes = y_pred.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"class_weights must have {classes} numbers, one per channel of y_pred; "
                f"received {len(self.class_weights)}"
            )
        if len(y_true.shape) < len(y_pred.shape):
            y_true = ops.expand_dims(y_true, -1)
        y_true = fitted(y_true, y_pred)
        label_count = classes if is_labels and classes > 1 else None
        one_hot = self.is_softmax(y_pred) and label_count is None
        mask = self.counted(y_true, classes if one_hot else None)
        if included is not None:
            mask = with_samples(mask, included, y_pred)
        valid_truth = check_values(y_true, mask, Expected("y_true", label_count, one_hot))
        valid_prediction = check_values(y_pred, mask, Expected("y_pred"))
        truth = y_true if label_count is None else ops.one_hot(ops.squeeze(y_true, -1), classes, dtype=self.dtype)
        if mask is None:
            losses = self.per_sample(truth, y_pred, None)
        else:  # ignored voxels are 0 in both, so that sums over voxels skip them; only means need the mask
            truth, prediction = ops.where(mask, truth, 0.0), ops.where(mask, y_pred, 0.0)
            losses = self.per_sample(truth, prediction, ops.cast(mask, self.dtype))
        return nan_unless(valid_truth, nan_unless(valid_prediction, losses))

    def per_sample(self, truth: Tensor, prediction: Tensor, mask: Tensor | None) -> Tensor:
        """The loss of each sample, `[batch]`.

        Args:
            truth: a channel per class, `[batch, *spatial, classes]` in [0, 1], 0 where ignored.
            prediction: the same shape, 0 where ignored.
            mask: 1 for voxels that count, 0 for ignored ones, `[batch, *spatial, 1]` or a channel per region;
                None if all count.
        """
        raise NotImplementedError

    def is_softmax(self, values: Tensor) -> bool:
        """Whether the channels are mutually exclusive classes, the background first."""
        return values.shape[-1] > 1 and not self.regions

    def class_mean(self, values: Tensor, *, include_background: bool = True) -> Tensor:
        """Mean over the classes of `values` [batch, classes] under `class_weights`, as [batch]."""
        first = 1 if self.is_softmax(values) and not include_background else 0
        weights = self.weights_from(first)
        return ops.mean(values[:, first:] if weights is None else values[:, first:] * weights, axis=-1)

    def weights_from(self, first: int) -> Tensor | None:
        """`class_weights` of the classes from `first` on, with mean 1; None if all have the same weight."""
        if self.class_weights is None:
            return None
        weights = np.array(self.class_weights[first:])
        if not weights.any():
            raise ValueError(
                f"class_weights must have a number above 0 for the foreground; received {self.class_weights}"
            )
        return ops.convert_to_tensor(weights / weights.mean(), dtype=self.dtype)

    def counted(self, y_true: Tensor, one_hot_classes: int | None) -> Tensor | None:
        """True for voxels that count, `[batch, *spatial, 1]` or a channel per region; None if all do."""
        if self.ignore_label is None:
            return None
        if one_hot_classes is None:
            return ops.not_equal(y_true, self.ignore_label)
        if 0 <= self.ignore_label < one_hot_classes:
            return y_true[..., self.ignore_label : self.ignore_label + 1] < 0.5
        return ops.abs(ops.sum(y_true, axis=-1, keepdims=True) - 1) < 0.5


class ForegroundLoss(SegmentationLoss):
    """A loss that excludes the background of a softmax by default.

    Args:
        include_background: include class 0 of a softmax.
        **common: as `SegmentationLoss`.

    Raises:
        ValueError: `include_background` is not a bool.
    """

    def __init__(self, *, include_background: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.include_background = check_choice("include_background", include_background, (True, False))

    def foreground_mean(self, values: Tensor) -> Tensor:
        """Mean of `values` [batch, classes] over the included classes, as `class_mean`."""
        return self.class_mean(values, include_background=self.include_background)
