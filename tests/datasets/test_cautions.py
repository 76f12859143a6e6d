import json

import nibabel as nib
import numpy as np
import pytest

from tfseg.datasets.inspection import inspect, sound_cases
from tfseg.datasets.layouts import read_dataset

SHAPE = (8, 9, 4)


@pytest.fixture
def write(tmp_path):
    """Writes nnU-Net data: images and label maps by case, and which of the cases have sform and qform codes of 0."""

    def write(images, labels, names=None, channel="T1", codes_zero=()):
        for folder in ("imagesTr", "labelsTr"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for name, image in images.items():
            for place, array in ((f"imagesTr/{name}_0000", image), (f"labelsTr/{name}", labels[name])):
                written = nib.Nifti1Image(array, np.eye(4))
                if name in codes_zero:
                    written.header.set_sform(None, 0)
                    written.header.set_qform(None, 0)
                    written = nib.Nifti1Image(array, None, written.header)
                nib.save(written, tmp_path / f"{place}.nii.gz")
        description = {"channel_names": {"0": channel}, "labels": names or {"background": 0, "a": 1, "b": 2}}
        (tmp_path / "dataset.json").write_text(json.dumps({**description, "file_ending": ".nii.gz"}))
        return read_dataset(tmp_path)

    return write


def noise(seed, low=0.0, high=1000.0):
    return np.random.default_rng(seed).uniform(low, high, SHAPE).astype(np.float32)


def labels(names, values=(0, 1, 2)):
    return {name: np.resize(np.array(values, np.uint8), SHAPE) for name in names}


def test_a_usual_dataset_has_no_cautions(write):
    dataset = write({name: noise(seed) for seed, name in enumerate("abcd")}, labels("abcd"))
    assert inspect(dataset).warnings == ()
    assert sound_cases(dataset, skip_bad=False).dataset.warnings == ()


def test_a_ct_in_other_units_than_the_rest_is_named(write):
    for low, high in ((0, 255), (24, 4000), (-1, 1)):
        images = {name: noise(seed, -1000, 2000) for seed, name in enumerate("abcd")} | {"e": noise(9, low, high)}
        images["e"].flat[:2] = low, high
        for channel in ("CT", "image"):  # stated, or known by most cases
            (warning,) = inspect(write(images, labels("abcde"), channel=channel)).warnings
            assert f"imagesTr/e_0000.nii.gz: values of {low} to {high} in {channel}, -99" in warning
            assert warning.endswith("in most cases: are they in other units?")


def test_an_mr_in_another_scale_than_the_rest_is_named(write):
    images = {name: noise(seed) for seed, name in enumerate("abcdef")} | {"g": noise(9, 0, 1)}
    (warning,) = inspect(write(images, labels("abcdefg"))).warnings
    assert "imagesTr/g_0000.nii.gz: values of " in warning


def test_labels_in_no_case_and_in_one_subject_are_named(write):
    dataset = write(
        {name: noise(seed) for seed, name in enumerate("abcd")},
        labels("abc", (0, 1)) | labels("d", (0, 1, 2)),
        {"background": 0, "a": 1, "b": 2, "c": 3},
    )
    folder = dataset.name
    assert inspect(dataset).warnings == (
        f"{folder}: the label b (2) is in one subject, d: no split can train and test it",
        f"{folder}: the label c (3) is in no case",
    )


def test_label_maps_without_a_background_are_reported(write):
    dataset = write({name: noise(seed) for seed, name in enumerate("abcd")}, labels("abcd", (1, 2)))
    said = f"{dataset.name}: no label map has a voxel of 0, the background; 1 is read as a structure"
    assert inspect(dataset).warnings == (said,)


def test_subjects_that_differ_in_leading_zeros_are_named(write):
    names = ["001", "1", "10", "100", "2", "02", "a1b", "a01b", "a10b", "0"]
    dataset = write({name: noise(seed) for seed, name in enumerate(names)}, labels(names))
    for warnings in (inspect(dataset).warnings, sound_cases(dataset, skip_bad=False).dataset.warnings):
        listed = sorted(" ".join(warning.split()[3:6]) for warning in warnings)
        assert listed == ["001 and 1", "02 and 2", "a01b and a1b"]


def test_files_without_an_orientation_among_others_are_named(write):
    images = {name: noise(seed) for seed, name in enumerate("abcd")}
    dataset = write(images, labels("abcd"), codes_zero="bd")
    for warnings in (inspect(dataset).warnings, sound_cases(dataset, skip_bad=False).dataset.warnings):
        assert [warning.split(":")[0].split("/")[-1] for warning in warnings] == [
            f"{name}{channel}.nii.gz" for name in "bd" for channel in ("_0000", "")
        ]
        assert all("states no orientation (in NIfTI: sform and qform codes 0)" in warning for warning in warnings)
    assert inspect(write(images, labels("abcd"), codes_zero="abcd")).warnings == ()
