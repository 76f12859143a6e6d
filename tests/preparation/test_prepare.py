"""A prepared folder: slices, labels, the index."""

import hashlib
import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfseg.datasets.layouts import read_dataset
from tfseg.preparation.prepare import prepare_dataset, restore_label, training_slices
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.preparation.slicing import SliceGrid
from tfseg.prepared.prepared import Prepared


def test_every_case_is_prepared_as_its_scan_says(dataset, scans, tmp_path):
    recipe = resolve(Recipe(), dataset)
    done = []
    prepare_dataset(dataset, recipe, tmp_path / "out", lambda: done.append(1))
    assert len(done) == 3
    for name, (image, label, affine, _) in scans.items():
        folder = tmp_path / "out" / "cases" / name
        grid = SliceGrid.from_json(json.loads((folder / "case.json").read_text())["grid"])
        assert grid == SliceGrid.of(label.shape, affine, "axial", (16, 16))
        np.testing.assert_array_equal(restore_label(np.load(folder / "label.npy"), grid, dataset.labels), label)
        stored = np.load(folder / "image.npy")
        assert (stored.dtype, stored.shape[1:]) == (np.float32, (16, 16, 1))
        expected = (image - image.mean()) / image.std()
        np.testing.assert_allclose(grid.from_slices(stored)[..., 0], expected, atol=1e-5)


def test_real_labels_put_back_are_those_of_the_scan(shared, tmp_path):
    everything = read_dataset(shared / "data" / "hippocampus")
    dataset = type(everything)(everything.name, everything.channels, everything.labels, everything.cases[:2])
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out")
    for case in dataset.cases:
        folder = tmp_path / "out" / "cases" / case.name
        grid = SliceGrid.from_json(json.loads((folder / "case.json").read_text())["grid"])
        label = np.asanyarray(nib.load(case.label).dataobj)
        np.testing.assert_array_equal(restore_label(np.load(folder / "label.npy"), grid, dataset.labels), label)


def test_the_index_tells_of_every_case(dataset, scans, tmp_path):
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out")
    index = pd.read_csv(tmp_path / "out" / "index.csv")
    labels = [label for _, label, _, _ in scans.values()]
    assert index["case"].tolist() == index["subject"].tolist() == list(scans)
    assert index["shape"].tolist() == ["6x7x4", "5x4x8", "7x7x3"]
    assert sorted(set(index["spacing_mm"])) == ["1x1x3", "1x3x1", "3x1x1"]
    assert index["slices"].tolist() == [4, 5, 7]  # across the axis of 3 mm, wherever it is stored
    assert index["voxels_core"].tolist() == [np.count_nonzero(label == 2) for label in labels]
    assert index["voxels_rim"].tolist() == [np.count_nonzero(label == 300) for label in labels]
    for kind in ("image", "label"):
        files = [case.label if kind == "label" else case.images[0] for case in dataset.cases]
        assert index[kind].tolist() == [file.name for file in files]
        hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        assert index[f"{kind}_sha256"].tolist() == hashes


