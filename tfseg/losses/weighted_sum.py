"""Weighted sums of losses; a weight may change from epoch to epoch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeGuard

import keras
import numpy as np
from keras import ops

from tfseg.losses.checks import check_count, check_sequence, is_number
from tfseg.losses.registry import Tensor, registered

Weight = float | Mapping[str, float]

_RAMP = ("from", "to", "epochs")


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
            sample_weight: a factor for each sample, `[batch]` or `[batch, 1]`, or one for all.

        Raises:
            ValueError: as `call`, or `sample_weight` has another shape.
        """
        return super().__call__(y_true, _widened(y_pred, self.dtype), _per_sample(sample_weight, y_pred))

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
            in the first epoch to b in epoch n + 1 in even steps and then stays. `set_epoch` advances it.
        name: the name of the loss in logs.
        reduction: how Keras reduces the values `[batch]`.
        dtype: the type of the sum, float32 or float64; None: that of the widest term. Terms compute in their own.
        epoch: the epoch of the ramps, counted from 0; sums among the terms keep theirs.

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
        epoch: int = 0,
    ) -> None:
        self.terms = check_sequence("terms", terms)
        for term in self.terms:
            if not isinstance(term, Summable):
                raise ValueError(f"each of terms must be a loss of tfseg; received {term!r}")
        self.weights = [_checked(weight) for weight in check_sequence("weights", weights)]
        if not self.terms or len(self.terms) != len(self.weights):
            raise ValueError(
                "weights must have one number or ramp for each of one or more terms; "
                f"received {len(self.weights)} for {len(self.terms)} terms"
            )
        super().__init__(name, reduction, dtype or _widest(self.terms))
        self.epoch = check_count("epoch", epoch, low=0)
        self._now = [_variable(weight, self.epoch) for weight in self.weights]

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One value per sample, `[batch]`."""
        total = 0.0
        for now, term in zip(self._now, self.terms, strict=True):
            value = term.call(ops.cast(y_true, term.dtype), ops.cast(y_pred, term.dtype))
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
        if not _is_weight(factor):
            raise ValueError(f"a sum of losses can only be multiplied by a number of at least 0; received {factor!r}")
        weights = [_scaled(weight, factor) for weight in self.weights]
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


def ramp_value(ramp: Mapping[str, float], epoch: int) -> float:
    """The weight in an epoch, counted from 0: `from + (to - from) min(epoch / epochs, 1)`."""
    return ramp["from"] + (ramp["to"] - ramp["from"]) * min(epoch / ramp["epochs"], 1.0)


def _widened(y_pred: Tensor, dtype: str) -> Tensor:
    """A prediction of float16 in `dtype`, its gradient clipped to the range of float16; any other unchanged."""
    prediction = ops.convert_to_tensor(y_pred)
    if keras.backend.standardize_dtype(prediction.dtype) != "float16":
        return y_pred
    largest = float(np.finfo(np.float16).max)

    @ops.custom_gradient
    def wide(prediction: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return ops.cast(prediction, dtype), lambda upstream: ops.cast(ops.clip(upstream, -largest, largest), "float16")

    return wide(prediction)


def _widest(losses: Sequence[Summable]) -> str:
    return "float64" if any(loss.dtype == "float64" for loss in losses) else "float32"


def _per_sample(sample_weight: Tensor | None, y_pred: Tensor) -> Tensor | None:
    """Weights `[batch]`; a number or None is returned unchanged."""
    shape = () if sample_weight is None else tuple(np.shape(sample_weight))
    if not shape:
        return sample_weight
    (batch,) = (*np.shape(y_pred), None)[:1]
    one_each = shape[0] == batch or None in (shape[0], batch)
    if not one_each or shape[1:] not in ((), (1,), (None,)):
        raise ValueError(f"sample_weight must have the shape [batch] or [batch, 1], batch {batch}; received {shape}")
    return ops.reshape(sample_weight, ops.shape(sample_weight)[:1])


def _checked(weight: Any) -> float | dict[str, float]:
    if isinstance(weight, Mapping):
        if set(weight) == set(_RAMP) and all(map(_is_weight, weight.values())) and weight["epochs"] > 0:
            return {key: weight[key] for key in _RAMP}
    elif _is_weight(weight):
        return float(weight)
    raise ValueError(
        "a weight must be a number of at least 0, or {from: a, to: b, epochs: n} of such numbers with n above 0; "
        f"received {weight!r}"
    )


def _scaled(weight: Weight, factor: float) -> Weight:
    if isinstance(weight, Mapping):
        return {"from": factor * weight["from"], "to": factor * weight["to"], "epochs": weight["epochs"]}
    return factor * weight


def _is_weight(value: Any) -> TypeGuard[float]:
    return is_number(value) and value >= 0


def _variable(weight: float | dict[str, float], epoch: int) -> Any:
    """A ramp as a variable, so that graphs see it change; a number unchanged."""
    if not isinstance(weight, dict):
        return weight
    if keras.backend.backend() == "jax":
        raise ValueError(f"on JAX a weight must be a number, as a ramp would not change; received {weight}")
    return keras.Variable(ramp_value(weight, epoch), trainable=False)
