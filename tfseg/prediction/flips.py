"""Average predictions of an image and of its mirror images, along axes that are named by anatomy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from tfseg.core.errors import ConfigError
from tfseg.datasets.grids import Array
from tfseg.prediction.predictor import Predictor
from tfseg.prepared.stored import Slices

# Each axis of the body, and its place among the slices, rows and columns of an image cut along an axis.
PLACES = {
    "sagittal": ("left-right", "anterior-posterior", "superior-inferior"),
    "coronal": ("anterior-posterior", "left-right", "superior-inferior"),
    "axial": ("superior-inferior", "left-right", "anterior-posterior"),
}


@dataclass(frozen=True)
class FlippedPredictor:
    """Average a predictor's probabilities over all combinations of mirroring along some axes of an image.

    Paired structures swap sides in a mirror image: only a network that was trained on mirror images along an axis can
    predict them.

    Args:
        predictor: of one image.
        axes: 0 for slices, 1 for rows, 2 for columns.
    """

    predictor: Predictor
    axes: tuple[int, ...]

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the mean probabilities `[slice, h, w, classes]` of consecutive blocks of slices.

        With axis 0, the probabilities of the whole image are in memory.
        """
        flips = list(chain.from_iterable(combinations(self.axes, count) for count in range(len(self.axes) + 1)))
        each = [self._flipped(image, axes) for axes in flips]
        for first, *others in zip(*each, strict=True):
            for other in others:
                first = first + other
            yield first / len(flips)

    def _flipped(self, image: Slices, axes: tuple[int, ...]) -> Iterator[Array]:
        within = tuple(axis for axis in axes if axis > 0)
        blocks = self.predictor.blocks(np.flip(image[...], axes) if axes else image)
        if 0 not in axes:
            yield from (np.flip(block, within) for block in blocks)
            return
        listed = list(blocks)
        whole = np.flip(np.concatenate(listed), axes)
        yield from np.split(whole, np.cumsum([len(block) for block in listed[:-1]]))


def kept_whole(axes: Sequence[int]) -> int:
    """Return how many whole images of probabilities a `FlippedPredictor` of some axes has in memory.

    >>> kept_whole((1, 2)), kept_whole((0,)), kept_whole((0, 1, 2))
    (0, 1, 4)
    """
    return 2 ** (len(axes) - 1) if 0 in axes else 0


def flip_axes(names: Sequence[str], axis: str, trained: Sequence[str], force: bool, sliced: bool) -> tuple[int, ...]:
    """Return the axes of an image that flips named by anatomy mirror.

    Args:
        names: such as `left-right`.
        axis: along which slices are cut.
        trained: flips that the training made.
        force: allow others.
        sliced: whether slices are predicted one by one.

    Raises:
        ConfigError: an unknown name, a flip that the training never made, or one across slices predicted one by one.

    >>> flip_axes(["left-right"], "axial", trained=["left-right"], force=False, sliced=True)
    (1,)
    """
    places = PLACES[axis]
    for name in names:
        if name not in places:
            raise ConfigError(f"--flip: expected {', '.join(sorted(places))}, received {name}")
        if name not in trained and not force:
            raise ConfigError(
                f"--flip: the networks never saw images mirrored {name}; they saw {', '.join(trained) or 'none'}. "
                "--force flips anyway"
            )
        if sliced and places.index(name) == 0:
            raise ConfigError(f"--flip: {axis} slices are predicted one by one: a flip {name} changes nothing")
    return tuple(sorted({places.index(name) for name in names}))
