"""Weighted sums of losses, which are losses themselves; a weight may change from epoch to epoch."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Self, TypeGuard

import keras
import numpy as np
from keras import ops

from tfseg.losses.registry import Tensor, registered

Weight = float | Mapping[str, float]

_RAMP = ("from", "to", "epochs")


class Summable(keras.losses.Loss):
    """A loss that can be multiplied by a number ≥ 0 or a ramp, and added to another one.

    Args:
        name: the name of the loss in logs.
        reduction: what Keras makes of the values `[batch]`.
        dtype: the type computed in, float32 or float64; smaller types become float32.
    """

    def __init__(self, name: str | None, reduction: str | None, dtype: Any) -> None:
        computed = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
        super().__init__(name, reduction, "float64" if computed == "float64" else "float32")

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The values `[batch]`, reduced as `reduction` says.

        Args:
            y_true: the truth.
            y_pred: the prediction.
            sample_weight: a factor for each sample, `[batch]` or `[batch, 1]`, or one for all.

        Raises:
            ValueError: as `call`, or `sample_weight` has another shape.
        """
        return super().__call__(y_true, y_pred, _per_sample(sample_weight, y_pred))

    def __mul__(self, weight: Weight) -> "WeightedSum":
        return WeightedSum([self], [weight])

    __rmul__ = __mul__

    def __radd__(self, other: int) -> Self:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # what `sum` begins with

    def __add__(self, other: "Summable") -> "WeightedSum":
        if not isinstance(other, Summable):
            return NotImplemented
        first, second = (loss if isinstance(loss, WeightedSum) else loss * 1.0 for loss in (self, other))
        return WeightedSum([*first.terms, *second.terms], [*first.weights, *second.weights])


@registered
class WeightedSum(Summable):
    """A weighted sum of losses: `Σ w_i L_i`, as in `0.9 * Tversky(0.3) + 0.1 * LogHausdorffDT()`.

    Args:
        terms: losses of tfseg; their own reductions do not matter.
        weights: one for each: a number ≥ 0, or `{"from": a, "to": b, "epochs": n}`, which goes from a in the
            first epoch to b in epoch n + 1 in even steps and stays there. `set_epoch` moves it; before it is
            called a ramp stands at its beginning.
        name: the name of the loss in logs.
        reduction: what Keras makes of the values `[batch]`, as for every loss.
        dtype: the type of the sum, float32 or float64; that of the widest term where None. Terms compute in their
            own.

    Raises:
        ValueError: no terms, weights that do not go with them, a weight of another form, or a ramp on JAX, whose
            compiled steps would hold it still.
    """

    def __init__(
        self,
        terms: Sequence[keras.losses.Loss],
        weights: Sequence[Weight],
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        if not terms or len(terms) != len(weights):
            raise ValueError(
                f"weights must hold one for each of one or more terms; received {len(weights)} for {len(terms)} terms"
            )
        widest = "float64" if any(term.dtype == "float64" for term in terms) else "float32"
        super().__init__(name, reduction, dtype or widest)
        self.terms = list(terms)
        self.weights = [_checked(weight) for weight in weights]
        self._now = [_variable(weight) for weight in self.weights]

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One value per sample, `[batch]`."""
        total = 0.0
        for now, term in zip(self._now, self.terms, strict=True):
            value = term.call(ops.cast(y_true, term.dtype), ops.cast(y_pred, term.dtype))
            total = total + ops.cast(now, self.dtype) * ops.cast(value, self.dtype)
        return total

    def set_epoch(self, epoch: int) -> None:
        """Give every ramp its value in an epoch, counted from 0; those of sums among the terms too."""
        for now, weight, term in zip(self._now, self.weights, self.terms, strict=True):
            if isinstance(weight, dict):
                now.assign(ramp_value(weight, epoch))
            if isinstance(term, WeightedSum):
                term.set_epoch(epoch)

    def __mul__(self, factor: Weight) -> "WeightedSum":
        if not _is_weight(factor):
            raise ValueError(f"a sum of losses can be multiplied by a number of at least 0 alone; received {factor!r}")
        weights = [_scaled(weight, factor) for weight in self.weights]
        return WeightedSum(self.terms, weights, self.name, self.reduction, self.dtype)

    __rmul__ = __mul__

    def get_config(self) -> dict[str, Any]:
        """Terms, weights and the arguments of every loss, as `from_config` takes them."""
        terms = [keras.saving.serialize_keras_object(term) for term in self.terms]
        common = {"name": self.name, "reduction": self.reduction, "dtype": self.dtype}
        return {"terms": terms, "weights": self.weights, **common}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The sum that `get_config` describes."""
        terms = [keras.saving.deserialize_keras_object(term) for term in config["terms"]]
        return cls(**{**config, "terms": terms})


def ramp_value(ramp: Mapping[str, float], epoch: int) -> float:
    """The weight in an epoch, counted from 0: `from + (to - from) min(epoch / epochs, 1)`."""
    return ramp["from"] + (ramp["to"] - ramp["from"]) * min(epoch / ramp["epochs"], 1.0)


def _per_sample(sample_weight: Tensor | None, y_pred: Tensor) -> Tensor | None:
    """Weights `[batch]`; a number, or None, as it is."""
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
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf


def _variable(weight: float | dict[str, float]) -> Any:
    """A ramp is a variable, so that a graph sees it move."""
    if not isinstance(weight, dict):
        return weight
    if keras.backend.backend() == "jax":
        raise ValueError(f"on JAX a weight must be a number, as a ramp would not move; received {weight}")
    return keras.Variable(float(weight["from"]), trainable=False)
