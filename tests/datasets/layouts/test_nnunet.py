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


def test_a_picture_in_colour_is_one_file(write):
    names = ["imagesTr/a_0000.png", "labelsTr/a.png"]
    channels = {"0": "R", "1": "G", "2": "B"}
    read = read_dataset(write(*names, file_ending=".png", channel_names=channels))
    assert [case.images for case in read.cases] == [(write() / "imagesTr" / "a_0000.png",)]


def test_an_ending_may_lack_its_dot(write):
    folder = write(*files_of("a", "b"), file_ending="nii.gz")
    assert read_dataset(folder) == read_dataset(write(file_ending=".nii.gz"))


@pytest.mark.parametrize(
    "replaced",
    [
        {"labels": {"background": 0, "a": 1.5}},
        {"labels": {"background": 0, "a": [1, True]}},
        {"labels": {"background": 0, "a": "one"}},
        {"labels": [1]},
        {"channel_names": {"first": "CT"}},
        {"file_ending": None},
    ],
)
def test_a_damaged_description_is_named(write, replaced):
    folder = write(*files_of("a"), **replaced)
    with pytest.raises(DataError) as refused:
        read_dataset(folder)
    assert str(refused.value).startswith(f"{folder / 'dataset.json'}: not an nnU-Net description")


def test_a_real_dataset_is_read(shared):
    read = read_dataset(shared / "data" / "brats")
    assert (read.channels, len(read.cases)) == (("FLAIR", "T1c"), 4)
    assert read.labels == {1: "necrosis", 2: "oedema", 3: "non_enhancing", 4: "enhancing"}
    assert all(path.is_file() for case in read.cases for path in (*case.images, case.label))
