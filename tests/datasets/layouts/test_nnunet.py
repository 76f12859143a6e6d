import json

import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.inspection import find_faults
from tfseg.datasets.layouts import Case, read_dataset

DESCRIPTION = {
    "channel_names": {"1": "T1w", "0": "FLAIR"},
    "labels": {"background": 0, "oedema": 2, "necrosis": 1},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}


@pytest.fixture
def write(tmp_path):
    """Writes `dataset.json` with some keys replaced, and empty files for the names."""

    def write(*names, **replaced):
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "dataset.json").write_text(json.dumps({**DESCRIPTION, **replaced}))
        return tmp_path

    return write


def files_of(*cases, ending=".nii.gz"):
    return [f"imagesTr/{case}_{channel:04d}{ending}" for case in cases for channel in (0, 1)] + [
        f"labelsTr/{case}{ending}" for case in cases
    ]


def test_a_file_per_channel(write):
    folder = write(*files_of("b_01", "a"))
    read = read_dataset(folder)
    assert (read.name, read.layout, read.channels) == (folder.name, "nnunet", ("FLAIR", "T1w"))
    assert list(read.labels.items()) == [(1, "necrosis"), (2, "oedema")]
    assert (read.ignore_label, read.regions) == (None, {})
    images = folder / "imagesTr"
    assert read.cases == (
        Case("a", "a", (images / "a_0000.nii.gz", images / "a_0001.nii.gz"), folder / "labelsTr" / "a.nii.gz"),
        Case(
            "b_01", "b_01", (images / "b_01_0000.nii.gz", images / "b_01_0001.nii.gz"), folder / "labelsTr/b_01.nii.gz"
        ),
    )


def test_what_has_no_pair_is_a_case_with_a_missing_file(write):
    names = [name for name in files_of("a", "b", "c") if name not in ("labelsTr/a.nii.gz", "imagesTr/b_0001.nii.gz")]
    cases = read_dataset(write(*names[:-1], "labelsTr/d.nii.gz", "labelsTr/c.nii.gz")).cases
    missing = {case.name: [path.name for path in (*case.images, case.label) if not path.is_file()] for case in cases}
    assert missing == {
        "a": ["a.nii.gz"],
        "b": ["b_0001.nii.gz"],
        "c": [],
        "d": ["d_0000.nii.gz", "d_0001.nii.gz"],
    }


def test_what_macos_leaves_beside_files_is_no_case(write):
    folder = write(*files_of("a"), "imagesTr/._a_0000.nii.gz", "labelsTr/._a.nii.gz")
    assert [case.name for case in read_dataset(folder).cases] == ["a"]


def test_a_channel_that_is_not_declared_is_a_fault(write, save_volume):
    folder = write(*files_of("a"), channel_names={"0": "FLAIR"})
    image = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    for name in files_of("a"):
        save_volume(folder / name, image.astype(np.uint8) % 3 if "labels" in name else image)
    (fault,) = find_faults(read_dataset(folder))
    assert fault.message == f"{folder}/imagesTr/a_0000.nii.gz: 2 channels, but 1 are declared: FLAIR"


def test_an_ignore_label_is_none_of_the_labels(write):
    read = read_dataset(write(*files_of("a"), labels={"background": 0, "tumour": 1, "ignore": 2}))
    assert (read.labels, read.ignore_label) == ({1: "tumour"}, 2)


def test_regions_are_unions_of_labels(write):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    read = read_dataset(write(*files_of("a"), labels=labels))
    assert read.labels == {1: "label_1", 2: "label_2", 3: "enhancing"}
    assert read.regions == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert read.ignore_label == 4


def test_a_2d_image_in_colour_is_one_file(write):
    names = ["imagesTr/a_0000.png", "labelsTr/a.png"]
    channels = {"0": "R", "1": "G", "2": "B"}
    read = read_dataset(write(*names, file_ending=".png", channel_names=channels))
    assert [case.images for case in read.cases] == [(write() / "imagesTr" / "a_0000.png",)]


def test_an_ending_may_lack_its_dot(write):
    folder = write(*files_of("a", "b"), file_ending="nii.gz")
    assert read_dataset(folder) == read_dataset(write(file_ending=".nii.gz"))


def test_a_damaged_description_is_named(write):
    for replaced in (
        {"labels": {"background": 0, "a": 1.5}},
        {"labels": {"background": 0, "a": [1, True]}},
        {"labels": {"background": 0, "a": "one"}},
        {"labels": [1]},
        {"channel_names": {"first": "CT"}},
        {"channel_names": {"CT": 0, "PET": 0}},
        {"file_ending": None},
        {"dataset": {"a": {"image": "a.nii.gz", "label": "b.nii.gz"}}},
        {"dataset": ["a"]},
    ):
        folder = write(*files_of("a"), **replaced)
        with pytest.raises(DataError) as refused:
            read_dataset(folder)
        assert str(refused.value).startswith(f"{folder / 'dataset.json'}: not an nnU-Net description")
        assert "\n" not in str(refused.value)


