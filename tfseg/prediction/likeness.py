"""Compare a scan with those that a network was trained on: orientation, spacing, modality, range of values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from tfseg.core.words import counted
from tfseg.datasets.grids import Volume, canonical_spacing_mm
from tfseg.datasets.modality import ChannelMeasures, likely_modality
from tfseg.preparation.compared import measures_of
from tfseg.prepared.prepared import Prepared

# A spacing is unlike if it is this much above or below those of training, a value if it is that much larger or smaller.
SPACING_RATIO, VALUE_RATIO = 1.5, 3.0
# A channel with no more values than this, all of them whole, may be a label map; it is looked at in every fourth voxel.
MOST_LABELS, LABELS_STEP = 16, 4
# What the values of a channel look like, by the first words of `likely_modality`.
LOOK = {
    "CT": "Hounsfield units",
    "called CT": "no Hounsfield units",
    "z-scored already": "z-scored",
    "2D image": "those of a 2D image",
    "MR or another": "units of their own",
}


@dataclass(frozen=True)
class UsualChannel:
    """A channel of the training scans: what kind of values it has, and the range of each scan's largest magnitude."""

    modality: str
    least: float
    greatest: float


@dataclass(frozen=True)
class UsualScans:
    """Grids and intensities of the scans of a training.

    Args:
        orientations: in which their axes are stored, such as "RAS".
        spacing_mm: least and greatest spacing along x, y and z.
        channels: one each; empty if nothing was measured.
    """

    orientations: tuple[str, ...]
    spacing_mm: tuple[tuple[float, float], ...]
    channels: tuple[UsualChannel, ...]


def usual_scans(prepared: Prepared) -> UsualScans:
    """Return what the scans of a prepared folder were like.

    Raises:
        DataError: if a case is damaged.
    """
    names = list(prepared.index["case"])
    affines = [np.asarray(prepared.case(name).grid.affine) for name in names]
    spacings_mm = np.array([canonical_spacing_mm(affine) for affine in affines])
    ranges = zip(spacings_mm.min(axis=0).tolist(), spacings_mm.max(axis=0).tolist(), strict=True)
    kept = [prepared.traits(name).get("measures") for name in names]
    measured = [[_measures(channel) for channel in case] for case in kept if case]
    channels = [_usual(name, of) for name, of in zip(prepared.channels, zip(*measured, strict=True), strict=False)]
    return UsualScans(tuple(sorted({_codes(affine) for affine in affines})), tuple(ranges), tuple(channels))


def unlike(image: Volume, usual: UsualScans, channels: Sequence[str]) -> list[str]:
    """Say in what a scan `[x, y, z, channels]` is unlike those of the training; empty if in nothing."""
    return list(_differences(image, usual, channels))


def _differences(image: Volume, usual: UsualScans, channels: Sequence[str]) -> Iterator[str]:
    codes = _codes(image.affine)
    if codes not in usual.orientations:
        yield f"stored as {codes}, training scans as {', '.join(usual.orientations)}"
    for axis, own, (low, high) in zip("xyz", canonical_spacing_mm(image.affine), usual.spacing_mm, strict=True):
        if not low / SPACING_RATIO <= own <= high * SPACING_RATIO:
            trained = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
            yield f"spacing of {own:.3g} mm along {axis}, {trained} mm in training"
    thinned = image.array[
        tuple(slice(None, None, LABELS_STEP if n > LABELS_STEP else 1) for n in image.array.shape[:3])
    ]
    for name, channel in zip(channels, np.moveaxis(thinned, 3, 0), strict=False):
        values = np.unique(channel)
        if values.size <= MOST_LABELS and np.array_equal(values, np.rint(values)):
            span = f"whole numbers from {values[0]:g} to {values[-1]:g}"
            yield f"{name} has {counted(values.size, 'value')}, {span}, as a label map has"
    measured = map(_measures, measures_of(image))
    for name, own_channel, measures in zip(channels, usual.channels, measured, strict=False):
        modality, size = _modality(name, [measures]), _size(measures)
        span = f"{name} has values of {measures.lowest:.4g} to {measures.highest:.4g}"
        if modality != own_channel.modality:
            yield f"{span}: {LOOK[modality]}, it seems; in training {LOOK[own_channel.modality]}"
        elif not own_channel.least / VALUE_RATIO <= size <= own_channel.greatest * VALUE_RATIO:
            yield f"{span}; in training the largest were {own_channel.least:.4g} to {own_channel.greatest:.4g}"


def _usual(name: str, measures: Sequence[ChannelMeasures]) -> UsualChannel:
    sizes = [_size(each) for each in measures]
    return UsualChannel(_modality(name, measures), min(sizes), max(sizes))


def _measures(kept: Sequence[float]) -> ChannelMeasures:
    lowest, highest, mean, std = kept
    return ChannelMeasures(lowest, highest, mean, std, np.empty(0, np.float32))


def _modality(name: str, measures: Sequence[ChannelMeasures]) -> str:
    """The kind of values in a few words, the same for one scan as for many."""
    return likely_modality(name, measures).split(",")[0]


def _size(measures: ChannelMeasures) -> float:
    return max(abs(measures.lowest), abs(measures.highest))


def _codes(affine: np.ndarray) -> str:
    return "".join(nib.orientations.aff2axcodes(affine))
