"""A prepared folder is read: cases, counts, hash; damage is reported."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from tfseg.config.config import load_config
from tfseg.core.errors import DataError
from tfseg.datasets.layouts import read_dataset
from tfseg.preparation.prepare import prepare_dataset, restore_label
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared, split_subjects


@pytest.fixture
def copy(prepared, tmp_path):
    return shutil.copytree(prepared.folder, tmp_path / "copy")


def test_one_label_gives_one_channel_and_several_give_one_more(prepared, prepared_one_label):
    assert (prepared_one_label.labels, prepared_one_label.targets.channels) == ({1: "blob"}, 1)
    assert (prepared.labels, prepared.targets.channels) == ({1: "left", 2: "right"}, 3)


def test_the_description_is_read(prepared):
    assert (prepared.name, prepared.channels) == ("blobs", ("MRI",))
    assert prepared.image_shape == (32, 32, 1)
    assert prepared.subjects == [f"case_{number}" for number in range(6)]
    assert (prepared.recipe["axis"], prepared.recipe["scaling"]) == ("axial", "zscore")


def test_slices_are_counted_by_subject(prepared):
    assert prepared.slices_of(["case_1", "case_4"]) == 12
    assert prepared.slices_of(iter(prepared.subjects)) == 36
    assert prepared.slices_of([]) == 0


def test_a_case_is_opened_with_its_grid(prepared, decathlon):
    case = prepared.case("case_3")
    assert (case.name, case.subject) == ("case_3", "case_3")
    assert (case.image.shape, case.image.dtype) == ((6, 32, 32, 1), np.float32)
    assert (case.label.shape, case.label.dtype) == ((6, 32, 32), np.uint8)
    original = np.asanyarray(nib.load(decathlon / "labelsTr" / "case_3.nii.gz").dataobj)
    np.testing.assert_array_equal(restore_label(case.label, case.grid, prepared.labels), original)


def test_cases_are_returned_in_the_order_of_the_index(prepared):
    assert [case.name for case in prepared.cases_of(["case_5", "case_0"])] == ["case_0", "case_5"]


@pytest.mark.parametrize("name", ["007", "NA", "1e3"])
def test_a_subject_keeps_its_name(make_decathlon, tmp_path, name):
    image = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    scan = nib.Nifti1Image(image, np.eye(4)), nib.Nifti1Image((image > 3).astype(np.uint8), np.eye(4))
    dataset = read_dataset(make_decathlon(tmp_path / "data", {name: scan}, {1: "organ"}))
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    assert prepared.subjects == [name]
    assert prepared.case(name).subject == name


@pytest.mark.parametrize("name", ["index.csv", "recipe.yaml"])
def test_the_digest_depends_on_recipe_and_sources(prepared, copy, name):
    assert Prepared(copy).digest == prepared.digest
    with (copy / name).open("a") as file:
        file.write("\n")
    assert Prepared(copy).digest != prepared.digest


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "case.json"])
@pytest.mark.parametrize("left", [None, 0, 100], ids=["absent", "empty", "truncated"])
def test_a_damaged_case_is_named(copy, name, left):
    file = copy / "cases" / "case_2" / name
    if left is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(DataError) as refused:
        Prepared(copy).cases_of(["case_2"])
    assert str(refused.value).startswith(f"{file.parent}: the prepared case is damaged: ")


def test_an_unfinished_folder_is_refused(copy):
    (copy / "index.csv").unlink()
    with pytest.raises(DataError, match=r"copy: not a finished prepared folder \(no index\.csv\)"):
        Prepared(copy)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere: not a finished prepared folder"):
        Prepared(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("cases/case_1/image.npy", b"", "case_1: the prepared case is damaged: "),
        ("cases/case_1/image.npy", b"\x93NUMPY", "case_1: the prepared case is damaged: "),
        ("cases/case_1/image.npy", np.array(["text"]), "case_1: the prepared case is damaged: <U4 slices of"),
        ("cases/case_1/image.npy", np.zeros((6, 32, 16, 1), np.float32), "expected float32 slices of"),
        ("cases/case_1/label.npy", np.zeros((5, 32, 32), np.uint8), r"labels of \(5, 32, 32\)"),
        ("cases/case_1/label.npy", np.array([{}]), "Python objects"),
        ("cases/case_1/case.json", b"[]", "case_1: the prepared case is damaged: list indices"),
        ("cases/case_1/case.json", b"[" * 100_000, "case_1: the prepared case is damaged: maximum recursion"),
        ("index.csv", b"case,slices\ncase_1,6\n", "index.csv: cannot be read: it lacks .*subject"),
        ("recipe.yaml", b"axis: axial\n", "recipe.yaml: cannot be read: it lacks 'size'"),
    ],
)
def test_a_damaged_case_is_found_before_training(prepared, tmp_path, file, content, message):
    folder = shutil.copytree(prepared.folder, tmp_path / "prepared")
    Prepared(folder).check()
    if isinstance(content, bytes):
        (folder / file).write_bytes(content)
    else:
        np.save(folder / file, content, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        Prepared(folder).check()


def test_a_configuration_says_how_many_subjects_validate(prepared, tmp_path):
    half = load_config(None, ["folds=3", "validation_share=0.5"])
    kept = tmp_path / "splits_final.json"
    kept.write_text(json.dumps([{"train": prepared.subjects[1:], "val": prepared.subjects[:1]}]))
    for splits in (None, kept):
        for split in split_subjects(half, prepared, splits):
            assert len(split.val) == round((len(prepared.subjects) - len(split.test)) / 2)


def test_test_subjects_may_choose_the_epoch_as_in_some_printed_studies(prepared):
    """Then the validation subjects train, and no subject trains and tests."""
    own, printed = (
        split_subjects(load_config(None, ["folds=3", f"select_on={which}"]), prepared, None)
        for which in ("validation", "test")
    )
    for fair, flattering in zip(own, printed, strict=True):
        assert flattering.test == flattering.val == fair.test
        assert set(flattering.train) == {*fair.train, *fair.val}
