"""Define the interface of everything that turns a prepared image into probabilities."""

from collections.abc import Iterator
from typing import Protocol

from tfseg.datasets.grids import Array
from tfseg.prepared.stored import Slices


class Predictor(Protocol):
    """One or several networks that predict a prepared image in blocks, so that memory does not grow with the scan."""

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the probabilities float32 `[slice, h, w, classes]` of consecutive blocks of slices, in order.

        Args:
            image: float32 `[slice, h, w, channels]`, in memory or in a file.
        """
