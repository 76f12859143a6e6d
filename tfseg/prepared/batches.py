"""Batch training data in an order that depends only on seed and epoch."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.preparation.label_maps import has_foreground
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.stored import neighbours_of, seen_together, stack


class Batches(Protocol):
    """Training data in batches, epoch by epoch; the same seed and epoch always give the same batches."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""

    @property
    def case_names(self) -> list[str]:
        """Names of the cases, in the order of their numbers in `plan`."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of a batch's images `[batch, *spatial, channels]` and truths."""

    def plan(self, epoch: int) -> Array:
        """Return the samples of an epoch, int64 `[steps, batch, …]`, as a pure function of seed and epoch."""

    def load(self, batch: Array) -> tuple[Array, Array]:
        """Load the images (float32) and truths (uint8) of one batch of a plan."""

    def describe(self, epoch: int, step: int) -> str:
        """Describe the content of a batch, for messages."""


def count_steps(items: int, batch_size: int, steps: int | None = None) -> int:
    """Return the number of batches in an epoch: `steps` if given, else as many as needed to hold every item.

    >>> count_steps(10, 4), count_steps(10, 4, steps=7)
    (3, 7)
    """
    return steps or -(-items // batch_size)


def with_one_channel(classes: Array) -> Array:
    """Return class indices `[...]` as `[..., 1]`."""
    return classes[..., np.newaxis]


class SliceBatches:
    """Batches of training slices; a plan holds (case, slice) indices `[steps, batch, 2]`.

    Every batch is full: the last one of an epoch is completed with slices from the epoch's beginning, so that
    each slice is used at least once, replicas get equal parts and batch-wise losses always get a full batch.

    Args:
        cases: prepared cases.
        batch_size: slices per batch.
        seed: determines the order.
        steps: batches per epoch; if None, as many as needed to hold every slice.
        foreground_share: this share of every batch, rounded up, is drawn from slices with foreground.
        encode: turns class indices `[batch, h, w]` into the truth that losses take, as `Targets.encode`.
        neighbours: slices on either side that are further channels, as in `Neighbouring`.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        batch_size: int,
        seed: int,
        steps: int | None = None,
        foreground_share: float = 0.0,
        encode: Callable[[Array], Array] = with_one_channel,
        neighbours: int = 0,
    ) -> None:
        self._cases = list(cases)
        self._slices = np.array(
            [(number, index) for number, case in enumerate(cases) for index in training_slices_of(case)]
        )
        self._batch_size = batch_size
        self._seed = seed
        self.steps_per_epoch = count_steps(len(self._slices), batch_size, steps)
        self._encode = encode
        self._neighbours = neighbours
        self._foreground = self._slices[:0]
        if foreground_share:
            full = [has_foreground(np.asarray(case.label))[training_slices_of(case)] for case in cases]
            self._foreground = self._slices[np.concatenate(full)]
        self._chosen = int(np.ceil(foreground_share * batch_size)) if len(self._foreground) else 0

    @property
    def case_names(self) -> list[str]:
        """Names of the cases, in the order of their numbers in `plan`."""
        return [case.name for case in self._cases]

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of a batch's images `[batch, h, w, channels]` and truths."""
        height, width, channels = self._cases[0].image.shape[1:]
        truth_channels = self._encode(np.zeros(0, np.uint8)).shape[-1]
        slices = (self._batch_size, height, width)
        return (*slices, seen_together(self._neighbours) * channels), (*slices, truth_channels)

    def plan(self, epoch: int) -> Array:
        """Return the slices of an epoch as (case, slice) indices `[steps, batch, 2]`."""
        rng = np.random.default_rng([self._seed, epoch])
        parts = [
            np.resize(rng.permutation(slices), (self.steps_per_epoch * count, 2)).reshape(-1, count, 2)
            for slices, count in ((self._slices, self._batch_size - self._chosen), (self._foreground, self._chosen))
            if count
        ]
        return np.concatenate(parts, axis=1)

    def load(self, batch: Array) -> tuple[Array, Array]:
        """Load the images, float32 `[batch, h, w, channels]`, and the truths as returned by `encode`."""
        labels = stack([(self._cases[case].label, index) for case, index in batch])
        images = [self._cases[case].image for case in batch[:, 0]]
        lengths = np.array([len(image) for image in images])
        places = neighbours_of(batch[:, 1], self._neighbours, lengths[:, np.newaxis])
        stacked = stack([(image, index) for image, own in zip(images, places, strict=True) for index in own])
        by_slice = stacked.reshape(len(batch), -1, *stacked.shape[1:])
        return np.moveaxis(by_slice, 1, 3).reshape(self.shapes[0]), self._encode(labels)

    def describe(self, epoch: int, step: int) -> str:
        """Name the slices of a batch: `scan_3 of subject_1 (slices 2, 5)`, or `scan_3 (…)` if both names agree."""
        return describe_samples(self._cases, np.unique(self.plan(epoch)[step], axis=0), "slices")


def describe_samples(cases: Sequence[PreparedCase], samples: Array, kind: str) -> str:
    """List samples by case.

    Args:
        cases: the cases of all batches.
        samples: case number and position of each sample, `[sample, 1 + dimensions]`.
        kind: what the samples are, in the plural.
    """
    by_case: dict[str, list[str]] = {}
    for number, *position in samples.tolist():
        case = cases[number]
        name = case.name if case.subject == case.name else f"{case.name} of {case.subject}"
        by_case.setdefault(name, []).append("-".join(map(str, position)))
    return ", ".join(f"{name} ({kind} {', '.join(by_case[name])})" for name in sorted(by_case))


def training_slices_of(case: PreparedCase) -> Array:
    """Return the indices of the slices used for training."""
    return np.arange(len(case.label)) if case.training_slices is None else case.training_slices
