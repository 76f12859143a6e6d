"""The estimate of a scan's peak memory: by hand, and beside peaks that benchmarks/prediction_memory.py measured."""

from functools import partial

import numpy as np
import pytest

from tfseg.datasets.grids import Header
from tfseg.prediction.description import Description
from tfseg.prediction.likeness import UsualScans
from tfseg.prediction.memory_needs import ACTIVATIONS, SCRATCH, fitted_batch, peak_bytes
from tfseg.preparation.steps import Recipe
from tfseg.prepared.targets import Targets


def header(shape, channels=1):
    return Header(shape, channels, np.diag([0.7, 0.7, 1.0, 1.0]))


def description(side, shape, spacing_mm="own", channels=("CT",), batch_size=8):
    recipe = Recipe(axis="axial", scaling="minmax", size=(side, side), spacing_mm=spacing_mm)
    targets = Targets({value: str(value) for value in range(1, 6)})
    usual = UsualScans((), (), ())
    return Description(recipe, channels, targets, False, shape, 0.5, batch_size, (), usual, {})


def test_preparing_takes_17_bytes_per_voxel_of_a_large_scan():
    """Scan, mask, and three copies of its channel, each of 4 bytes, or of 1 for the mask."""
    scan, small = header((256, 256, 1000)), description(256, (256, 256))
    assert peak_bytes(scan, small, 1) == 17 * 256 * 256 * 1000 + SCRATCH
    finer = description(512, (512, 512), spacing_mm=(0.35, 0.35, None))
    assert peak_bytes(scan, finer, 1) > 4 * 256 * 256 * 1000 * (2 * 4 + 1)  # the resampled scan at two stages
    two = description(256, (256, 256), channels=("T1", "T2"))
    assert peak_bytes(header((256, 256, 1000), 2), two, 1) == (8 + 1 + 12 + 8) * 256 * 256 * 1000 + SCRATCH


def test_predicting_grows_with_batch_networks_and_probabilities_that_are_kept_whole():
    scan, windows = header((64, 64, 64)), description(64, (64, 64, 64))
    voxels = 64**3
    one = peak_bytes(scan, windows, 1)
    assert one == voxels * (4 + 2 + 4 * (ACTIVATIONS + 6) + 4 * 6 + 3 * 4 * 6)
    assert peak_bytes(scan, windows, 3) - one == 2 * voxels * 4 * (ACTIVATIONS + 6)
    assert peak_bytes(scan, windows, 1, networks=5) - one == 4 * voxels * 4 * 6
    assert peak_bytes(scan, windows, 1, whole=1) - one == 2 * voxels * 4 * 6
    assert peak_bytes(scan, windows, 1, measures=3) - one == 3 * voxels * 4 * 5


@pytest.mark.parametrize(
    ("shape", "described", "measured_gib"),
    [
        ((512, 512, 600), description(512, (512, 512)), 2.49),
        ((512, 512, 600), description(384, (384, 384), (0.7 * 512 / 384, 0.7 * 512 / 384, None)), 2.21),
        ((256, 256, 256), description(256, (64, 64, 64), batch_size=4), 0.68),
    ],
)
def test_a_measured_peak_is_below_the_estimate(shape, described, measured_gib):
    """Without TensorFlow's own 0.83 GiB, with which the estimates are within 20 %."""
    estimate_gib = peak_bytes(header(shape), described, described.batch_size) / 2**30
    assert measured_gib + 0.83 < estimate_gib + 0.83 < 1.2 * (measured_gib + 0.83)


def test_batches_become_smaller_if_memory_is_short():
    scan, windows = header((64, 64, 64)), description(64, (64, 64, 64))
    needed = partial(peak_bytes, scan, windows)
    assert fitted_batch(needed, 8, needed(8)) == 8
    assert fitted_batch(needed, 8, needed(8) - 1) == 4
    assert fitted_batch(needed, 8, 0) == 1
