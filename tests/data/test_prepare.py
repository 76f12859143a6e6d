import dataclasses
import hashlib
import itertools
import json
import shutil
from types import MappingProxyType

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from tfseg.config import ConfigError
from tfseg.data import body, prepare
from tfseg.data.layouts import read_dataset
from tfseg.data.prepare import prepare_dataset, restore_label, training_slices
from tfseg.data.prepared import Prepared
from tfseg.data.recipe import Recipe, resolve
from tfseg.data.slicing import SliceGrid
from tfseg.data.volume import DataError

# --- a dataset


@pytest.fixture
def scans():
    """Three scans as arrays and affines by case: other shapes, other orientations, labels 2 and 300."""
    made = {}
    for number, shape in enumerate([(6, 7, 4), (5, 4, 8), (7, 7, 3)]):
        rng = np.random.default_rng(number)
        affine = np.diag([1, 1, 3, 1.0])[:, [*np.roll(range(3), number), 3]]
        label = rng.choice([0, 2, 300], shape).astype(np.int16)
        made[f"case_{number}"] = rng.normal(0, 1, shape).astype(np.float32), label, affine, affine
    return made


@pytest.fixture
def write(make_decathlon, tmp_path):
    def write(scans, channels=("MRI",), labels=MappingProxyType({2: "core", 300: "rim"})):
        images = {
            name: (nib.Nifti1Image(image, affine), nib.Nifti1Image(label, label_affine))
            for name, (image, label, affine, label_affine) in scans.items()
        }
        return read_dataset(make_decathlon(tmp_path / "data", images, labels, channels))

    return write


@pytest.fixture
def dataset(write, scans):
    return write(scans)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def modified(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


class KilledError(Exception):
    """Stands for the end of the process."""


def kill_after(cases):
    counter = itertools.count(1)

    def on_case():
        if next(counter) == cases:
            raise KilledError

    return on_case


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


def test_a_finished_folder_is_left_as_it_is(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    before, times = contents(out), modified(out / "cases")
    prepare_dataset(dataset, recipe, out)
    assert contents(out) == before
    assert modified(out / "cases") == times


def test_an_interrupted_preparation_goes_on_where_it_stopped(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, tmp_path / "whole")
    with pytest.raises(KilledError):
        prepare_dataset(dataset, recipe, out, kill_after(2))
    assert not (out / "index.csv").exists()
    cases = out / "cases"
    assert sorted(path.name for path in cases.iterdir()) == ["case_0", "case_1"]
    times = modified(cases)
    prepare_dataset(dataset, recipe, out)
    assert modified(cases).items() >= times.items()
    assert contents(out) == contents(tmp_path / "whole")


def test_a_case_that_was_half_written_is_prepared_anew(dataset, tmp_path, monkeypatch):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, tmp_path / "whole")

    dumps = json.dumps

    def kill(written, **how):
        if "grid" in written:
            raise KilledError
        return dumps(written, **how)

    with monkeypatch.context() as killed:
        killed.setattr(prepare.json, "dumps", kill)
        killed.setattr(shutil, "rmtree", lambda _: None)  # a killed process leaves what it wrote behind
        with pytest.raises(KilledError):
            prepare_dataset(dataset, recipe, out)
    (left,) = (out / "cases").iterdir()
    assert left.name != "case_0"
    assert (left / "image.npy").is_file()
    prepare_dataset(dataset, recipe, out)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("written", [[], ["recipe.yaml"]])
def test_a_preparation_killed_at_its_very_start_goes_on(dataset, tmp_path, written):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, tmp_path / "whole")
    out.mkdir()
    for name in written:
        shutil.copy(tmp_path / "whole" / name, out / name)
    (out / ".unfinished-dataset.json").write_text("{")
    (out / ".unfinished-recipe.yaml").write_text("")
    prepare_dataset(dataset, recipe, out)
    assert contents(out) == contents(tmp_path / "whole")


