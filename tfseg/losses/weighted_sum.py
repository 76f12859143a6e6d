"""Weighted sums of losses; a weight may change from epoch to epoch."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from tfseg.losses.checks import check_count, check_sequence
from tfseg.losses.inputs import sample_weights, split_included, widened
from tfseg.losses.ramps import Weight, checked_weight, is_weight, ramp_value, scaled, variable
from tfseg.losses.registry import Tensor, registered

NOT_ADVANCED = (
    "the ramps of this loss are at their start, and were never advanced: "
    "pass tfseg.losses.RampCallback() to fit, or call set_epoch before every epoch"
)


class Summable(keras.losses.Loss):
    """A loss that can be multiplied by a number ≥ 0 or a ramp, and added to another one.

    Args:
        name: the name of the loss in logs.
        reduction: how Keras reduces the values `[batch]`.
        dtype: the type of the computation, float32 or float64; smaller types become float32.
    """

    def __init__(self, name: str | None, reduction: str | None, dtype: Any) -> None:
        computed = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
        super().__init__(name, reduction, "float64" if computed == "float64" else "float32")

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The values `[batch]`, reduced by `reduction`.

        Args:
            y_true: the truth.
            y_pred: the prediction. If it is float16, gradients beyond its range, such as 1 / smoothing, are clipped
                to its largest number.
            sample_weight: a factor for each sample, `[batch]` or `[batch, 1]`, or one for all. A sample of weight 0
                is also left out of sums over the batch.

        Raises:
            ValueError: as `call`, or `sample_weight` has another shape.
        """
        weight = sample_weights(sample_weight, y_pred)
        truth = (y_true, weight != 0) if self.pools_samples and weight is not None and np.shape(weight) else y_true
        return super().__call__(truth, widened(y_pred, self.dtype), weight)

    @property
    def pools_samples(self) -> bool:
        """Whether the value of a sample depends on the others of its batch."""
        raise NotImplementedError

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One value per sample, `[batch]`.

        Args:
            y_true: the truth; or a pair of it and `[batch]`, 0 for samples to leave out.
            y_pred: the prediction.
        """
        raise NotImplementedError

    def __mul__(self, weight: Weight) -> "WeightedSum":
        return WeightedSum([self], [weight])

    __rmul__ = __mul__

    def __radd__(self, other: int) -> Self:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # the start value of `sum`

    def __add__(self, other: "Summable") -> "WeightedSum":
        if not isinstance(other, Summable):
            return NotImplemented
        first, second = (loss if isinstance(loss, WeightedSum) else loss * 1.0 for loss in (self, other))
        weights = [*first.weights, *second.weights]
        return WeightedSum([*first.terms, *second.terms], weights, dtype=_widest([first, second]))


@registered
class WeightedSum(Summable):
    """A weighted sum of losses: `Σ w_i L_i`, as in `0.9 * Tversky(0.3) + 0.1 * LogHausdorffDT()`.

    Args:
        terms: losses of tfseg; their own reductions are not used.
        weights: one for each term: a number ≥ 0, or a ramp `{"from": a, "to": b, "epochs": n}`, which changes from a
            in the first epoch to b in epoch n + 1 in even steps and then stays. tfseg's training advances it; in
            `keras.Model.fit` a `RampCallback` does.
        name: the name of the loss in logs.
        reduction: how Keras reduces the values `[batch]`.
        dtype: the type of the sum, float32 or float64; None: that of the widest term. Terms compute in their own.
        epoch: the epoch of the ramps, counted from 0; None: the first, until `set_epoch` is called, and a call
            before that warns. Sums among the terms keep theirs.

    Raises:
        ValueError: no terms, a term that is not a loss of tfseg, a different number of weights, a weight of another
            form, a negative epoch, or a ramp on JAX, whose compiled steps would treat it as a constant.

    Example:
        >>> from tfseg.losses import Boundary, Dice
        >>> loss = Dice() + {"from": 0, "to": 0.1, "epochs": 20} * Boundary()
        >>> loss.set_epoch(10)  # weights 1 and 0.05
    """

    def __init__(
        self,
        terms: Sequence[Summable],
        weights: Sequence[Weight],
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
        epoch: int | None = None,
    ) -> None:
        self.terms = check_sequence("terms", terms)
        for term in self.terms:
            if not isinstance(term, Summable):
                raise ValueError(f"each of terms must be a loss of tfseg; received {term!r}")
        self.weights = [checked_weight(weight) for weight in check_sequence("weights", weights)]
        if not self.terms or len(self.terms) != len(self.weights):
            raise ValueError(
                "weights must have one number or ramp for each of one or more terms; "
                f"received {len(self.weights)} for {len(self.terms)} terms"
            )
        super().__init__(name, reduction, dtype or _widest(self.terms))
        self.epoch = None if epoch is None else check_count("epoch", epoch, low=0)
        self._now = [variable(weight, self.epoch or 0) for weight in self.weights]

    @property
    def pools_samples(self) -> bool:
        """Whether that of a term does."""
        return any(term.pools_samples for term in self.terms)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One value per sample, `[batch]`; see `Summable.call`."""
        if self.epoch is None and any(isinstance(weight, dict) for weight in self.weights):
            warnings.warn(NOT_ADVANCED, stacklevel=2)
        y_true, included = split_included(y_true)
        total = 0.0
        for now, term in zip(self._now, self.terms, strict=True):
            truth = ops.cast(y_true, term.dtype)
            pair = (truth, included) if included is not None and term.pools_samples else truth
            value = term.call(pair, ops.cast(y_pred, term.dtype))
            total = total + ops.cast(now, self.dtype) * ops.cast(value, self.dtype)
        return total

    def set_epoch(self, epoch: int) -> None:
        """Set every ramp, also of sums among the terms, to its value in an epoch, counted from 0."""
        self.epoch = epoch
        for now, weight, term in zip(self._now, self.weights, self.terms, strict=True):
            if isinstance(weight, dict):
                now.assign(ramp_value(weight, epoch))
            if isinstance(term, WeightedSum):
                term.set_epoch(epoch)

    def __mul__(self, factor: Weight) -> "WeightedSum":
        if not is_weight(factor):
            raise ValueError(f"a sum of losses can only be multiplied by a number of at least 0; received {factor!r}")
        weights = [scaled(weight, factor) for weight in self.weights]
        return WeightedSum(self.terms, weights, self.name, self.reduction, self.dtype, self.epoch)

    __rmul__ = __mul__

    def get_config(self) -> dict[str, Any]:
        """Terms, weights and the other arguments, in the form that `from_config` reads; with the epoch of the ramps."""
        terms = [keras.saving.serialize_keras_object(term) for term in self.terms]
        common = {"name": self.name, "reduction": self.reduction, "dtype": self.dtype, "epoch": self.epoch}
        return {"terms": terms, "weights": self.weights, **common}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the sum that `get_config` describes."""
        terms = [keras.saving.deserialize_keras_object(term) for term in config["terms"]]
        return cls(**{**config, "terms": terms})


class RampCallback(keras.callbacks.Callback):
    """Advance the ramps of weighted sums at the start of every epoch, for `keras.Model.fit`.

    Args:
        loss: the loss, or several in any structure; None: those that the model is compiled with.

    Example:
        >>> import keras, numpy as np
        >>> from tfseg.losses import Boundary, Dice, RampCallback
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 1, activation="sigmoid")])
        >>> model.compile("sgd", loss=Dice() + {"from": 0, "to": 0.1, "epochs": 2} * Boundary())
        >>> image = np.zeros((2, 8, 8, 1))
        >>> history = model.fit(image, image, epochs=2, verbose=0, callbacks=[RampCallback()])
        >>> model.loss.epoch
        1
    """

    def __init__(self, loss: Any = None) -> None:
        super().__init__()
        self._loss = loss

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the epoch of every `WeightedSum` among the losses."""
        for loss in keras.tree.flatten(self.model.loss if self._loss is None else self._loss):
            if isinstance(loss, WeightedSum):
                loss.set_epoch(epoch)


def _widest(losses: Sequence[Summable]) -> str:
    return "float64" if any(loss.dtype == "float64" for loss in losses) else "float32"
