"""Augment the images of batches."""

from collections.abc import Sequence

import numpy as np

from tfseg.config.augmentation import AugmentationConfig
from tfseg.datasets.grids import Array
from tfseg.prepared.augmentation.drawing import draw, parameters_of
from tfseg.prepared.augmentation.intensity import recolour
from tfseg.prepared.augmentation.spatial import move
from tfseg.prepared.batches import Batches


class AugmentedBatches:
    """Batches whose plan says too what each image undergoes, after the columns of the plan of the batches below.

    Args:
        batches: slices, patches or volumes.
        config: the steps.
        flipped: axes of the images that may be mirrored.
        seed: determines the parameters, together with the epoch.
        spacings_mm: spacing along the spatial axes of the images of each case.
    """

    def __init__(
        self,
        batches: Batches,
        config: AugmentationConfig,
        flipped: Sequence[int],
        seed: int,
        spacings_mm: Sequence[Sequence[float]],
    ) -> None:
        self._batches = batches
        self._config = config
        self._flipped = list(flipped)
        self._seed = seed
        self._spacings_mm = list(spacings_mm)
        self._rank = len(batches.shapes[0]) - 2
        self._parameters = parameters_of(self._rank)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return self._batches.steps_per_epoch

    @property
    def case_names(self) -> list[str]:
        """Names of the cases, in the order of their numbers in `plan`."""
        return self._batches.case_names

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of a batch's images `[batch, *spatial, channels]` and truths."""
        return self._batches.shapes

    def plan(self, epoch: int) -> Array:
        """Return the samples of an epoch and the bits of what they undergo, int64 `[steps, batch, …]`."""
        samples = self._batches.plan(epoch)
        steps, size, _ = samples.shape
        drawn = draw(self._config, self._flipped, self._rank, steps * size, [self._seed, epoch])
        return np.concatenate([samples, drawn.view(np.int64).reshape(steps, size, -1)], axis=2)

    def load(self, batch: Array) -> tuple[Array, Array]:
        """Load and augment the images (float32) and truths (uint8) of one batch of a plan."""
        samples, bits = np.split(batch, [-self._parameters.itemsize // 8], axis=1)
        images, truths = self._batches.load(samples)
        drawn = np.ascontiguousarray(bits).view(self._parameters)[:, 0]
        for image, truth, of_one, (case, *_) in zip(images, truths, drawn, samples, strict=True):
            image[...], truth[...] = augment(image, truth, of_one, self._spacings_mm[case])
        return images, truths

    def describe(self, epoch: int, step: int) -> str:
        """Describe the content of a batch, for messages."""
        return self._batches.describe(epoch, step)


def augment(image: Array, truth: Array, drawn: np.void, spacing_mm: Sequence[float]) -> tuple[Array, Array]:
    """Return an image float32 `[*spatial, channels]` and its truth as drawn parameters change them."""
    image, truth = move(image, truth, drawn, spacing_mm)
    return recolour(image, drawn), truth
