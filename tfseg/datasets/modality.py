"""Decide what kind of values a channel has, Hounsfield units or others, from its name and its values."""

import re
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
# A CT whose lowest value is above this has neither air nor fat, or no Hounsfield units.
HIGHEST_MINIMUM_HU = -100
# A case whose greatest value differs from the median by this factor, as few others do, has other units.
OTHER_UNITS_RATIO, FEW = 50, 0.25
CT_WORDS = {"ct", "cbct", "cta", "ncct", "cect", "ldct", "hrct"}
OTHER_WORDS = {
    *(
        "mr",
        "mri",
        "mra",
        "t1",
        "t1w",
        "t1c",
        "t1ce",
        "t1gd",
        "t1n",
        "t2",
        "t2w",
        "t2f",
        "t2star",
        "flair",
        "pd",
        "pdw",
    ),
    *("dwi", "adc", "dti", "swi", "bold", "asl", "dce", "dsc", "phase", "magnitude", "unit1", "inv1", "inv2", "mprage"),
    *(
        "pt",
        "pet",
        "suv",
        "nm",
        "spect",
        "us",
        "cr",
        "dx",
        "mg",
        "xa",
        "xc",
        "oct",
        "op",
        "grey",
        "red",
        "green",
        "blue",
    ),
}
COLOURS = ("grey", "red", "green", "blue")


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
    something = something if something.size else channel
    return ChannelMeasures(
        lowest=float(channel.min()),
        highest=float(channel.max()),
        mean=float(something.mean(dtype=np.float64)),
        std=float(something.std(dtype=np.float64)),
        inside=inside[:: max(1, inside.size // SAMPLED_VOXELS)].astype(np.float32),
    )


def is_ct(name: str, cases: Sequence[ChannelMeasures]) -> bool:
    """Whether a channel is CT: as its name says, unless it is z-scored, or else by Hounsfield units."""
    stated = _stated(name)
    if stated is not None:
        return stated and (_in_hounsfield_units(cases) or not _is_zscored(cases))
    return _in_hounsfield_units(cases)


def likely_modality(name: str, cases: Sequence[ChannelMeasures]) -> str:
    """Describe what kind of values a channel has; one that is CT only by its name is described as such.

    Hounsfield units reach from air (-1000) to bone; z-scored values have a mean near 0 and a standard deviation near 1.
    """
    if is_ct(name, cases) and _in_hounsfield_units(cases):
        return "CT, Hounsfield units"
    if _is_zscored(cases):
        return "z-scored already, it seems"
    if _stated(name):
        lowest, highest = _median("lowest", cases), _median("highest", cases)
        return f"called CT, but values of {lowest:g} to {highest:g} are no Hounsfield units of a whole scan"
    if name in COLOURS:
        return "2D image"
    peaks = [case.highest for case in cases]
    varied = min(peaks) <= 0 or max(peaks) / min(peaks) > VARIED_RATIO
    return f"MR or another, in units of {'each case’s' if varied else 'its'} own"


def in_other_units(name: str, cases: Sequence[ChannelMeasures]) -> list[int]:
    """Return the indices of the cases whose values are in other units than those of most.

    In CT these are cases that have no value below -100, or values of air that most do not have: windowed to 0 to 255,
    shifted by 1024 or scaled. In other modalities a scale that differs by a factor of 50 or more in few cases.
    """
    if len(cases) < 3:
        return []
    if is_ct(name, cases):
        usual = _median("lowest", cases) <= LEAST_HU_RANGE[0]
        other = [case.lowest > HIGHEST_MINIMUM_HU if usual else case.lowest <= LEAST_HU_RANGE[0] for case in cases]
    else:
        sizes = np.array([max(abs(case.lowest), abs(case.highest)) for case in cases])
        ratios = sizes / np.median(sizes)
        other = ((ratios > OTHER_UNITS_RATIO) | (ratios < 1 / OTHER_UNITS_RATIO)).tolist()
        other = other if np.mean(other) <= FEW else []
    return [index for index, differs in enumerate(other) if differs]


def _in_hounsfield_units(cases: Sequence[ChannelMeasures]) -> bool:
    lowest, highest = LEAST_HU_RANGE
    in_range = _median("lowest", cases) <= lowest and _median("highest", cases) >= highest
    return in_range and not _is_phase(cases)


def _is_phase(cases: Sequence[ChannelMeasures]) -> bool:
    """Whether values are spread evenly about 0, as those of an MR phase: its standard deviation is 0.58 of the peak."""
    lowest, highest = _median("lowest", cases), _median("highest", cases)
    mean, std = _median("mean", cases), _median("std", cases)
    return abs(lowest + highest) < 0.05 * (highest - lowest) and abs(mean) < 0.1 * highest and std > 0.45 * highest


def _is_zscored(cases: Sequence[ChannelMeasures]) -> bool:
    mean, std = _median("mean", cases), _median("std", cases)
    return _median("lowest", cases) < 0 and abs(mean) < 0.5 and 0.5 < std < 2


def _stated(name: str) -> bool | None:
    """Whether a channel's name says that it is CT, or another modality; None if it says neither."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if words & CT_WORDS:
        return True
    return False if words & OTHER_WORDS else None


def _median(figure: str, cases: Sequence[ChannelMeasures]) -> float:
    return float(np.median([getattr(case, figure) for case in cases]))