def test_names_and_numbers_the_other_way_round_are_read_and_reported(write):
    folder = write(*files_of("a"))
    expected = read_dataset(folder)
    assert expected.warnings == ()
    labels = {"0": "background", "2": "oedema", "1": "necrosis"}
    for replaced, what in (
        ({"channel_names": {"T1w": 1, "FLAIR": "0"}}, "channel_names are read as name: number"),
        ({"labels": labels}, "labels are read as value: name"),
    ):
        read = read_dataset(write(**replaced))
        assert (read.channels, read.labels) == (expected.channels, expected.labels)
        (warning,) = read.warnings
        assert warning.startswith(f"{folder / 'dataset.json'}: {what}; nnU-Net expects ")


def test_a_byte_order_mark_is_no_damage(write):
    folder = write(*files_of("a"))
    for encoding in ("utf-8-sig", "utf-16"):
        (folder / "dataset.json").write_text(json.dumps(DESCRIPTION), encoding=encoding)
        assert read_dataset(folder).layout == "nnunet"


def test_an_ending_that_no_file_has_is_refused_with_those_that_they_have(write):
    folder = write(*files_of("a", "b", ending=".nii"))
    said = "no file in imagesTr and labelsTr ends in .nii.gz, the file_ending; there are 6 that end in .nii"
    with pytest.raises(DataError, match=f"^{folder}: {said}$"):
        read_dataset(folder)
    assert [case.name for case in read_dataset(write(file_ending=".nii")).cases] == ["a", "b"]


def test_files_that_are_left_out_are_reported(write):
    left_out = ["imagesTr/b_0000.nii", "imagesTr/c.nii.gz", "labelsTr/d.nrrd"]
    folder = write(*files_of("a"), *left_out)
    read = read_dataset(folder)
    assert [case.name for case in read.cases] == ["a"]
    (warning,) = read.warnings
    assert warning.startswith(f"{folder}: 3 files are not read, without the file_ending or the number of a channel")
    assert warning.endswith(": imagesTr/b_0000.nii, imagesTr/c.nii.gz, labelsTr/d.nrrd")


def test_files_that_the_key_dataset_does_not_list_are_reported(write):
    listed = {"a": {"images": ["scans/a.nii.gz"], "label": "scans/a_seg.nii.gz"}}
    folder = write(*files_of("b"), channel_names={"0": "CT"}, dataset=listed)
    (warning,) = read_dataset(folder).warnings
    files = "imagesTr/b_0000.nii.gz, imagesTr/b_0001.nii.gz, labelsTr/b.nii.gz"
    assert warning == f"{folder}: 3 files are not read, not listed in dataset.json: {files}"


def test_a_pair_may_be_named_by_the_file_of_its_voxels(write):
    pairs = (".hdr", ".img")
    folder = write(*(name for ending in pairs for name in files_of("a", ending=ending)), file_ending=".img")
    read = read_dataset(folder)
    assert [path.name for path in read.cases[0].files] == ["a_0000.hdr", "a_0001.hdr", "a.hdr"]
    assert read.warnings == ()


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"labels": {"1": "liver", "ignore": 0}}, "liver is not a whole number"),
        ({"file_ending": 7}, r"file_ending: expected a suffix, as "),
        ({"channel_names": ["CT"]}, r'channels: expected number: name, as {"0": "CT"}, received \[\'CT\'\]'),
        ({"labels": ["spleen"]}, r'labels: expected {"1": "spleen"} or {"spleen": 1}, received \[\'spleen\'\]'),
    ],
)
def test_what_is_not_names_and_numbers_is_refused(write, replaced, message):
    with pytest.raises(DataError, match=message):
        read_dataset(write(*files_of("a"), **replaced))


def test_an_ending_may_have_capitals(write):
    folder = write(*files_of("a"), *files_of("b", ending=".NII.GZ"))
    read = read_dataset(folder)
    assert [case.name for case in read.cases] == ["a", "b"]
    assert all(path.is_file() for case in read.cases for path in case.files)


def test_other_formats_are_read_by_their_ending(write):
    for ending in (".nrrd", ".mha", ".hdr", ".png"):
        folder = write(*files_of(f"x{ending[1:]}", ending=ending), file_ending=ending)
        (case,) = read_dataset(folder).cases
        assert {path.name for path in case.files} == {f"x{ending[1:]}{part}{ending}" for part in ("_0000", "_0001", "")}


def test_the_key_dataset_lists_files_in_any_folder(write, tmp_path):
    entries = {
        name: {"images": [f"{name}/t1.nii.gz", f"{name}/t2.nii.gz"], "label": f"{name}/seg.nii.gz"} for name in "ba"
    }
    entries["c"] = {"images": [str(tmp_path / "c" / "t1.nii.gz")] * 2, "label": "a/seg.nii.gz"}
    folder = write(dataset=entries)
    assert [(case.name, case.images[0], case.label) for case in read_dataset(folder).cases] == [
        (name, folder / name / "t1.nii.gz", folder / ("a" if name == "c" else name) / "seg.nii.gz") for name in "abc"
    ]


def test_a_real_dataset_is_read(shared):
    read = read_dataset(shared / "data" / "brats")
    assert (read.channels, len(read.cases)) == (("FLAIR", "T1c"), 4)
    assert read.labels == {1: "necrosis", 2: "oedema", 3: "non_enhancing", 4: "enhancing"}
    assert all(path.is_file() for case in read.cases for path in (*case.images, case.label))
