"""Masks that are kept: the same voxels, as long as nothing they depend on has changed."""

import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfseg.datasets.layouts import Case
from tfseg.preparation.kept_masks import KeptMasks
from tfseg.preparation.steps import Recipe

REGION = Recipe(skull_strip="region")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    (folder / "a.nii").write_bytes(b"voxels")
    return Case("a", "a", (folder / "a.nii",), folder / "label.nii")


@given(mask=arrays.arrays(bool, st.tuples(*[st.integers(1, 9)] * 3)), fortran=st.booleans())
def test_a_mask_comes_back_as_it_was(case, mask, fortran):
    kept = KeptMasks(case.images[0].parent / "masks")
    kept.write(case, REGION, np.asfortranarray(mask) if fortran else mask)
    found = kept.read(case, REGION)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask)


def test_a_mask_does_not_outlive_what_it_was_made_from(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"voxels")
    case = Case("a", "a", (tmp_path / "a.nii",), tmp_path / "label.nii")
    kept = KeptMasks(tmp_path / "masks")
    assert kept.read(case, REGION) is None
    kept.write(case, REGION, np.ones((2, 3, 4), bool))
    for other in (Recipe(skull_strip="region", skull_strip_channel=1), Recipe(scaling_over="body")):
        assert kept.read(case, other) is None
    assert kept.read(case, Recipe(skull_strip="region", median_kernel=3)) is not None
    before = (tmp_path / "a.nii").stat()
    (tmp_path / "a.nii").write_bytes(b"VOXELS")
    os.utime(tmp_path / "a.nii", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert kept.read(case, REGION) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_a_damaged_file_counts_as_none(tmp_path, content):
    (tmp_path / "a.nii").write_bytes(b"voxels")
    case = Case("a", "a", (tmp_path / "a.nii",), tmp_path / "label.nii")
    (tmp_path / "a.npz").write_bytes(content)
    assert KeptMasks(tmp_path).read(case, REGION) is None


def test_a_member_that_is_no_array_counts_as_none(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"voxels")
    case = Case("a", "a", (tmp_path / "a.nii",), tmp_path / "label.nii")
    KeptMasks(tmp_path).write(case, REGION, np.ones((2, 3, 4), bool))
    with np.load(tmp_path / "a.npz") as stored:
        made_from, shape = stored["made_from"], stored["shape"]
    np.savez(tmp_path / "a.npz", made_from=made_from, shape=shape)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("bits.npy", pickle.dumps({"not": "bits"}))
    assert KeptMasks(tmp_path).read(case, REGION) is None


def test_a_folder_has_its_name_once_it_is_finished(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"voxels")
    case = Case("a", "a", (tmp_path / "a.nii",), tmp_path / "label.nii")
    KeptMasks.of(tmp_path / "out").write(case, REGION, np.ones((2, 2, 2), bool))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".unfinished-masks"]
    KeptMasks.of(tmp_path / "out").finish()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["masks"]
    KeptMasks.of(tmp_path / "out").finish()
    assert KeptMasks.of(tmp_path / "out").read(case, REGION).all()
