import gzip
import json
import os
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from tfseg.core import memory
from tfseg.core.errors import DataError
from tfseg.datasets import inspection, volume
from tfseg.datasets.inspection import Fault, find_faults, inspect, sound_cases, without_faulty
from tfseg.datasets.layouts import Case, Dataset, read_dataset
from tfseg.datasets.reading import read_case, read_case_header, read_case_image

SHAPE = (16, 17, 12)
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])


def scan(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(100, 20, SHAPE).astype(np.float32), rng.integers(0, 3, SHAPE).astype(np.uint8)


@pytest.fixture
def dataset(tmp_path, save_volume):
    """Three sound cases of two channels, in nnU-Net's layout."""
    for seed, name in enumerate("abc"):
        image, label = scan(seed)
        save_volume(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", image, AFFINE)
        save_volume(tmp_path / "imagesTr" / f"{name}_0001.nii.gz", -image, AFFINE)
        save_volume(tmp_path / "labelsTr" / f"{name}.nii.gz", label, AFFINE)
    description = {
        "channel_names": {"0": "T1w", "1": "T2w"},
        "labels": {"background": 0, "core": 1, "rim": 2},
        "file_ending": ".nii.gz",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    return read_dataset(tmp_path)


def rewrite(path, change, affine=AFFINE):
    array = change(np.asanyarray(nib.load(path).dataobj).copy())
    nib.save(nib.Nifti1Image(array, affine, dtype=array.dtype), path)


def set_value(value, dtype=np.float32):
    def change(array):
        array = array.astype(dtype)
        array[1, 2, 3] = value
        return array

    return change


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 4 // 5])


def ask_for_memory(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[40:56] = struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(bytes(content)))


def flattened(array):
    return np.full_like(array, 7)


IMAGE, OTHER, LABEL = "imagesTr/b_0000.nii.gz", "imagesTr/b_0001.nii.gz", "labelsTr/b.nii.gz"
# What is done to which file of case b, the file that is named and what is said of it, and whether headers show it.
BROKEN = {
    "empty file": (IMAGE, lambda path: path.write_bytes(b""), IMAGE, "not a readable NIfTI file: it is empty", True),
    "not NIfTI": (LABEL, lambda path: path.write_bytes(b"no" * 300), LABEL, "not a readable NIfTI file: ", True),
    "truncated image": (OTHER, truncate, OTHER, "not a readable NIfTI file: ", False),
    "truncated label": (LABEL, truncate, LABEL, "not a readable NIfTI file: Compressed file ended before", True),
    "missing image": (OTHER, lambda path: path.unlink(), OTHER, "no such file", True),
    "missing label": (LABEL, lambda path: path.unlink(), LABEL, "no such file", True),
    "memory": (IMAGE, ask_for_memory, IMAGE, "its header asks for 1.08e+05 GB", True),
    "channels' shapes": (
        OTHER,
        lambda path: rewrite(path, lambda a: a[:-1]),
        OTHER,
        "its shape is (15, 17, 12), ",
        True,
    ),
    "label's shape": (LABEL, lambda path: rewrite(path, lambda a: a[:-1]), LABEL, "its shape is (15, 17, 12), ", True),
    "channels' affines": (OTHER, lambda path: rewrite(path, lambda a: a, np.eye(4)), OTHER, "its affine is not", True),
    "label's affine": (LABEL, lambda path: rewrite(path, lambda a: a, np.eye(4)), LABEL, "its affine is not", True),
    "NaN": (IMAGE, lambda path: rewrite(path, set_value(np.nan)), IMAGE, "1 voxels are NaN or infinite", False),
    "infinite": (OTHER, lambda path: rewrite(path, set_value(np.inf)), OTHER, "1 voxels are NaN or infinite", False),
    "not whole": (LABEL, lambda path: rewrite(path, set_value(1.5)), LABEL, "labels must be whole numbers", False),
    "not declared": (
        LABEL,
        lambda path: rewrite(path, set_value(9, np.uint8)),
        LABEL,
        "label values [9] are not declared; [1, 2] are",
        False,
    ),
    "4D label": (
        LABEL,
        lambda path: rewrite(path, lambda a: np.stack([a, a], axis=-1)),
        LABEL,
        "expected a 3D label map, its shape is (16, 17, 12, 2)",
        True,
    ),
    "more channels": (
        IMAGE,
        lambda path: rewrite(path, lambda a: np.stack([a, a], axis=-1)),
        IMAGE,
        "3 channels, but 2 are declared: T1w, T2w",
        True,
    ),
    "one value": (
        IMAGE,
        lambda path: rewrite(path, flattened),
        IMAGE,
        "an empty image, every voxel has the value 7",
        False,
    ),
    "no voxels": (
        LABEL,
        lambda path: rewrite(path, lambda a: a[:0]),
        LABEL,
        "an empty image, its shape is (0, 17, 12)",
        True,
    ),
}


@pytest.mark.parametrize(("file", "damage", "named", "said", "in_headers"), BROKEN.values(), ids=BROKEN)
def test_every_fault_is_one_line_that_names_its_file(dataset, tmp_path, file, damage, named, said, in_headers):
    damage(tmp_path / file)
    (fault,) = find_faults(dataset)
    assert fault.case == "b"
    assert fault.file == tmp_path / named
    assert fault.message.startswith(f"{tmp_path / named}: {said}")
    assert "\n" not in fault.message
    assert find_faults(dataset, values=False) == ([fault] if in_headers else [])
    left = without_faulty(dataset, [fault])
    assert [case.name for case in left.cases] == ["a", "c"]
    assert left.left_out == {dataset.cases[1]: fault.message}
    assert find_faults(left) == []


def test_a_sound_dataset_has_no_faults(dataset):
    done = []
    assert find_faults(dataset, lambda: done.append(1)) == []
    assert len(done) == 3


def test_several_faults_of_a_case_are_all_reported(dataset, tmp_path):
    (tmp_path / LABEL).unlink()
    rewrite(tmp_path / IMAGE, set_value(np.nan))
    truncate(tmp_path / OTHER)
    faults = find_faults(dataset)
    assert sorted(fault.file.name for fault in faults) == ["b.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"]


def test_a_header_is_enough_to_refuse_what_memory_cannot_hold(dataset, monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda: 100)
    monkeypatch.setattr(volume, "_scaled", None)  # reading would fail
    assert len(find_faults(dataset)) == 9


@pytest.mark.parametrize(("memory_bytes", "most"), [(10**9, 3), (300_000, 1)])
def test_cases_that_are_large_beside_memory_are_read_one_by_one(dataset, monkeypatch, memory_bytes, most):
    monkeypatch.setattr(inspection.os, "cpu_count", lambda: 3)
    monkeypatch.setattr(memory, "memory_bytes", lambda: memory_bytes)
    at_work, seen, together = set(), [], threading.Barrier(most)
    check = inspection.check_declared

    def slowly(path, *arguments):
        at_work.add(path)
        together.wait(timeout=10)
        time.sleep(0.05)
        seen.append(len(at_work))
        together.wait(timeout=10)
        at_work.remove(path)
        check(path, *arguments)

    monkeypatch.setattr(inspection, "check_declared", slowly)
    assert find_faults(dataset) == []
    assert seen == [most] * 3


def test_two_cases_of_one_name_are_both_faults(dataset):
    first, second, _ = dataset.cases
    twice = replace(dataset, cases=(first, replace(second, name="a"), dataset.cases[2]))
    faults = find_faults(twice, values=False)
    assert [fault.message for fault in faults] == [
        f"{case.images[0]}: 2 cases have the name a; the column case of a manifest.csv can tell them apart"
        for case in (first, second)
    ]
    assert [case.name for case in without_faulty(twice, faults).cases] == ["c"]


def test_leaving_out_every_case_is_refused(dataset):
    faults = [Fault(case.name, case.label, f"{case.label}: bad") for case in dataset.cases]
    with pytest.raises(DataError, match=r"every case has a fault; the first: .*a\.nii\.gz: bad"):
        without_faulty(dataset, faults)


def test_faults_of_headers_are_refused_before_any_voxel_is_read(dataset, tmp_path, monkeypatch):
    assert sound_cases(dataset, skip_bad=False).dataset == dataset
    (tmp_path / LABEL).unlink()
    (tmp_path / OTHER).unlink()
    monkeypatch.setattr(volume, "_scaled", None)  # reading would fail
    with pytest.raises(DataError) as refused:
        sound_cases(dataset, skip_bad=False)
    assert str(refused.value).startswith(f"{tmp_path / OTHER}: no such file (cases with a fault: 1 of 3; tfseg inspect")


def test_cases_with_any_fault_are_skipped_on_request(dataset, tmp_path):
    rewrite(tmp_path / IMAGE, set_value(np.nan))
    assert sound_cases(dataset, skip_bad=False).dataset == dataset  # what preparation reads, it refuses
    done = []
    left = sound_cases(dataset, skip_bad=True, on_case=lambda: done.append(1)).dataset
    assert [case.name for case in left.cases] == ["a", "c"]
    assert left.left_out == {dataset.cases[1]: f"{tmp_path / IMAGE}: 1 voxels are NaN or infinite"}
    assert len(done) == 3


def test_a_name_that_is_not_utf8_is_a_fault_that_can_be_printed(tmp_path, save_image_2d):
    rows = np.arange(30, dtype=np.uint8).reshape(5, 6)
    for number, name in enumerate((b"a.png", b"p\xe9.png")):
        for folder in ("images", "masks"):
            path = save_image_2d(tmp_path / folder / "x.png", rows + number if folder == "images" else rows % 2)
            os.rename(os.fsencode(path), os.fsencode(path.parent) + b"/" + name)
    dataset = read_dataset(tmp_path)
    faults = find_faults(dataset, values=False)
    assert [fault.message for fault in faults] == [
        f"{tmp_path}/{folder}/p\\xe9.png: its name is not UTF-8; rename it" for folder in ("images", "masks")
    ]
    left = without_faulty(dataset, faults)
    assert [case.name for case in left.cases] == ["a"]
    assert [case.name for case in left.left_out] == ["p\\xe9"]


def test_what_was_left_out_before_stays_left_out(dataset):
    first = without_faulty(dataset, [Fault("b", dataset.cases[1].label, "bad")])
    both = without_faulty(first, [Fault("a", dataset.cases[0].label, "worse")])
    assert both.left_out == {dataset.cases[1]: "bad", dataset.cases[0]: "worse"}


def test_2d_images_are_inspected_too(tmp_path, save_image_2d):
    rows = np.arange(30, dtype=np.uint8).reshape(5, 6)
    for name in "ab":
        save_image_2d(tmp_path / "images" / f"{name}.png", rows)
        save_image_2d(tmp_path / "masks" / f"{name}.png", np.where(rows > 20, 255, 0).astype(np.uint8))
    save_image_2d(tmp_path / "masks" / "a.png", rows[:4] * 0)
    save_image_2d(tmp_path / "images" / "c.png", np.stack([rows] * 3, axis=-1))
    messages = [fault.message for fault in find_faults(read_dataset(tmp_path))]
    assert messages == [
        f"{tmp_path}/masks/a.png: its shape is (6, 4, 1), that of a.png (6, 5, 1)",
        f"{tmp_path}/masks/c.png: no such file",
        f"{tmp_path}/images/c.png: 3 channels, but 1 are declared: grey",
    ]


def test_an_inspection_reads_faults_and_the_fingerprint_of_the_rest(dataset, tmp_path):
    (tmp_path / LABEL).unlink()
    faults, fingerprint, _ = inspect(dataset)
    assert [fault.case for fault in faults] == ["b"]
    assert (fingerprint.cases, fingerprint.subjects) == (2, 2)
    assert {each.name: each.voxels for each in fingerprint.labels} == {
        name: sum(np.count_nonzero(scan(seed)[1] == value) for seed in (0, 2))
        for value, name in ((1, "core"), (2, "rim"))
    }


def test_without_a_sound_case_there_is_no_fingerprint(tmp_path):
    nowhere = tmp_path / "nowhere.nii"
    dataset = Dataset("set", ("a",), {1: "one"}, (Case("x", "x", (nowhere,), nowhere),))
    faults, fingerprint, _ = inspect(dataset)
    assert [fault.message for fault in faults] == [f"{nowhere}: no such file"] * 2
    assert fingerprint is None


@pytest.mark.parametrize("name", ["hippocampus", "brats"])
def test_real_headers_have_no_faults(shared, name):
    assert find_faults(read_dataset(shared / "data" / name), values=False) == []


OPENED: list[str] = []


def record(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        OPENED.append(os.fsdecode(arguments[0]))


@pytest.fixture(scope="module")
def opened():
    """The files that Python opens; an audit hook stays for the life of the process."""
    sys.addaudithook(record)
    return OPENED


def test_an_inspection_and_a_header_check_open_each_file_once(dataset, opened):
    files = {str(path) for case in dataset.cases for path in case.files}
    for examine in (inspect, find_faults, lambda data: sound_cases(data, skip_bad=False)):
        opened.clear()
        examine(dataset)
        assert Counter(path for path in opened if path in files) == dict.fromkeys(files, 1)


def test_a_case_without_a_label_map_is_inspected_too(dataset):
    unlabelled = replace(dataset, cases=(replace(dataset.cases[0], label=None), *dataset.cases[1:]))
    faults, fingerprint, _ = inspect(unlabelled)
    assert faults == []
    assert (fingerprint.cases, [label.cases for label in fingerprint.labels]) == (3, [2, 2])
    with pytest.raises(DataError, match=r"a_0000\.nii\.gz: the case a has no label map"):
        read_case(unlabelled.cases[0], unlabelled)
    assert read_case_image(unlabelled.cases[0]).array.shape == (*SHAPE, 2)
    assert read_case_header(unlabelled.cases[0]).channels == 2