def test_labels_are_fused_merged_ignored_and_cleaned_up(write_scans, tmp_path):
    first = np.zeros((6, 6, 1), np.uint8)
    first[0:3, 0:3], first[5, 0], first[4:6, 4:6] = 2, 2, 3
    second = np.zeros((6, 6, 1), np.uint8)
    second[2:4, 2:4], second[0, 5] = 7, 9
    image = np.random.default_rng(0).normal(0, 1, first.shape).astype(np.float32)
    dataset = write_scans({"case_0": (image, first, np.eye(4), np.eye(4))}, labels={2: "skin", 3: "unsure"})
    nib.save(nib.Nifti1Image(second, np.eye(4)), dataset.cases[0].label.with_name("case_0_second.nii.gz"))
    recipe = Recipe.model_validate(
        {
            "second_map": {"path": "../labelsTr/{case}_second.nii.gz", "values": {7: 20}},
            "labels": {"tissue": 20, "skin": "skin"},
            "ignore": ["unsure"],
            "largest_component": ["skin"],
            "regions": {"all": ["tissue", "skin"]},
        }
    )
    prepare_dataset(dataset, resolve(recipe, dataset), tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    expected = np.zeros((6, 6), np.uint8)
    expected[0:3, 0:3], expected[2:4, 2:4], expected[4:6, 4:6] = 2, 20, 3
    case = prepared.case("case_0")
    np.testing.assert_array_equal(case.label_volume(prepared.labels, prepared.ignore_label)[..., 0], expected)
    assert (prepared.labels, prepared.ignore_label) == ({20: "tissue", 2: "skin"}, 3)
    assert prepared.regions == {"all": (20, 2)}
    assert (
        case.grid.unpad(case.label)[0].tolist()
        == np.select([expected == 20, expected == 2, expected == 3], [1, 2, 255]).tolist()
    )
    row = prepared.index.iloc[0]
    assert (row["voxels_tissue"], row["voxels_skin"]) == (4, 8)
    assert row["second_map"] == "case_0_second.nii.gz"


def test_the_ratio_to_the_body_is_in_the_index(write_scans, scans, tmp_path):
    image, label, affine, _ = scans["case_0"]
    image[:2] = 0
    dataset = write_scans({"case_0": (image, label, affine, affine)})
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out")
    row = Prepared(tmp_path / "out").index.iloc[0]
    assert (row["body"], row["body_voxels"]) == ("nonzero", 4 * 7 * 4)
    assert row["ratio_core"] == pytest.approx(np.count_nonzero(label == 2) / (4 * 7 * 4), abs=1e-6)


def test_the_ratio_is_to_the_body_though_no_step_needs_one(write_scans, tmp_path):
    rng = np.random.default_rng(0)
    image, label = rng.normal(-1000, 10, (32, 32, 6)).astype(np.float32), np.zeros((32, 32, 6), np.uint8)
    image[8:24, 8:24], label[10:14, 10:14] = rng.normal(50, 10, (16, 16, 6)), 2
    dataset = write_scans({"case_0": (image, label, np.eye(4), np.eye(4))}, channels=("CT",), labels={2: "organ"})
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out")
    row = Prepared(tmp_path / "out").index.iloc[0]
    assert row["body"] == "body"
    assert row["ratio_organ"] == pytest.approx(4 * 4 / (16 * 16), rel=0.05)


def test_the_ratio_is_to_the_brain_after_skull_stripping(write_scans, scans, tmp_path):
    image, label, affine, _ = scans["case_0"]
    dataset = write_scans({"case_0": (image, label, affine, affine)})
    brain = np.zeros((6, 7, 4), np.uint8)
    brain[1:4, 2:6] = 1
    nib.save(nib.Nifti1Image(brain, affine), dataset.cases[0].images[0].with_name("brain.nii"))
    recipe = Recipe(skull_strip="mask", skull_strip_mask="brain.nii")
    prepare_dataset(dataset, resolve(recipe, dataset), tmp_path / "out")
    row = Prepared(tmp_path / "out").index.iloc[0]
    assert (row["body"], row["body_voxels"]) == ("brain", 3 * 4 * 4)
    assert row["ratio_rim"] == pytest.approx(np.count_nonzero(label == 300) / 48, abs=1e-6)


@pytest.mark.parametrize(
    ("share", "seen"), [(1, [0, 1, 2, 3, 4, 5, 6, 7]), (0, [2, 6]), (0.5, [0, 2, 3, 5, 6]), (0.34, [0, 2, 4, 6])]
)
def test_training_sees_a_share_of_the_empty_slices(share, seen):
    label = np.zeros((8, 2, 2), np.uint8)
    label[2, 0, 0], label[6, 1, 1], label[5] = 1, 2, 255
    assert training_slices(label, share).tolist() == seen


def test_empty_slices_are_kept_for_scoring(write_scans, scans, tmp_path):
    image, label, affine, _ = scans["case_0"]
    label[..., 1:] = 0
    dataset = write_scans({"case_0": (image, label, affine, affine)})
    prepare_dataset(dataset, resolve(Recipe(empty_slices=0), dataset), tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    case = prepared.case("case_0")
    assert (len(case.image), case.training_slices.tolist()) == (4, [0])
    assert prepared.slices_of(["case_0"]) == 1


def test_the_truth_is_kept_where_labels_were_resampled(dataset, scans, tmp_path):
    prepare_dataset(dataset, resolve(Recipe(spacing_mm=(2, 2, None)), dataset), tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    for name, (_, label, _, _) in scans.items():
        case = prepared.case(name)
        assert len(case.label) * case.label[0].size < label.size * 16
        np.testing.assert_array_equal(case.label_volume(prepared.labels), label)


def test_what_is_ignored_may_lie_outside_the_crop(write_scans, scans, tmp_path):
    image, _, affine, _ = scans["case_0"]
    image[3:] = 0
    label = np.zeros((6, 7, 4), np.uint8)
    label[1, 2, 1], label[:, 0] = 2, 9
    dataset = write_scans({"case_0": (image, label, affine, affine)}, labels={2: "core", 9: "unsure"})
    recipe = Recipe(crop="nonzero", crop_margin_mm=0, size=(16, 16), ignore=("unsure",))
    prepare_dataset(dataset, resolve(recipe, dataset), tmp_path / "out")
    expected = np.select([label == 2, label == 9], [1, 255])
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "cases" / "case_0" / "truth.npy"), expected)


def test_an_affine_may_differ_by_rounding(write_scans, scans, tmp_path):
    image, label, affine, _ = scans["case_1"]
    dataset = write_scans({"case_1": (image, label, affine, affine + 1e-5 * np.eye(4)[:, [1, 2, 0, 3]] * [1, 1, 1, 0])})
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out")
    assert (tmp_path / "out" / "index.csv").is_file()
