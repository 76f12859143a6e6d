"""Decide what kind of values a channel has, Hounsfield units or others, from its values and its name."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfseg.datasets.grids import Array

# Voxels inside labels that a case adds to the percentiles, spread over all of them.
SAMPLED_VOXELS = 20_000
# If the greatest values of two cases differ by more than this factor, each case has units of its own.
VARIED_RATIO = 10
# From air to bone.
LEAST_HU_RANGE = (-500, 100)


@dataclass(frozen=True)
class ChannelMeasures:
    """Lowest and highest value, mean and standard deviation outside the background, and a sample from inside labels."""

    lowest: float
    highest: float
    mean: float
    std: float
    inside: Array


def measure_channel(channel: Array, labelled: Array | None = None) -> ChannelMeasures:
    """Measure one case's channel `[x, y, z]`, with a sample of the voxels that are `labelled`."""
    inside = channel[:0].ravel() if labelled is None else channel[labelled]
    something = channel[channel != channel[0, 0, 0]]  # a background of one value is in the corner
    return ChannelMeasures(
        lowest=float(channel.min()),
        highest=float(channel.max()),
        mean=float(something.mean(dtype=np.float64)),
        std=float(something.std(dtype=np.float64)),
        inside=inside[:: max(1, inside.size // SAMPLED_VOXELS)].astype(np.float32),
    )


def is_ct(name: str, cases: Sequence[ChannelMeasures]) -> bool:
    """Whether a channel is CT: by Hounsfield units from air to bone, or by its name, unless it is z-scored."""
    return _in_hounsfield_units(cases) or (_claims_ct(name) and not _is_zscored(cases))


def likely_modality(name: str, cases: Sequence[ChannelMeasures]) -> str:
    """Describe what kind of values a channel has; one that is CT only by its name is described as such.

    Hounsfield units reach from air (-1000) to bone; z-scored values have a mean near 0 and a standard deviation near 1.
    """
    if _in_hounsfield_units(cases):
        return "CT, Hounsfield units"
    if _is_zscored(cases):
        return "z-scored already, it seems"
    if _claims_ct(name):
        lowest, highest = _median("lowest", cases), _median("highest", cases)
        return f"called CT, but values of {lowest:g} to {highest:g} are no Hounsfield units of a whole scan"
    if name in ("grey", "red", "green", "blue"):
        return "2D image"
    peaks = [case.highest for case in cases]
    varied = min(peaks) <= 0 or max(peaks) / min(peaks) > VARIED_RATIO
    return f"MR or another, in units of {'each case’s' if varied else 'its'} own"


def _in_hounsfield_units(cases: Sequence[ChannelMeasures]) -> bool:
    lowest, highest = LEAST_HU_RANGE
    return _median("lowest", cases) <= lowest and _median("highest", cases) >= highest


def _is_zscored(cases: Sequence[ChannelMeasures]) -> bool:
    mean, std = _median("mean", cases), _median("std", cases)
    return _median("lowest", cases) < 0 and abs(mean) < 0.5 and 0.5 < std < 2


def _claims_ct(name: str) -> bool:
    return name.upper() in ("CT", "CBCT")


def _median(figure: str, cases: Sequence[ChannelMeasures]) -> float:
    return float(np.median([getattr(case, figure) for case in cases]))
