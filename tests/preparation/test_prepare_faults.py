"""Cases that cannot be prepared: refused by their file, or skipped and listed."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tfseg.core.errors import ConfigError, DataError
from tfseg.preparation import body
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared


def test_labels_outside_the_crop_are_refused(write_scans, scans, tmp_path):
    image, label, affine, _ = scans["case_0"]
    image[3:] = 0
    dataset = write_scans({"case_0": (image, label, affine, affine)})
    recipe = Recipe(crop="nonzero", crop_margin_mm=1, size=(16, 16))
    lost = np.count_nonzero(label[4:])
    with pytest.raises(DataError, match=rf"labelsTr/case_0\.nii\.gz: {lost} labelled voxels are cropped off"):
        prepare_dataset(dataset, resolve(recipe, dataset), tmp_path / "out")


def test_a_bad_case_can_be_skipped_and_is_listed(write_scans, scans, tmp_path):
    scans["case_1"] = replaced(scans["case_1"], image=np.ones_like(scans["case_1"][0]))
    dataset = write_scans(scans)
    absent = dataclasses.replace(dataset.cases[0], name="case_9")
    dataset = dataclasses.replace(dataset, left_out={absent: "its file is empty"})
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out", skip_bad=True)
    index = pd.read_csv(tmp_path / "out" / "index.csv", keep_default_na=False)
    assert index["case"].tolist() == ["case_0", "case_2", "case_9", "case_1"]
    assert index["slices"].tolist() == [4, 7, 0, 0]
    prepared = Prepared(tmp_path / "out")
    assert prepared.subjects == ["case_0", "case_2"]
    assert prepared.index["voxels_core"].dtype == np.int64
    assert prepared.skipped["case_9"] == "its file is empty"
    assert "every voxel has the value 1" in prepared.skipped["case_1"]


def test_where_every_case_is_bad_there_is_nothing_to_go_on_with(write_scans, scans, tmp_path):
    dataset = write_scans({"case_0": replaced(scans["case_0"], image=np.ones_like(scans["case_0"][0]))})
    with pytest.raises(DataError, match=r"no case can be prepared: .*every voxel has the value 1"):
        prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out", skip_bad=True)


def replaced(scan, **changes):
    named = dict(zip(("image", "label", "affine", "label_affine"), scan, strict=True))
    return tuple({**named, **changes}.values())


def undeclared(scan):
    label = scan[1].copy()
    label[0, 0, 0], label[1, 1, 1] = 7, 1
    return replaced(scan, label=label)


REFUSED = [
    (undeclared, "labelsTr", "label values [1, 7] are not declared; [2, 300] are"),
    (
        lambda scan: replaced(scan, label=scan[1][:-1]),
        "labelsTr",
        "its shape is (4, 4, 8), that of case_1.nii.gz (5, 4, 8)",
    ),
    (
        lambda scan: replaced(scan, label_affine=scan[2] @ np.diag([1, 1, 1.1, 1])),
        "labelsTr",
        "its affine is not that of case_1.nii.gz",
    ),
    (
        lambda scan: replaced(scan, image=np.stack([scan[0]] * 2, axis=-1)),
        "imagesTr",
        "2 channels, but 1 are declared",
    ),
    (
        lambda scan: replaced(scan, image=np.ones_like(scan[0])),
        "imagesTr",
        "an empty image, every voxel has the value 1",
    ),
    (lambda scan: replaced(scan, image=np.full_like(scan[0], np.nan)), "imagesTr", "160 voxels are NaN or infinite"),
]


@pytest.mark.parametrize(("change", "kind", "said"), REFUSED)
def test_a_case_that_does_not_fit_is_refused_by_its_file(write_scans, scans, tmp_path, change, kind, said):
    dataset = write_scans({**scans, "case_1": change(scans["case_1"])})
    out = tmp_path / "out"
    with pytest.raises(DataError) as refused:
        prepare_dataset(dataset, resolve(Recipe(), dataset), out)
    assert str(refused.value).startswith(f"{tmp_path / 'data' / kind / 'case_1.nii.gz'}: {said}")
    assert "\n" not in str(refused.value)
    assert not (out / "index.csv").exists()
    assert [path.name for path in (out / "cases").iterdir()] == ["case_0"]


def test_an_empty_scan_is_refused_though_a_window_needs_no_values(write_scans, scans, tmp_path):
    dataset = write_scans({**scans, "case_1": replaced(scans["case_1"], image=np.full_like(scans["case_1"][0], -1024))})
    with pytest.raises(DataError, match=r"case_1\.nii\.gz: an empty image, every voxel has the value -1024"):
        prepare_dataset(dataset, resolve(Recipe(window_hu=(-160, 240)), dataset), tmp_path / "out")


def test_slices_that_do_not_fit_the_size_are_refused_by_their_file(dataset, tmp_path):
    recipe = resolve(Recipe(size=(7, 7)), dataset)
    with pytest.raises(DataError, match=r"case_1\.nii\.gz: slices of \(4, 8\) pixels do not fit the size \(7, 7\)"):
        prepare_dataset(dataset, recipe, tmp_path / "out")


def test_a_scan_whose_brain_is_not_found_is_refused_by_its_file(dataset, tmp_path, monkeypatch):
    def strip(image, spacing_mm):
        raise DataError("the erosion leaves nothing")

    monkeypatch.setattr(body, "skull_strip", strip)
    with pytest.raises(DataError, match=r"case_0\.nii\.gz: the erosion leaves nothing"):
        prepare_dataset(dataset, resolve(Recipe(skull_strip="region"), dataset), tmp_path / "out")


def test_a_recipe_that_is_not_resolved_is_refused(dataset, tmp_path):
    with pytest.raises(ConfigError, match="expected one that is resolved"):
        prepare_dataset(dataset, Recipe(), tmp_path / "out")


@pytest.mark.parametrize(
    "settings",
    [{"size": (10**6, 10**6)}, {"size": (16, 16), "fit": "stretch", "slices": 10**9}, {"spacing_mm": (1e-6, 1e-6, 1)}],
)
def test_a_recipe_that_asks_for_more_than_the_memory_is_refused(write_scans, scans, tmp_path, settings):
    dataset = write_scans(scans)
    with pytest.raises(DataError, match=r"case_0\.nii\.gz: the recipe asks for .* GB \(.* voxels\), this machine has"):
        prepare_dataset(dataset, resolve(Recipe(**settings), dataset), tmp_path / "out")


def test_a_link_to_itself_is_a_missing_file(write_scans, scans, tmp_path):
    dataset = write_scans(scans)
    path = dataset.cases[1].images[0]
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises(DataError, match=r"case_1\.nii\.gz: no such file"):
        prepare_dataset(dataset, Recipe(axis="axial", size=(16, 16), scaling="zscore"), tmp_path / "out")
