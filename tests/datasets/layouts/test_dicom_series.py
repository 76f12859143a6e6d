import shutil

import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.inspection import find_faults, without_faulty
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.reading import read_case, read_case_image, read_case_label

AFFINE = np.diag([-0.7, -0.8, 2.5, 1])
SCAN = np.arange(210).reshape(5, 6, 7).astype(np.int16)
LABEL = (SCAN > 150).astype(np.uint8)


def test_a_series_per_case_beside_labels(tmp_path, save_series, save_volume):
    for case in ("b", "a"):
        save_series(tmp_path / "images" / case, SCAN, AFFINE)
        save_volume(tmp_path / "labels" / f"{case}.nii.gz", LABEL, AFFINE)
    read = read_dataset(tmp_path)
    assert (read.layout, read.channels, read.labels) == ("dicom", ("CT",), {1: "foreground"})
    assert [(case.name, case.subject, case.images) for case in read.cases] == [
        (case, case, (tmp_path / "images" / case,)) for case in ("a", "b")
    ]


def test_a_label_in_the_folder_of_each_case(tmp_path, save_series, save_volume):
    save_series(tmp_path / "p1" / "scan", SCAN, AFFINE, modality="MR")
    save_volume(tmp_path / "p1" / "liver.nii.gz", LABEL, AFFINE)
    save_series(tmp_path / "p2", SCAN, AFFINE, modality="MR")
    save_volume(tmp_path / "p2" / "liver.nii.gz", LABEL, AFFINE)
    read = read_dataset(tmp_path)
    assert read.channels == ("MR",)
    assert [case.images for case in read.cases] == [(tmp_path / "p1" / "scan",), (tmp_path / "p2",)]


def test_a_series_in_colour_has_three_channels(tmp_path, save_series, save_volume):
    colours = np.random.default_rng(0).integers(0, 256, (*SCAN.shape, 3), np.uint8)
    save_series(tmp_path / "images" / "a", colours, AFFINE, modality="XC")
    save_volume(tmp_path / "labels" / "a.nii.gz", LABEL, AFFINE)
    read = read_dataset(tmp_path)
    assert read.channels == ("XC_0", "XC_1", "XC_2")
    np.testing.assert_array_equal(read_case(read.cases[0], read)[0].array, colours)


def test_several_series_are_channels(tmp_path, save_series, save_volume):
    for case, series in (("p1", ("T2", "T1")), ("p2", ("T1",))):
        for name in series:
            save_series(tmp_path / case / name, SCAN, AFFINE)
        save_volume(tmp_path / case / "label.nii", LABEL, AFFINE)
    read = read_dataset(tmp_path)
    assert read.channels == ("T1", "T2")
    assert [case.images for case in read.cases] == [
        (tmp_path / case / "T1", tmp_path / case / "T2") for case in ("p1", "p2")
    ]


def test_labels_stored_in_another_order_are_turned_to_the_scan(tmp_path, save_series, save_volume):
    save_series(tmp_path / "p" / "scan", SCAN, AFFINE)
    flipped = AFFINE @ np.array([[1, 0, 0, 0], [0, -1, 0, 5], [0, 0, -1, 6], [0, 0, 0, 1]])
    save_volume(tmp_path / "p" / "label.nii.gz", LABEL[:, ::-1, ::-1], flipped)
    read = read_dataset(tmp_path)
    image, label = read_case_image(read.cases[0]), read_case_label(read.cases[0], read)
    np.testing.assert_array_equal(image.array[..., 0] > 150, label.array == 1)


def test_a_case_without_a_pair_has_a_missing_file(tmp_path, save_series, save_volume):
    for case in ("a", "b"):
        save_series(tmp_path / case / "scan", SCAN, AFFINE)
    save_volume(tmp_path / "a" / "label.nii.gz", LABEL, AFFINE)
    assert [case.label.is_file() for case in read_dataset(tmp_path).cases] == [True, False]


def test_a_segmentation_beside_the_series_is_no_channel(tmp_path, save_series, save_file, save_volume):
    for case in "ab":
        save_series(tmp_path / "images" / case / "CT", SCAN + ord(case), AFFINE)
        for kind, uid in (("SEG", "66.4"), ("RTSTRUCT", "481.3"), ("RTDOSE", "481.2")):
            tags = {"SOPClassUID": f"1.2.840.10008.5.1.4.1.1.{uid}", "Modality": kind}
            save_file(tmp_path / "images" / case / kind / "1.dcm", tags, SCAN[..., 0])
        save_volume(tmp_path / "labels" / f"{case}.nrrd.nii.gz", LABEL, AFFINE)
        (tmp_path / "labels" / f"{case}.nrrd.nii.gz").rename(tmp_path / "labels" / f"{case}.NII.GZ")
    (tmp_path / "images" / ".cache").mkdir()
    (tmp_path / "labels" / "notes.txt").touch()
    (tmp_path / "images" / "b" / "CT" / "info.json").write_text("{}")
    read = read_dataset(tmp_path)
    assert (read.channels, [case.name for case in read.cases]) == (("CT",), ["a", "b"])
    assert find_faults(read) == []
    assert read.warnings == (
        *(
            f"{tmp_path}/images/{case}/{kind}/1.dcm: {kind}, a {what}, which is not read"
            for case in "ab"
            for kind, what in (("RTDOSE", "dose distribution"), ("RTSTRUCT", "structure set"), ("SEG", "segmentation"))
        ),
        f"{tmp_path}: 1 file is not read, not DICOM: images/b/CT/info.json",
        f"{tmp_path}: 1 file is not read, not of a volume format: labels/notes.txt",
    )


