"""Let go of the graphs of a training that has ended."""

from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework import ops


@contextmanager
def released_graphs() -> Iterator[None]:
    """Release, at the end, the graphs in which losses with a written gradient were traced.

    For every trace of such a loss, TensorFlow keeps the gradient for the life of the process and with it the graph,
    10 MiB for a small network. It offers no way to release them (github.com/tensorflow/tensorflow/issues/97697). What
    was traced inside cannot be differentiated after it.
    """
    registered = ops.gradient_registry._registry
    before = set(registered)
    try:
        yield
    finally:
        for name in set(registered) - before:
            if name.startswith("CustomGradient-"):
                del registered[name]
