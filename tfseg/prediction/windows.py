"""Predict a volume by windows that overlap, one slab of it in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.forward import Forward
from tfseg.prepared.boxes import cut, start_of
from tfseg.prepared.stored import Seen

SIGMA = 1 / 8  # of a window's side


@dataclass(frozen=True)
class WindowPredictor:
    """Predict windows that cover a volume, and average them with weights that fall towards a window's border.

    The weight is a Gaussian of standard deviation side/8 along each axis (Isensee 2021, 10.1038/s41592-020-01008-z).
    One window that holds the whole volume gives the network's own output. A shorter volume is padded with each
    channel's least value. Memory: the probabilities of one window's slices over all rows and columns, as float32.

    Args:
        forward: the network.
        shape: slices, rows and columns of a window.
        overlap: least share of a window's side in common with the next, in [0, 1).
        batch_size: windows predicted at a time.
    """

    forward: Forward
    shape: tuple[int, int, int]
    overlap: float
    batch_size: int

    def blocks(self, image: Seen) -> Iterator[Array]:
        """Yield the probabilities float32 `[slice, h, w, classes]` of consecutive slabs, each as soon as it is final.

        Args:
            image: float32 `[slice, h, w, channels]`.
        """
        whole, sides = image.shape[:3], self.shape
        before = [max(-first, 0) for first in start_of([n // 2 for n in whole], sides, whole)]  # padding
        padded = [max(pair) for pair in zip(whole, sides, strict=True)]
        places = [window_starts(length, side, self.overlap) for length, side in zip(padded, sides, strict=True)]
        weights = [window_weights(starts, side) for starts, side in zip(places, sides, strict=True)]
        kept = tuple(slice(first, first + length) for first, length in zip(before[1:], whole[1:], strict=True))
        windows = list(product(*(range(len(starts)) for starts in places[1:])))
        slab = np.zeros(0, np.float32)  # of the probabilities, from slice `first` on
        for level, first in enumerate(places[0]):
            for begin in range(0, len(windows), self.batch_size):
                some = windows[begin : begin + self.batch_size]
                corners = [(first, places[1][row], places[2][column]) for row, column in some]
                images = np.stack([cut(image, np.subtract(corner, before).tolist(), sides) for corner in corners])
                for probabilities, (row, column), (_, y, x) in zip(self.forward(images), some, corners, strict=True):
                    if not slab.size:
                        slab = np.zeros((sides[0], *padded[1:], probabilities.shape[-1]), np.float32)
                    weight = np.einsum("z,y,x->zyx", weights[0][level], weights[1][row], weights[2][column])
                    slab[:, y : y + sides[1], x : x + sides[2]] += probabilities * weight[..., np.newaxis]
            final = places[0][level + 1] - first if level + 1 < len(places[0]) else sides[0]
            yield slab[(slice(max(before[0] - first, 0), min(final, before[0] + whole[0] - first)), *kept)].copy()
            slab[:-final] = slab[final:]
            slab[-final:] = 0


def window_starts(length: int, side: int, overlap: float) -> list[int]:
    """Return the first voxels of windows that cover an axis evenly, as few as the overlap allows.

    >>> window_starts(10, 4, 0.5), window_starts(4, 4, 0.5)
    ([0, 2, 4, 6], [0])
    """
    steps = int(np.ceil((length - side) / max(1, int(side * (1 - overlap)))))
    return [round(first) for first in np.linspace(0, length - side, steps + 1).tolist()]


def window_weights(starts: list[int], side: int) -> list[Array]:
    """Return each window's weights `[side]` along an axis, float32; those of all windows sum to 1 at every voxel.

    >>> [weights.round(3).tolist() for weights in window_weights([0, 1], 2)]
    [[1.0, 0.5], [0.5, 1.0]]
    """
    distance = (np.arange(side) - (side - 1) / 2) / (SIGMA * side)
    gaussian = np.exp(-0.5 * distance**2)
    total = np.zeros(starts[-1] + side)
    for start in starts:
        total[start : start + side] += gaussian
    return [(gaussian / total[start : start + side]).astype(np.float32) for start in starts]
