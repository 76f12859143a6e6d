import json

import pytest

from tfseg.data.layouts import Case, read_dataset
from tfseg.data.volume import DataError

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
    assert read.name == "Organs"
    assert read.cases == (
        Case("a_1", "a_1", folder / "imagesTr/a_1.nii.gz", folder / "labelsTr/a_1.nii.gz"),
        Case("b", "b", folder / "imagesTr/b.nii", folder / "labelsTr/b.nii"),
    )


def test_labels_are_named_in_the_order_of_their_numbers_without_background(dataset):
    assert list(read_dataset(dataset()).labels.items()) == [(2, "liver"), (10, "spleen")]


def test_channels_are_named_in_the_order_of_their_numbers(dataset):
    modality = {"2": "T2w", "0": "FLAIR", "10": "T1gd", "1": "T1w"}
    assert read_dataset(dataset(modality=modality)).channels == ("FLAIR", "T1w", "T2w", "T1gd")


@pytest.mark.parametrize(
    ("file", "name"), [("1.2.840.7.nii.gz", "1.2.840.7"), ("p01.v2.nii", "p01.v2"), ("plain", "plain")]
)
def test_a_case_is_named_by_its_image_without_the_suffix(dataset, file, name):
    (case,) = read_dataset(dataset(training=[pair(file)])).cases
    assert case.name == name


def test_names_that_differ_after_a_dot_are_two_cases(dataset):
    cases = read_dataset(dataset(training=[pair("1.2.7.nii.gz"), pair("1.2.8.nii.gz")])).cases
    assert [case.name for case in cases] == ["1.2.7", "1.2.8"]


def test_a_case_named_twice_is_refused(dataset):
    folder = dataset(training=[pair("a.nii.gz"), pair("b.nii.gz"), pair("a.nii")])
    assert refusal(folder) == f"{folder / 'dataset.json'}: the case a is listed 2 times"


@pytest.mark.parametrize("kind", ["imagesTr", "labelsTr"])
def test_a_file_that_is_not_there_is_named(dataset, kind):
    folder = dataset()
    (folder / kind / "b.nii").unlink()
    assert refusal(folder) == f"{folder / kind / 'b.nii'}: listed in dataset.json, but not there"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"modality": ["CT"], "labels": {"1": "a"}, "training": []}',
        '{"modality": {"0": "CT"}, "labels": {"one": "a"}, "training": []}',
        '{"modality": {"0": "CT"}, "labels": {"1": "a"}, "training": ["a.nii"]}',
        '{"modality": {"0": "CT"}, "labels": {"1": "a"}, "training": 2}',
    ],
)
def test_a_damaged_description_is_named(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'dataset.json'}: not a Decathlon description")


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({"training": []}, "lists no training cases"),
        ({"labels": {"0": "background"}}, "1 to 255 labels"),
        ({"labels": {str(value): f"region {value}" for value in range(1, 257)}}, "1 to 255 labels"),
        ({"labels": {"-1": "hole", "1": "liver"}}, "positive values, found [-1, 1]"),
        ({"labels": {"1": "liver", "2": "liver"}}, "names of their own"),
        ({"labels": {"1": "mean"}}, "other than mean"),
    ],
)
def test_a_dataset_without_cases_or_with_labels_that_cannot_be_told_apart_is_refused(dataset, replaced, said):
    assert said in refusal(dataset(**replaced))


def test_a_folder_without_a_description_is_no_dataset(tmp_path):
    assert "expected a Medical Segmentation Decathlon folder" in refusal(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert refusal(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: no such folder"


def test_a_real_dataset_is_read(shared):
    read = read_dataset(shared / "data" / "hippocampus")
    assert (read.name, read.channels, read.labels) == ("Hippocampus", ("MRI",), {1: "Anterior", 2: "Posterior"})
    assert {case.image for case in read.cases} == set((shared / "data" / "hippocampus" / "imagesTr").glob("*.nii.gz"))
