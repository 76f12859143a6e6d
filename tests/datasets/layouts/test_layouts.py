import json

import numpy as np
import pytest

from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.layouts import Case, read_dataset

DESCRIPTION = {
    "name": "Organs",
    "modality": {"0": "CT"},
    "labels": {"0": "background", "10": "spleen", "2": "liver"},
    "training": [
        {"image": "./imagesTr/a_1.nii.gz", "label": "./labelsTr/a_1.nii.gz"},
        {"image": "imagesTr/b.nii", "label": "labelsTr/b.nii"},
    ],
}


@pytest.fixture
def dataset(tmp_path):
    """Writes `dataset.json` with some keys replaced, and an empty file for every one that it lists."""

    def write(**replaced):
        description = {**DESCRIPTION, **replaced}
        for entry in description["training"]:
            for file in entry.values():
                (tmp_path / file).parent.mkdir(exist_ok=True)
                (tmp_path / file).touch()
        (tmp_path / "dataset.json").write_text(json.dumps(description))
        return tmp_path

    return write


def pair(name):
    return {"image": f"imagesTr/{name}", "label": f"labelsTr/{name}"}


def refusal(folder):
    with pytest.raises(DataError) as refused:
        read_dataset(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_cases_in_the_order_of_the_description(dataset):
    folder = dataset()
    read = read_dataset(folder)
    assert (read.name, read.layout) == ("Organs", "decathlon")
    assert read.cases == (
        Case("a_1", "a_1", (folder / "imagesTr/a_1.nii.gz",), folder / "labelsTr/a_1.nii.gz"),
        Case("b", "b", (folder / "imagesTr/b.nii",), folder / "labelsTr/b.nii"),
    )


def test_labels_are_named_in_the_order_of_their_numbers_without_background(dataset):
    assert list(read_dataset(dataset()).labels.items()) == [(2, "liver"), (10, "spleen")]


def test_channels_are_named_in_the_order_of_their_numbers(dataset):
    modality = {"2": "T2w", "0": "FLAIR", "10": "T1gd", "1": "T1w"}
    assert read_dataset(dataset(modality=modality)).channels == ("FLAIR", "T1w", "T2w", "T1gd")


def test_a_case_is_named_by_its_image_without_the_suffix(dataset):
    names = {"1.2.840.7.nii.gz": "1.2.840.7", "p01.v2.NII": "p01.v2", "a.b.nrrd": "a.b", "plain": "plain"}
    for file, name in names.items():
        (case,) = read_dataset(dataset(training=[pair(file)])).cases
        assert case.name == name


def test_names_that_differ_after_a_dot_are_two_cases(dataset):
    cases = read_dataset(dataset(training=[pair("1.2.7.nii.gz"), pair("1.2.8.nii.gz")])).cases
    assert [case.name for case in cases] == ["1.2.7", "1.2.8"]


def test_cases_whose_files_are_not_there_are_listed(dataset):
    folder = dataset(training=[pair("a.nii.gz"), pair("a.nii.gz")])
    (folder / "imagesTr" / "a.nii.gz").unlink()
    assert [case.name for case in read_dataset(folder).cases] == ["a", "a"]  # faults, for the inspection to find


def test_a_damaged_description_is_named(tmp_path):
    for text in (
        "{",
        "[]",
        "{}",
        "[" * 10**5,
        '{"modality": ["CT"], "labels": {"1": "a"}, "training": []}',
        '{"modality": {"0": "CT"}, "labels": {"one": "a"}, "training": []}',
        '{"modality": {"0": "CT"}, "labels": {"1": "a"}, "training": ["a.nii"]}',
        '{"modality": {"0": "CT"}, "labels": {"1": "a"}, "training": 2}',
    ):
        (tmp_path / "dataset.json").write_text(text)
        assert refusal(tmp_path).startswith(f"{tmp_path / 'dataset.json'}: not a Decathlon description")
    (tmp_path / "dataset.json").write_bytes(b'{"name": "\xff"}')
    assert refusal(tmp_path).startswith(f"{tmp_path / 'dataset.json'}: not a text file in UTF-8")


def test_a_file_per_channel_as_nnunet_v1_has_them_is_read(dataset):
    folder = dataset(modality={"0": "T1", "1": "T2"}, training=[pair("a.nii.gz"), pair("b.nii.gz")])
    for name in "ab":
        (folder / "imagesTr" / f"{name}.nii.gz").unlink()
        for channel in (1, 0):
            (folder / "imagesTr" / f"{name}_000{channel}.nii.gz").touch()
    read = read_dataset(folder)
    assert [[path.name for path in case.images] for case in read.cases] == [
        [f"{name}_0000.nii.gz", f"{name}_0001.nii.gz"] for name in "ab"
    ]
    assert (read.channels, read.warnings) == (("T1", "T2"), ())


def test_files_that_the_description_does_not_list_are_reported(dataset):
    folder = dataset()
    for name in ("imagesTr/c.nii.gz", "labelsTr/notes.txt", "imagesTr/._a_1.nii.gz"):
        (folder / name).touch()
    assert read_dataset(folder).warnings == (
        f"{folder}: 2 files are not read, not listed in dataset.json: imagesTr/c.nii.gz, labelsTr/notes.txt",
    )


def test_a_dataset_without_cases_or_with_labels_that_cannot_be_distinguished_is_refused(dataset):
    for replaced, said in (
        ({"training": []}, "no cases"),
        ({"labels": {"0": "background"}}, "1 to 255 labels"),
        ({"labels": {str(value): f"region {value}" for value in range(1, 257)}}, "1 to 255 labels"),
        ({"labels": {"-1": "hole", "1": "liver"}}, "positive values, found [-1, 1]"),
        ({"labels": {"1": "liver", "2": "liver"}}, "names of their own"),
        ({"labels": {"1": "mean"}}, "other than mean"),
    ):
        folder = dataset(**replaced)
        message = refusal(folder)
        assert message.startswith(str(folder))
        assert said in message


def test_a_description_that_is_no_object_is_refused(dataset):
    folder = dataset()
    for text in ("[1]", "3", "null"):
        (folder / "dataset.json").write_text(text)
        received = {"null": "None"}.get(text, text)
        assert refusal(folder).endswith(f"expected an object with keys, received {received}")
    (folder / "dataset.json").write_text('{"modality": {"0": "CT"}, "labels": {"1": "a"}, "training": ["a.nii"]}')
    assert refusal(folder).endswith('training: expected {"image": FILE, "label": FILE}, received a.nii')


def test_a_folder_without_a_description_is_no_dataset(tmp_path):
    assert f"{tmp_path}: expected a dataset in one of the layouts " in refusal(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert refusal(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: no such file or folder"


def test_a_real_dataset_is_read(shared):
    read = read_dataset(shared / "data" / "hippocampus")
    assert (read.name, read.channels, read.labels) == ("Hippocampus", ("MRI",), {1: "Anterior", 2: "Posterior"})
    assert {image for case in read.cases for image in case.images} == set(
        (shared / "data" / "hippocampus" / "imagesTr").glob("*.nii.gz")
    )


# --- subjects


@pytest.mark.parametrize(
    ("pattern", "subjects"), [(r"^[a-z]+", ["a", "b"]), (r"^([a-z])(_\d)?$", ["a", "b"]), ("a_1|b", ["a_1", "b"])]
)
def test_a_pattern_finds_the_subject_in_a_cases_name(dataset, pattern, subjects):
    read = read_dataset(dataset(), subject_pattern=pattern)
    assert [case.subject for case in read.cases] == subjects
    assert [case.name for case in read.cases] == ["a_1", "b"]


def test_a_pattern_beside_a_split_of_other_subjects_is_a_wrong_call(tmp_path):
    rows = [f"{n},x_{n}.nii,{n}.nii,{part}" for n, part in enumerate(("train", "val", "test"))]
    (tmp_path / "manifest.csv").write_text("\n".join(["subject,image,label,split", *rows]))
    (tmp_path / "labels.json").write_text('{"1": "organ"}')
    with pytest.raises(ConfigError, match=r"subject pattern x_: .* brings splits of its own subjects; leave it out"):
        read_dataset(tmp_path, subject_pattern="x_")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(", "not a regular expression"), (r"\d", "does not match the case name b"), ("a(x?)_|b", "does not match")],
)
def test_a_pattern_that_does_not_find_every_subject_is_a_wrong_call(dataset, pattern, said):
    with pytest.raises(ConfigError, match="subject pattern") as refused:
        read_dataset(dataset(), subject_pattern=pattern)
    assert said in str(refused.value)


def test_a_second_layout_in_the_same_folder_is_reported(dataset, save_image_2d, tmp_path):
    folder = dataset()
    assert read_dataset(folder).warnings == ()
    for place in ("images", "masks"):
        save_image_2d(folder / place / "a.png", np.zeros((4, 4), np.uint8))
    read = read_dataset(folder)
    assert (read.layout, len(read.cases)) == ("decathlon", 2)
    said = "read as Medical Segmentation Decathlon; what it holds as images/ with masks/ or labels/ is not read"
    assert read.warnings == (f"{folder}: {said}",)
    save_image_2d(folder / "labels" / "a.png", np.zeros((4, 4), np.uint8))  # ambiguous, were it read
    assert read_dataset(folder).warnings == (f"{folder}: {said}",)


def test_names_that_are_no_text_are_refused(dataset):
    assert "channels: expected number: name" in refusal(dataset(modality={"0": {"0": "CT"}}))
    assert "expected a name, received ['a']" in refusal(dataset(labels={"1": ["a"]}))


def test_a_background_that_is_not_0_is_refused(dataset):
    """The label that has 0 would silently be left out."""
    for labels in (
        {"0": "organ", "1": "background"},
        {"organ": 0, "Background": 1},
        {"background": [1, 2], "organ": 0},
    ):
        assert "ackground is 1, expected 0" in refusal(dataset(labels=labels))
    assert read_dataset(dataset(labels={"background": 0, "organ": 1})).labels == {1: "organ"}