def test_a_radiographs_label_map_may_count_a_millimetre_for_each_pixel(tmp_path, save_series, save_volume):
    affine = np.diag([-0.2, -0.3, 1, 1])
    for case in "ab":
        one = SCAN[..., :1] + ord(case)
        save_series(tmp_path / "images" / case, one, affine, modality="CR")
        save_volume(tmp_path / "labels" / f"{case}.nii.gz", LABEL[..., :1] + 1, np.diag([-1.0, -1, 1, 1]))
    read = read_dataset(tmp_path)
    assert find_faults(read) == []
    image, label = read_case(read.cases[0], read)
    assert image.spacing_mm[:2] == label.spacing_mm[:2] == pytest.approx((0.2, 0.3))
    save_volume(tmp_path / "labels" / "b.nii.gz", LABEL[..., :1] + 1, np.diag([-0.5, -1, 1, 1]))
    (fault,) = find_faults(read)
    assert "labels/b.nii.gz: its affine is not that of b" in fault.message


def test_two_labels_in_a_case_are_refused(tmp_path, save_series, save_volume):
    save_series(tmp_path / "a", SCAN, AFFINE)
    for name in ("liver", "spleen"):
        save_volume(tmp_path / "a" / f"{name}.nii.gz", LABEL, AFFINE)
    with pytest.raises(DataError, match=r"a: expected one label map, found liver\.nii\.gz, spleen\.nii\.gz"):
        read_dataset(tmp_path)


@pytest.fixture
def three_cases(tmp_path, save_series, save_volume):
    for case in "abc":
        save_series(tmp_path / "images" / case, SCAN + ord(case), AFFINE)
        save_volume(tmp_path / "labels" / f"{case}.nii.gz", LABEL, AFFINE)
    return tmp_path


def empty_files(folder):
    for file in folder.iterdir():
        file.write_bytes(b"")


def no_files(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def one_level_deeper(folder):
    moved = folder.rename(folder.with_name("moved"))
    (folder / "study").mkdir(parents=True)
    moved.rename(folder / "study" / "series")


@pytest.mark.parametrize("damage", [empty_files, no_files, one_level_deeper])
def test_a_folder_without_a_series_is_a_fault_of_its_case(three_cases, damage):
    damage(three_cases / "images" / "a")
    read = read_dataset(three_cases)
    assert read.channels == ("CT",)
    (fault,) = faults = find_faults(read)
    message = "expected the files of a DICOM series in the folder itself, found none"
    assert fault.message == f"{three_cases / 'images' / 'a'}: {message}"
    assert [case.name for case in without_faulty(read, faults).cases] == ["b", "c"]


def test_a_label_without_a_series_has_a_missing_folder(three_cases):
    shutil.rmtree(three_cases / "images" / "a")
    (three_cases / "labels" / "b.nii.json").touch()
    read = read_dataset(three_cases)
    assert [case.name for case in read.cases] == ["a", "b", "c"]
    (fault,) = find_faults(read)
    assert fault.message == f"{three_cases / 'images' / 'a'}: no such file"


def test_folders_with_neither_a_series_nor_a_label_map_are_reported(three_cases):
    (three_cases / "images" / "empty").mkdir()
    (three_cases / "images" / "notes").mkdir()
    (three_cases / "images" / "notes" / "a.txt").touch()
    assert read_dataset(three_cases).warnings == tuple(
        f"{three_cases}/images/{name}: neither DICOM images nor a label map; it is not read"
        for name in ("empty", "notes")
    )


def test_a_slice_whose_link_is_broken_is_a_fault(three_cases):
    """As data managers leave a file that is not fetched: without it the series would only seem shorter."""
    read = read_dataset(three_cases)
    first = min((three_cases / "images" / read.cases[0].name).iterdir())
    first.unlink()
    first.symlink_to("not fetched")
    (fault,) = find_faults(read)
    assert fault.case == read.cases[0].name
    assert f"{first}: not a readable DICOM file: " in fault.message
