"""Batch patches of volumes, and whole volumes, in an order that depends only on seed and epoch."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.preparation.label_maps import IGNORED
from tfseg.prepared.batches import count_steps, describe_samples, with_one_channel
from tfseg.prepared.boxes import cut, start_of
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.stored import Slices

Centres = Literal["classes", "uniform", "foreground"]
BACKGROUND = 0  # the class of what lies beyond a volume


class PatchBatches:
    """Batches of patches; a plan holds each patch's case and centre voxel, `[steps, batch, 4]`.

    The centres of a case and epoch are of every class of the case equally often, to within one; or they are drawn from
    all voxels, or from all labelled voxels (all, if none is labelled). At the border of a volume a patch is moved until
    it lies within; if the volume is smaller, it is padded with each channel's least value and with background. The last
    batch of an epoch is completed with patches from the epoch's beginning.

    Args:
        cases: prepared cases.
        shape: slices, rows and columns of a patch.
        batch_size: patches per batch.
        seed: determines centres and order.
        per_case: patches of a case and epoch.
        centres: how they are drawn.
        steps: batches per epoch; if None, as many as needed to hold every patch.
        encode: turns class indices `[batch, d, h, w]` into the truth that losses take, as `Targets.encode`.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        shape: Sequence[int],
        batch_size: int,
        seed: int,
        per_case: int = 1,
        centres: Centres = "classes",
        steps: int | None = None,
        encode: Callable[[Array], Array] = with_one_channel,
    ) -> None:
        self._cases = list(cases)
        self._shape = tuple(shape)
        self._batch_size = batch_size
        self._seed = seed
        self._per_case = per_case
        self._centres = centres
        self._encode = encode
        self._counts = [np.zeros((0, 0)) if centres == "uniform" else count_voxels(case.label) for case in cases]
        self.steps_per_epoch = count_steps(len(self._cases) * per_case, batch_size, steps)

    @property
    def case_names(self) -> list[str]:
        """Names of the cases, in the order of their numbers in `plan`."""
        return [case.name for case in self._cases]

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of a batch's images `[batch, d, h, w, channels]` and truths."""
        truth_channels = self._encode(np.zeros(0, np.uint8)).shape[-1]
        patches = (self._batch_size, *self._shape)
        return (*patches, self._cases[0].image.shape[-1]), (*patches, truth_channels)

    def plan(self, epoch: int) -> Array:
        """Return the patches of an epoch as case number and centre voxel `[steps, batch, 4]`."""
        rng = np.random.default_rng([self._seed, epoch])
        patches = np.concatenate(
            [np.insert(self._draw(number, rng), 0, number, axis=1) for number in range(len(self._cases))]
        )
        return np.resize(rng.permutation(patches), (self.steps_per_epoch, self._batch_size, 4))

    def load(self, batch: Array) -> tuple[Array, Array]:
        """Load the images, float32 `[batch, d, h, w, channels]`, and the truths as returned by `encode`."""
        images, labels = [], []
        for number, *centre in batch.tolist():
            case = self._cases[number]
            start = start_of(centre, self._shape, case.label.shape)
            images.append(cut(case.image, start, self._shape))
            labels.append(cut(case.label, start, self._shape, fill=BACKGROUND))
        return np.stack(images), self._encode(np.stack(labels))

    def describe(self, epoch: int, step: int) -> str:
        """Name the patches of a batch by case and centre voxel: `scan_3 (patches around 10-32-7, 12-20-9)`."""
        return describe_samples(self._cases, np.unique(self.plan(epoch)[step], axis=0), "patches around")

    def _draw(self, number: int, rng: np.random.Generator) -> Array:
        """Draw the centres of a case `[per_case, 3]`."""
        label, counts = self._cases[number].label, self._counts[number]
        if self._centres == "foreground" and counts[1:].any():
            return draw_voxels(label, counts[1:].sum(axis=0), _is_labelled, self._per_case, rng)
        if self._centres != "classes" or not counts.any():
            return rng.integers(label.shape, size=(self._per_case, 3))
        classes = np.resize(rng.permutation(np.flatnonzero(counts.any(axis=1))), self._per_case)
        drawn = [
            draw_voxels(label, counts[index], partial(np.equal, index), int(often), rng)
            for index, often in zip(*np.unique(classes, return_counts=True), strict=True)
        ]
        return np.concatenate(drawn)


class VolumeBatches(PatchBatches):
    """Batches of whole volumes, each once an epoch, padded to one shape as patches are.

    Args:
        cases, batch_size, seed, steps, encode: as in `PatchBatches`.
        shape: slices, rows and columns of the largest volume.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        shape: Sequence[int],
        batch_size: int,
        seed: int,
        steps: int | None = None,
        encode: Callable[[Array], Array] = with_one_channel,
    ) -> None:
        super().__init__(cases, shape, batch_size, seed, centres="uniform", steps=steps, encode=encode)

    def describe(self, epoch: int, step: int) -> str:
        """Name the volumes of a batch."""
        return ", ".join(sorted({self.case_names[number] for number in self.plan(epoch)[step, :, 0]}))

    def _draw(self, number: int, rng: np.random.Generator) -> Array:
        """Return the middle of a volume `[1, 3]`."""
        return np.array([self._cases[number].label.shape]) // 2


def count_voxels(label: Slices) -> Array:
    """Return the voxels of each class in each slice of a label map `[slice, h, w]`, int64 `[classes, slices]`.

    Ignored voxels are of no class. One slice is in memory at a time.
    """
    counts = [np.bincount(np.ravel(label[index]), minlength=IGNORED)[:IGNORED] for index in range(len(label))]
    classes = int(np.flatnonzero(np.any(counts, axis=0)).max(initial=0)) + 1
    return np.stack(counts, axis=1)[:classes].copy()


def draw_voxels(
    label: Slices, counts: Array, is_wanted: Callable[[Array], Array], number: int, rng: np.random.Generator
) -> Array:
    """Draw voxels of a label map `[slice, h, w]`, each with the same chance; only their slices are read.

    Args:
        label: class indices.
        counts: wanted voxels of each slice.
        is_wanted: returns which voxels of a slice are wanted.
        number: how many to draw; a voxel may be drawn twice.
        rng: source of chance.

    Returns:
        Indices `[number, 3]`.
    """
    ends = np.cumsum(counts)
    ranks = rng.integers(ends[-1], size=number)
    slices = np.searchsorted(ends, ranks, side="right")
    within = ranks - (ends - counts)[slices]
    flat = [np.flatnonzero(is_wanted(label[index]))[rank] for index, rank in zip(slices, within, strict=True)]
    return np.column_stack([slices, *np.unravel_index(np.array(flat, int), label.shape[1:])])


def _is_labelled(plane: Array) -> Array:
    return (plane != BACKGROUND) & (plane != IGNORED)
