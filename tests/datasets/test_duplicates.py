import json

import nibabel as nib
import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.duplicates import check_not_label, digests_of
from tfseg.datasets.grids import Volume, stored_like
from tfseg.datasets.inspection import find_faults, sound_cases
from tfseg.datasets.layouts import Case, read_dataset
from tfseg.datasets.reading import read_case

SHAPE = (5, 6, 7)
RAS, LPI = np.diag([1.0, 2, 3, 1]), np.array([[0, -2, 0, 10], [-1.0, 0, 0, 4], [0, 0, -3, 18], [0, 0, 0, 1]])


def noise(seed):
    return np.random.default_rng(seed).normal(100, 20, SHAPE).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    """Writes nnU-Net data of the given images by case, each an array with its affine."""

    def write(images, labels=()):
        for folder in ("imagesTr", "labelsTr"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for number, (name, (image, affine)) in enumerate(images.items()):
            label = labels[number] if labels else (np.random.default_rng(number).random(image.shape) > 0.5).astype("u1")
            nib.save(nib.Nifti1Image(image, affine), tmp_path / "imagesTr" / f"{name}_0000.nii.gz")
            nib.save(nib.Nifti1Image(label, affine), tmp_path / "labelsTr" / f"{name}.nii.gz")
        description = {"channel_names": {"0": "T1"}, "labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz"}
        (tmp_path / "dataset.json").write_text(json.dumps(description))
        return read_dataset(tmp_path)

    return write


def test_a_digest_is_that_of_the_voxels_in_any_order():
    volume = Volume(noise(0)[..., np.newaxis], RAS)
    turned = stored_like(volume, LPI)
    assert turned.array.shape != volume.array.shape
    moved = Volume(np.ascontiguousarray(volume.array), RAS @ np.diag([2, 2, 2, 1]))
    assert digests_of(volume) == digests_of(turned) == digests_of(moved)
    assert digests_of(volume) != digests_of(Volume(volume.array[::-1], RAS))
    assert digests_of(Volume(noise(1)[..., np.newaxis], RAS)) != digests_of(volume)
    assert digests_of(Volume(np.full((*SHAPE, 2), 3, np.float32), RAS)) == ("", "")


def test_one_scan_under_two_subjects_is_a_fault_of_the_second(write):
    turned = stored_like(Volume(noise(0), RAS), LPI)
    dataset = write({"a": (noise(0), RAS), "b": (noise(1), RAS), "c": (turned.array, turned.affine)})
    (fault,) = find_faults(dataset)
    folder = dataset.cases[0].images[0].parent
    assert fault.message.startswith(f"{folder}/c_0000.nii.gz: the same voxels as {folder}/a_0000.nii.gz, of another s")
    assert [case.name for case in sound_cases(dataset, skip_bad=True).dataset.cases] == ["a", "b"]


def test_one_scan_twice_of_one_subject_is_no_leak(write):
    write({"p1_a": (noise(0), RAS), "p1_b": (noise(0), RAS), "p2_a": (noise(1), RAS)})
    folder = write({}).cases[0].images[0].parents[1]
    assert find_faults(read_dataset(folder, "^p[0-9]")) == []
    assert [fault.case for fault in find_faults(read_dataset(folder))] == ["p1_b"]


def test_an_image_that_is_its_label_map_is_refused(write):
    label = (noise(0) > 100).astype(np.uint8)
    for image in (label, label * 255.0, label.astype(np.float32)):
        dataset = write({"a": (image.astype(np.float32), RAS)}, [label])
        (fault,) = find_faults(dataset)
        assert fault.message.endswith("a_0000.nii.gz: the image is its label map, a.nii.gz")
        with pytest.raises(DataError, match="the image is its label map"):
            read_case(dataset.cases[0], dataset)
    flipped = stored_like(Volume(label, RAS), LPI)
    nib.save(nib.Nifti1Image(flipped.array, flipped.affine), dataset.cases[0].label_file)
    assert len(find_faults(dataset)) == 1


def test_an_image_like_its_label_map_is_none():
    label = (noise(0) > 100).astype(np.uint8)
    case = Case("a", "a", (), None)
    almost = label.astype(np.float32)
    almost[2, 3, 4] += 0.5
    for image in (almost, label + noise(1), 1 - label.astype(np.float32), np.zeros(SHAPE, np.float32)):
        check_not_label(case, image[..., np.newaxis].astype(np.float32), label)
    check_not_label(case, np.zeros((*SHAPE, 1), np.float32), label * 0)
