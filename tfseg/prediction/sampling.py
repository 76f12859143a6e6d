"""Sample the prediction of a prepared image: dropout passes of a network, several networks, or both."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.forward import Forward
from tfseg.prediction.moments import DrawnForward, Moments, Sampled
from tfseg.prediction.predictor import Predictor
from tfseg.prepared.stored import Slices


@dataclass(frozen=True)
class DrawnPredictor:
    """Predict the moments of one network's draws, slice by slice or window by window.

    Args:
        drawn: the network.
        make: turns a function of images into a predictor of slices or windows.
        case: name of the case; with `seed`, the number of a slice or window, and that of a pass, it decides which units
            are dropped.
        seed: of the draws.
        passes: numbers of the passes.
        batch_size: images that are predicted at a time; if there are fewer, several passes are run together.
    """

    drawn: DrawnForward
    make: Callable[[Forward], Predictor]
    case: str
    seed: int
    passes: range
    batch_size: int

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the moments `[slice, h, w, moments]` of consecutive blocks of slices."""
        places = count()

        def forward(images: Array) -> Array:
            seeds = [self._seeds(place) for _, place in zip(images, places, strict=False)]
            return self.drawn(images, np.array(seeds, np.int32), max(1, self.batch_size // len(images)))

        return self.make(forward).blocks(image)

    def _seeds(self, place: int) -> list[tuple[int, int]]:
        return [pass_seed(self.seed, self.case, place, number) for number in self.passes]


@dataclass(frozen=True)
class PooledPredictor:
    """Pool the moments of several networks, which yield blocks of the same slices."""

    predictors: Sequence[Predictor]
    moments: Moments

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the moments `[slice, h, w, moments]` of one block after another."""
        for each in zip(*(predictor.blocks(image) for predictor in self.predictors), strict=True):
            yield self.moments.pool(each)


def sampling_predictor(
    networks: Sequence[DrawnForward],
    moments: Moments,
    make: Callable[[Forward], Predictor],
    case: str,
    passes: int,
    seed: int,
    batch_size: int,
) -> Predictor:
    """Return a predictor of the moments of all draws: so many passes of each network.

    Args:
        networks: as `moments.of_passes` or, for one pass, `moments.of_forward` returns them; none has seen the case.
        moments: which.
        make: turns a function of images into a predictor of slices or windows.
        case: name of the case.
        passes: of each network.
        seed: of the draws. The same seed drops the same units, whatever the batch size.
        batch_size: images that are predicted at a time.
    """
    numbers = [range(first, first + passes) for first in range(0, passes * len(networks), passes)]
    each = [
        DrawnPredictor(drawn, make, case, seed, own, batch_size) for drawn, own in zip(networks, numbers, strict=True)
    ]
    return PooledPredictor(each, moments)


def sample(predictor: Predictor, moments: Moments, image: Slices) -> Sampled:
    """Return the measures of a prepared image `[slice, h, w, channels]` on its own grid, `[slice, h, w]`.

    Args:
        predictor: of the moments.
        moments: which.
        image: float32, in memory or in a file.
    """
    return moments.sampled(np.concatenate(list(predictor.blocks(image))))


def pass_seed(seed: int, case: str, place: int, number: int) -> tuple[int, int]:
    """Return the seed of a pass, two integers of 32 bits.

    Args:
        seed: of all draws.
        case: name of the case.
        place: number of the slice or window in the case.
        number: of the pass.
    """
    digest = hashlib.blake2b(f"{seed} {place} {number} {case}".encode(), digest_size=8).digest()
    first, second = np.frombuffer(digest, "<i4").tolist()
    return first, second
