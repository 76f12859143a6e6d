"""Measure scans for the completion of a recipe; each scan is read once for everything that may be needed."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np

from tfseg.core.errors import DataError
from tfseg.core.geometry import bounding_box
from tfseg.core.processes import in_processes
from tfseg.datasets.grids import Array, Header, Volume
from tfseg.datasets.layouts import Case, Dataset
from tfseg.datasets.modality import ChannelMeasures, is_ct, measure_channel
from tfseg.datasets.reading import check_channels, read_case_header, read_case_image, read_case_label
from tfseg.preparation.case_files import naming
from tfseg.preparation.kept_masks import KeptMasks
from tfseg.preparation.scan import Box, find_inside, nonzero
from tfseg.preparation.steps import Inside, Recipe

# "channels": what tells the modality of each channel. "foreground": how many labelled voxels have each whole
# Hounsfield unit. "brain", "body" and "nonzero": the box of these voxels, a slice per axis.
Fact = Literal["channels", "foreground"] | Inside

LOWEST_HU, HIGHEST_HU = -2048, 4096


class Survey:
    """Facts about the cases of a dataset, measured when they are asked for and kept.

    Args:
        dataset: whose cases.
        recipe: how to find brains and bodies.
        on_case: called for each case that is read.
        processes: cases that are read at a time; more than 1 only from a main module that can be imported.
        masks: keeps the brains and bodies that are found.
        headers: grids that are known already, by the case's name.
    """

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        on_case: Callable[[], None] = lambda: None,
        processes: int = 1,
        masks: KeptMasks | None = None,
        headers: Mapping[str, Header] | None = None,
    ) -> None:
        self.dataset = dataset
        self._recipe, self._on_case, self._processes, self._masks = recipe, on_case, processes, masks
        self._facts: dict[str, dict[str, Any]] = {case.name: {} for case in dataset.cases}
        self._headers = dict(headers or {})

    def headers(self) -> list[Header]:
        """Return the grid of every case; a file is opened only for one that is not known yet.

        Raises:
            DataError: if a header cannot be read.
        """
        for case in self.dataset.cases:
            if case.name not in self._headers:
                self._headers[case.name] = read_case_header(case)
        return [self._headers[case.name] for case in self.dataset.cases]

    def measure(self, fact: Fact, cases: Sequence[Case] = (), along: Collection[Fact] = ()) -> list[Any]:
        """Return a fact of each case, or a text that says why it has none.

        Args:
            fact: what is needed.
            cases: of which cases; all if empty.
            along: what may be needed later, measured while a scan is read.
        """
        cases = cases or self.dataset.cases
        lacking = [replace(self.dataset, cases=(case,)) for case in cases if fact not in self._facts[case.name]]
        measured = partial(_measure, self._recipe, {fact, *along}, self._masks)
        for single, (facts, header) in in_processes(measured, lacking, min(self._processes, max(1, len(lacking)))):
            name = single.cases[0].name
            self._facts[name].update(facts)
            if header:
                self._headers[name] = header
            self._on_case()
        return [self._facts[case.name][fact] for case in cases]


class _Reading:
    """A dataset's only case; its image is read when a fact needs it."""

    def __init__(self, single: Dataset, recipe: Recipe, masks: KeptMasks | None) -> None:
        self.single, self.recipe, self.masks = single, recipe, masks
        (self.case,) = single.cases

    @cached_property
    def image(self) -> Volume:
        return read_case_image(self.case)

    @property
    def header(self) -> Header:
        x, y, z, channels = self.image.array.shape
        return Header((x, y, z), channels, self.image.affine, self.image.in_pixels)


def _measure(
    recipe: Recipe, facts: Collection[Fact], masks: KeptMasks | None, single: Dataset
) -> tuple[dict[str, Any], Header | None]:
    """Measure facts of a dataset's only case, and its grid if its image was read.

    A fact that it does not have is a text that says why.
    """
    reading = _Reading(single, recipe, masks)
    measured: dict[str, Any] = {}
    for fact, measure in MEASURES.items():
        if fact not in facts or (fact == "foreground" and not _may_be_ct(single, measured)):
            continue
        try:
            with naming(reading.case, recipe):
                measured[fact] = measure(reading)
        except DataError as error:
            measured[fact] = str(error)
    return measured, reading.header if "image" in reading.__dict__ else None


def _may_be_ct(single: Dataset, measured: dict[str, Any]) -> bool:
    """Whether the foreground is worth counting: if channels were asked for first, only if they are CT."""
    channels = measured.get("channels")
    return channels is None or (not isinstance(channels, str) and all(map(is_ct, single.channels, zip(channels))))


def _channels(reading: _Reading) -> list[ChannelMeasures]:
    check_channels(reading.case, reading.header, reading.single)
    return [measure_channel(channel) for channel in np.moveaxis(reading.image.array, 3, 0)]


def _foreground(reading: _Reading) -> Array:
    """Labelled voxels of each whole Hounsfield unit, LOWEST_HU to HIGHEST_HU; of all channels together."""
    label = read_case_label(reading.case, reading.single, reading.header).array
    inside = reading.image.array[np.isin(label, list(reading.single.labels))]
    units = np.clip(np.rint(inside), LOWEST_HU, HIGHEST_HU).astype(np.int64).ravel() - LOWEST_HU
    return np.bincount(units, minlength=HIGHEST_HU - LOWEST_HU + 1)


def _found_box(reading: _Reading) -> Box:
    """The box of the brain or body, which is kept."""
    case, recipe, masks = reading.case, reading.recipe, reading.masks
    found = masks.read(case, recipe) if masks else None
    if found is None:
        found = find_inside(reading.image, case, recipe)
        if masks:
            masks.write(case, recipe, found)
    return bounding_box(found)


def _nonzero_box(reading: _Reading) -> Box:
    return bounding_box(nonzero(reading.image))


MEASURES: dict[Fact, Callable[[_Reading], Any]] = {
    "channels": _channels,
    "foreground": _foreground,
    "brain": _found_box,
    "body": _found_box,
    "nonzero": _nonzero_box,
}
