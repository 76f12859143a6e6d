"""Scans to prepare."""

from collections.abc import Callable
from types import MappingProxyType

import nibabel as nib
import numpy as np
import pytest

from tfseg.datasets.layouts import Dataset, read_dataset


@pytest.fixture
def scans() -> dict[str, tuple[np.ndarray, ...]]:
    """Three scans as arrays and affines by case: other shapes, other orientations, labels 2 and 300."""
    made = {}
    for number, shape in enumerate([(6, 7, 4), (5, 4, 8), (7, 7, 3)]):
        rng = np.random.default_rng(number)
        affine = np.diag([1, 1, 3, 1.0])[:, [*np.roll(range(3), number), 3]]
        label = rng.choice([0, 2, 300], shape).astype(np.int16)
        made[f"case_{number}"] = rng.normal(0, 1, shape).astype(np.float32), label, affine, affine
    return made


@pytest.fixture
def write_scans(make_decathlon, tmp_path) -> Callable[..., Dataset]:
    """Writes scans as a dataset in the Decathlon's layout, and reads it."""

    def write(scans, channels=("MRI",), labels=MappingProxyType({2: "core", 300: "rim"})):
        images = {
            name: (nib.Nifti1Image(image, affine), nib.Nifti1Image(label, label_affine))
            for name, (image, label, affine, label_affine) in scans.items()
        }
        return read_dataset(make_decathlon(tmp_path / "data", images, labels, channels))

    return write


@pytest.fixture
def dataset(write_scans, scans) -> Dataset:
    """The three scans of `scans`."""
    return write_scans(scans)