def test_another_recipe_in_a_folder_is_refused_and_the_folder_left_alone(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    before, times = contents(out), modified(out)
    with pytest.raises(ConfigError, match=r"out holds another preparation \(recipe\.yaml differs\)"):
        prepare_dataset(dataset, recipe.model_copy(update={"median_kernel": 3}), out)
    assert contents(out) == before
    assert modified(out) == times


def test_other_cases_in_a_folder_are_refused_too(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    fewer = type(dataset)(dataset.name, dataset.channels, dataset.labels, dataset.cases[:2])
    with pytest.raises(ConfigError, match=r"dataset\.json differs"):
        prepare_dataset(fewer, recipe, out)


def test_a_folder_of_something_else_is_refused_and_left_alone(dataset, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="out holds something else than a preparation"):
        prepare_dataset(dataset, resolve(Recipe(), dataset), out)
    assert contents(out) == {"thesis.tex": b"years of work"}


# --- in parallel, and again


def test_the_number_of_processes_does_not_change_a_byte(dataset, tmp_path):
    recipe = resolve(Recipe(median_kernel=3, spacing_mm=(0.7, 1.2, 2)), dataset)
    done = []
    prepare_dataset(dataset, recipe, tmp_path / "one")
    prepare_dataset(dataset, recipe, tmp_path / "two", lambda: done.append(1), processes=2)
    assert len(done) == 3
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_case_whose_file_changed_is_prepared_anew_and_no_other(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    times = modified(out / "cases")
    (path,) = dataset.cases[1].images
    image = nib.load(path)
    nib.save(nib.Nifti1Image(image.get_fdata(dtype=np.float32) ** 2, image.affine), path)
    prepare_dataset(dataset, recipe, out)
    changed = {name for name, time in modified(out / "cases").items() if time != times[name]}
    assert changed == {"case_1", *(f"case_1/{name}" for name in ("image.npy", "label.npy", "case.json"))}
    prepare_dataset(dataset, recipe, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_a_folder_whose_case_is_redone_is_not_finished_meanwhile(dataset, tmp_path, monkeypatch):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    nib.save(
        nib.Nifti1Image(np.zeros((5, 4, 8), np.float32), nib.load(*dataset.cases[1].images).affine),
        *dataset.cases[1].images,
    )
    with pytest.raises(DataError, match=r"case_1\.nii\.gz: every voxel has the value 0"):
        prepare_dataset(dataset, recipe, out)
    assert not (out / "index.csv").exists()


def test_a_folder_made_before_there_were_more_steps_is_still_its_own(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    known = (
        "axis",
        "window_hu",
        "skull_strip",
        "skull_strip_channel",
        "median_kernel",
        "scaling",
        "scaling_over",
        "size",
    )
    old = {name: recipe.model_dump(mode="json")[name] for name in known}
    (out / "recipe.yaml").write_text(yaml.safe_dump(old))
    index = pd.read_csv(out / "index.csv").drop(columns=["training_slices", "body", "body_voxels"])
    index.to_csv(out / "index.csv", index=False)
    before = contents(out)
    prepare_dataset(dataset, recipe, out)
    assert contents(out) == before
    assert Prepared(out).slices_of(["case_0", "case_1"]) == 9


# --- labels, slices and ratios


def test_labels_are_fused_merged_ignored_and_cleaned_up(write, tmp_path):
    first = np.zeros((6, 6, 1), np.uint8)
    first[0:3, 0:3], first[5, 0], first[4:6, 4:6] = 2, 2, 3
    second = np.zeros((6, 6, 1), np.uint8)
    second[2:4, 2:4], second[0, 5] = 7, 9
    image = np.random.default_rng(0).normal(0, 1, first.shape).astype(np.float32)
    dataset = write({"case_0": (image, first, np.eye(4), np.eye(4))}, labels={2: "skin", 3: "unsure"})
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


def test_the_ratio_to_the_body_is_in_the_index(write, scans, tmp_path):
    image, label, affine, _ = scans["case_0"]
    image[:2] = 0
    dataset = write({"case_0": (image, label, affine, affine)})
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out")
    row = Prepared(tmp_path / "out").index.iloc[0]
    assert (row["body"], row["body_voxels"]) == ("nonzero", 4 * 7 * 4)
    assert row["ratio_core"] == pytest.approx(np.count_nonzero(label == 2) / (4 * 7 * 4), abs=1e-6)


@pytest.mark.parametrize(
    ("share", "seen"), [(1, [0, 1, 2, 3, 4, 5, 6, 7]), (0, [2, 6]), (0.5, [0, 2, 3, 5, 6]), (0.34, [0, 2, 4, 6])]
)
def test_training_sees_a_share_of_the_empty_slices(share, seen):
    label = np.zeros((8, 2, 2), np.uint8)
    label[2, 0, 0], label[6, 1, 1], label[5] = 1, 2, 255
    assert training_slices(label, share).tolist() == seen


def test_empty_slices_are_kept_for_scoring(write, scans, tmp_path):
    image, label, affine, _ = scans["case_0"]
    label[..., 1:] = 0
    dataset = write({"case_0": (image, label, affine, affine)})
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
        assert case.label.size < label.size * 16
        np.testing.assert_array_equal(case.label_volume(prepared.labels), label)


def test_labels_outside_the_crop_are_refused(write, scans, tmp_path):
    image, label, affine, _ = scans["case_0"]
    image[3:] = 0
    dataset = write({"case_0": (image, label, affine, affine)})
    recipe = Recipe(crop="nonzero", crop_margin_mm=1, size=(16, 16))
    lost = np.count_nonzero(label[4:])
    with pytest.raises(DataError, match=rf"labelsTr/case_0\.nii\.gz: {lost} labelled voxels are cropped off"):
        prepare_dataset(dataset, resolve(recipe, dataset), tmp_path / "out")


# --- scans that do not fit


def test_a_bad_case_can_be_skipped_and_is_listed(write, scans, tmp_path):
    scans["case_1"] = replaced(scans["case_1"], image=np.ones_like(scans["case_1"][0]))
    dataset = write(scans)
    dataset = dataclasses.replace(dataset, left_out={"case_9": "its file is empty"})
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out", skip_bad=True)
    index = pd.read_csv(tmp_path / "out" / "index.csv", keep_default_na=False)
    assert index["case"].tolist() == ["case_0", "case_2", "case_9", "case_1"]
    assert index["slices"].tolist() == [4, 7, 0, 0]
    prepared = Prepared(tmp_path / "out")
    assert prepared.subjects == ["case_0", "case_2"]
    assert prepared.index["voxels_core"].dtype == np.int64
    assert prepared.skipped["case_9"] == "its file is empty"
    assert "every voxel has the value 1" in prepared.skipped["case_1"]


def test_where_every_case_is_bad_there_is_nothing_to_go_on_with(write, scans, tmp_path):
    dataset = write({"case_0": replaced(scans["case_0"], image=np.ones_like(scans["case_0"][0]))})
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
        lambda scan: replaced(scan, label_affine=scan[2] + np.diag([0, 0, 0.1, 0])),
        "labelsTr",
        "its affine is not that of case_1.nii.gz",
    ),
    (
        lambda scan: replaced(scan, image=np.stack([scan[0]] * 2, axis=-1)),
        "imagesTr",
        "2 channels, but 1 are declared",
    ),
    (lambda scan: replaced(scan, image=np.ones_like(scan[0])), "imagesTr", "every voxel has the value 1: "),
    (lambda scan: replaced(scan, image=np.full_like(scan[0], np.nan)), "imagesTr", "160 voxels are NaN or infinite"),
]


@pytest.mark.parametrize(("change", "kind", "said"), REFUSED)
def test_a_case_that_does_not_fit_is_refused_by_its_file(write, scans, tmp_path, change, kind, said):
    dataset = write({**scans, "case_1": change(scans["case_1"])})
    out = tmp_path / "out"
    with pytest.raises(DataError) as refused:
        prepare_dataset(dataset, resolve(Recipe(), dataset), out)
    assert str(refused.value).startswith(f"{tmp_path / 'data' / kind / 'case_1.nii.gz'}: {said}")
    assert "\n" not in str(refused.value)
    assert not (out / "index.csv").exists()
    assert [path.name for path in (out / "cases").iterdir()] == ["case_0"]


def test_slices_that_do_not_fit_the_size_are_refused_by_their_file(dataset, tmp_path):
    recipe = resolve(Recipe(size=(7, 7)), dataset)
    with pytest.raises(DataError, match=r"case_1\.nii\.gz: slices of \(4, 8\) pixels do not fit the size \(7, 7\)"):
        prepare_dataset(dataset, recipe, tmp_path / "out")


def test_a_scan_whose_brain_is_not_found_is_refused_by_its_file(dataset, tmp_path, monkeypatch):
    def strip(image, spacing_mm):
        raise ValueError("the erosion leaves nothing")

    monkeypatch.setattr(body, "skull_strip", strip)
    with pytest.raises(DataError, match=r"case_0\.nii\.gz: the erosion leaves nothing"):
        prepare_dataset(dataset, resolve(Recipe(skull_strip="region"), dataset), tmp_path / "out")


def test_an_affine_may_differ_by_rounding(write, scans, tmp_path):
    image, label, affine, _ = scans["case_1"]
    dataset = write({"case_1": (image, label, affine, affine + 1e-5 * np.eye(4)[:, [1, 2, 0, 3]] * [1, 1, 1, 0])})
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "out")
    assert (tmp_path / "out" / "index.csv").is_file()


def test_a_recipe_that_is_not_resolved_is_refused(dataset, tmp_path):
    with pytest.raises(ValueError, match="expected one that is resolved"):
        prepare_dataset(dataset, Recipe(), tmp_path / "out")
