"""The fingerprint of a dataset: its scans and labels in figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from tfseg.datasets.grids import AXES, Array, Header, slice_axis, voxel_mm3
from tfseg.datasets.layouts import Dataset
from tfseg.datasets.modality import ChannelMeasures, likely_modality, measure_channel

PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)


@dataclass(frozen=True)
class CaseMeasures:
    """Figures of one case; those per axis are along its canonical axes: right, front, up."""

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    voxel_mm3: float
    stored: str
    in_pixels: bool
    voxels: dict[int, int]
    background_voxels: int
    labelled_slices: tuple[int, ...]
    channels: tuple[ChannelMeasures, ...]


@dataclass(frozen=True)
class Range:
    """Smallest, median and largest, per axis."""

    smallest: tuple[float, ...]
    median: tuple[float, ...]
    largest: tuple[float, ...]


@dataclass(frozen=True)
class ChannelPrint:
    """A channel: its likely modality and the percentiles of its values inside the labels."""

    name: str
    modality: str
    percentiles: dict[float, float]


@dataclass(frozen=True)
class LabelPrint:
    """A label: the cases that have it, its voxels, their share of all voxels, and its median volume in a case."""

    value: int
    name: str
    cases: int
    voxels: int
    share: float
    median_volume: float


@dataclass(frozen=True)
class Fingerprint:
    """A dataset in figures; lengths are in millimetres and volumes in millilitres, or both in pixels."""

    name: str
    layout: str
    cases: int
    subjects: int
    shape: Range
    spacing: Range
    in_pixels: bool
    orientations: dict[str, int]
    axis: str
    slices: int
    empty_slices: int
    channels: tuple[ChannelPrint, ...]
    labels: tuple[LabelPrint, ...]


def measure(header: Header, channels: Sequence[Array], label: Array | None, dataset: Dataset) -> CaseMeasures:
    """Measure one case.

    Args:
        header: its grid.
        channels: each `[x, y, z]`.
        label: values `[x, y, z]`, stored in the order of the image; None for a case without a label map.
        dataset: declares the labels.
    """
    if label is None:
        label = np.zeros(header.shape, np.uint8)
    labelled = np.isin(label, list(dataset.labels))
    order = np.argsort(nib.orientations.io_orientation(header.affine)[:, 0])
    slices = tuple(int(labelled.any(axis=tuple({0, 1, 2} - {axis})).sum()) for axis in order.tolist())
    return CaseMeasures(
        shape=tuple(header.shape[axis] for axis in order),
        spacing_mm=tuple(header.spacing_mm[axis] for axis in order),
        voxel_mm3=voxel_mm3(header.affine),
        stored="".join(nib.orientations.aff2axcodes(header.affine)),
        in_pixels=header.in_pixels,
        voxels={value: int(np.count_nonzero(label == value)) for value in dataset.labels},
        background_voxels=int(np.count_nonzero(label == 0)),
        labelled_slices=slices,
        channels=tuple(measure_channel(channel, labelled) for channel in channels),
    )


def summarise(dataset: Dataset, cases: Sequence[CaseMeasures]) -> Fingerprint:
    """Summarise the measures of a dataset's cases."""
    spacings = np.array([case.spacing_mm for case in cases])
    axis = slice_axis(np.array([case.shape for case in cases]), spacings)
    across = AXES.index(axis)
    slices = sum(case.shape[across] for case in cases)
    return Fingerprint(
        name=dataset.name,
        layout=dataset.layout,
        cases=len(cases),
        subjects=len({case.subject for case in dataset.cases}),
        shape=_range(np.array([case.shape for case in cases])),
        spacing=_range(spacings),
        in_pixels=cases[0].in_pixels,
        orientations=dict(Counter(case.stored for case in cases).most_common()),
        axis=axis,
        slices=slices,
        empty_slices=slices - sum(case.labelled_slices[across] for case in cases),
        channels=tuple(
            _channel(name, [case.channels[index] for case in cases]) for index, name in enumerate(dataset.channels)
        ),
        labels=tuple(_label(value, name, cases) for value, name in dataset.labels.items()),
    )


def _range(values: Array) -> Range:
    return Range(*(tuple(pick(values, axis=0).tolist()) for pick in (np.min, np.median, np.max)))


def _label(value: int, name: str, cases: Sequence[CaseMeasures]) -> LabelPrint:
    voxels = np.array([case.voxels[value] for case in cases])
    voxel_volumes = np.array([1 if case.in_pixels else case.voxel_mm3 / 1000 for case in cases])
    present = voxels > 0
    return LabelPrint(
        value=value,
        name=name,
        cases=int(present.sum()),
        voxels=int(voxels.sum()),
        share=float(voxels.sum() / sum(np.prod(case.shape) for case in cases)),
        median_volume=float(np.median((voxels * voxel_volumes)[present])) if present.any() else 0.0,
    )


def _channel(name: str, cases: Sequence[ChannelMeasures]) -> ChannelPrint:
    inside = np.concatenate([case.inside for case in cases])
    percentiles = np.percentile(inside, PERCENTILES).tolist() if inside.size else [float("nan")] * len(PERCENTILES)
    return ChannelPrint(name, likely_modality(name, cases), dict(zip(PERCENTILES, percentiles, strict=True)))


def to_markdown(fingerprint: Fingerprint) -> str:
    """Format a fingerprint as Markdown: a list about the scans, a table of channels and a table of labels."""
    volume = "pixels" if fingerprint.in_pixels else "ml"
    subjects = f"{fingerprint.subjects}"
    if fingerprint.subjects == fingerprint.cases > 1:
        subjects += " (each case its own; if some are of one patient, say so with `--subject-pattern`)"
    empty = f"{fingerprint.empty_slices} ({fingerprint.empty_slices / fingerprint.slices:.0%}) without a label"
    if fingerprint.in_pixels:
        scans = [
            f"- size, columns × rows: {_set_range(fingerprint.shape, 2)} pixels",
            f"- 2D images: {fingerprint.slices}, {empty}",
        ]
    else:
        stored = ", ".join(f"{codes} ({times})" for codes, times in fingerprint.orientations.items())
        scans = [
            f"- shape, right × front × up: {_set_range(fingerprint.shape)} voxels",
            f"- spacing: {_set_range(fingerprint.spacing)} mm",
            f"- stored as: {stored}",
            f"- slices: {fingerprint.slices} {fingerprint.axis}, {empty}",
        ]
    lines = [
        f"# {fingerprint.name}",
        "",
        f"- layout: {fingerprint.layout}",
        f"- cases: {fingerprint.cases}",
        f"- subjects: {subjects}",
        *scans,
        "",
        f"| channel | likely | {' | '.join(f'{percentile:g} %' for percentile in PERCENTILES)} |",
        f"| --- | --- |{' ---: |' * len(PERCENTILES)}",
        *(
            f"| {each.name} | {each.modality} | {' | '.join(f'{_set(v)}' for v in each.percentiles.values())} |"
            for each in fingerprint.channels
        ),
        "",
        "Percentiles of the values inside the labels.",
        "",
        f"| label | value | cases | voxels | share | median {volume} |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {label.name} | {label.value} | {label.cases} | {label.voxels} | {label.share:.3%} "
            f"| {_set(label.median_volume)} |"
            for label in fingerprint.labels
        ),
    ]
    return "\n".join(lines)


def _set_range(values: Range, axes: int = 3) -> str:
    smallest, median, largest = (
        " × ".join(map(_set, each[:axes])) for each in (values.smallest, values.median, values.largest)
    )
    return median if smallest == largest else f"{median} (median), {smallest} to {largest}"


def _set(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
