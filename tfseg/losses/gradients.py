"""Functions with a written gradient, on every backend of Keras."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

from tfseg.losses.registry import Tensor


def with_gradient(function: Callable[[Tensor], tuple[Any, Callable[..., Tensor]]]) -> Callable[[Tensor], Any]:
    """Decorate a function of one tensor that returns its value and its gradient.

    Args:
        function: returns a tensor or a tuple of tensors, and a function that maps their gradients, one argument each,
            to the gradient of its argument.

    Example:
        >>> from keras import ops
        >>> @with_gradient
        ... def clipped(x):
        ...     return ops.clip(x, 0, 1), lambda upstream: upstream
        >>> float(clipped(ops.convert_to_tensor(2.0)))
        1.0
    """
    if keras.backend.backend() == "torch":  # whose ops.custom_gradient takes one output only
        import torch

        class Written(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, values: Tensor) -> Any:
                result, ctx.gradient = function(values)
                return result

            @staticmethod
            def backward(ctx: Any, *upstream: Tensor) -> Tensor:
                return ctx.gradient(*upstream)

        return Written.apply

    @ops.custom_gradient
    def written(values: Tensor) -> tuple[Any, Callable[..., Tensor]]:
        result, gradient = function(values)
        return result, lambda *upstream: gradient(*tree.flatten(upstream))  # JAX passes several as one tuple

    return written
