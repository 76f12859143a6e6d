"""Functions of NumPy inside a TensorFlow graph."""

from collections.abc import Callable

import keras
import numpy as np

from tfseg.losses.registry import Tensor


def on_host(function: Callable[[np.ndarray], np.ndarray], values: Tensor, dtype: str) -> Tensor | None:
    """Apply a function that keeps the shape on the host, without a gradient.

    Args:
        function: of an array; its result has the same shape.
        values: the argument.
        dtype: of the result.

    Returns:
        The result; None if a host call is impossible or slow: under XLA, on a GPU and on other backends.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # the public API does not expose XLA contexts

    compiled = control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
    if compiled or tf.config.list_logical_devices("GPU"):
        return None
    result = tf.numpy_function(function, [values], tf.as_dtype(dtype), stateful=False)
    return tf.ensure_shape(result, values.shape)
