import hashlib
import itertools
import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from tfseg.config import ConfigError
from tfseg.data import prepare
from tfseg.data.layouts import read_dataset
from tfseg.data.prepare import prepare_dataset, prepare_image, prepare_label, restore_label
from tfseg.data.recipe import Recipe, resolve
from tfseg.data.slicing import AXES, SliceGrid
from tfseg.data.volume import DataError

PLAIN = Recipe(axis="axial", size=(4, 4), scaling="none")
STRAIGHT = SliceGrid.of((2, 3, 2), np.eye(4), "axial", (4, 4))
INSIDE = np.s_[:, 1:3, 0:3]  # where STRAIGHT puts its 2×3 pixels


def axial(volume):
    """`[x, y, z, ...]` as `[slice, row, column, ...]`."""
    return np.moveaxis(volume, 2, 0)


def noise(*shape):
    return np.random.default_rng(0).normal(20, 10, shape).astype(np.float32)


# --- images


def test_an_image_without_steps_is_only_sliced_and_padded_with_its_least_value():
    image = noise(2, 3, 2)
    slices = prepare_image(image, STRAIGHT, PLAIN)
    assert (slices.shape, slices.dtype) == ((2, 4, 4, 1), np.float32)
    np.testing.assert_array_equal(slices[INSIDE][..., 0], axial(image))
    slices[INSIDE] = image.min()
    assert (slices == image.min()).all()


def test_padding_takes_each_channels_least_value():
    image = np.stack([noise(2, 3, 2), 100 + noise(2, 3, 2)], axis=-1)
    slices = prepare_image(image, STRAIGHT, PLAIN)
    assert slices[0, 0, 0].tolist() == image.min(axis=(0, 1, 2)).tolist()


def test_a_window_becomes_zero_to_one():
    image = np.array([-500, -160, -60, 40, 240, 900], np.float32).reshape(1, 6, 1)
    grid = SliceGrid.of(image.shape, np.eye(4), "axial", (1, 6))
    recipe = Recipe(axis="axial", window_hu=(-160, 240), scaling="minmax", size=(1, 6))
    assert prepare_image(image, grid, recipe).ravel().tolist() == [0, 0, 0.25, 0.5, 1, 1]


def test_minmax_without_a_window_spans_each_channel():
    image = np.stack([noise(2, 3, 2), 5 * noise(2, 3, 2)], axis=-1)
    slices = prepare_image(image, STRAIGHT, PLAIN.model_copy(update={"scaling": "minmax"}))
    spread = np.ptp(image, axis=(0, 1, 2))
    np.testing.assert_allclose(slices[INSIDE], axial((image - image.min(axis=(0, 1, 2))) / spread), atol=1e-6)


def test_zscore_is_measured_over_each_channel_without_the_padding():
    image = np.stack([noise(2, 3, 2), 100 + 5 * noise(2, 3, 2)], axis=-1)
    inside = prepare_image(image, STRAIGHT, PLAIN.model_copy(update={"scaling": "zscore"}))[INSIDE]
    np.testing.assert_allclose(inside.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(inside.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_scaling_over_nonzero_leaves_zeros_at_the_least_value():
    image = np.array([0, 0, 2, 4, 0, 6], np.float32).reshape(1, 6, 1)
    grid = SliceGrid.of(image.shape, np.eye(4), "axial", (1, 6))
    recipe = Recipe(axis="axial", scaling="minmax", scaling_over="nonzero", size=(1, 6))
    assert prepare_image(image, grid, recipe).ravel().tolist() == [0, 0, 0, 0.5, 0, 1]


def test_scaling_over_nonzero_of_an_empty_image_is_refused():
    with pytest.raises(DataError, match="no voxel to measure the scaling over"):
        prepare_image(np.zeros((2, 3, 2)), STRAIGHT, PLAIN.model_copy(update={"scaling_over": "nonzero"}))


@pytest.mark.parametrize("axis", AXES)
def test_the_median_stays_within_a_slice(axis):
    image = noise(7, 8, 9)
    kernel = [3, 3, 3]
    kernel[AXES.index(axis)] = 1
    recipe = Recipe(axis=axis, median_kernel=3, scaling="none", size=(16, 16))
    grid = SliceGrid.of(image.shape, np.eye(4), axis, (16, 16))
    expected = ndimage.median_filter(image, kernel, mode="nearest")
    np.testing.assert_array_equal(grid.from_slices(prepare_image(image, grid, recipe))[..., 0], expected)


def test_stripping_finds_the_brain_in_its_channel_and_clears_the_rest_of_all(monkeypatch):
    brain = np.zeros((2, 3, 2), bool)
    brain[:, 1:, :] = True
    seen = {}

    def strip(image, spacing_mm):
        seen.update(image=image, spacing_mm=spacing_mm)
        return brain

    monkeypatch.setattr(prepare, "skull_strip", strip)
    image = noise(2, 3, 2, 2)
    grid = SliceGrid.of((2, 3, 2), np.diag([1, 2, 3, 1]), "axial", (4, 4))
    recipe = Recipe(axis="axial", skull_strip="region", skull_strip_channel=1, scaling="zscore", size=(4, 4))
    slices = grid.from_slices(prepare_image(image, grid, recipe))
    np.testing.assert_array_equal(seen["image"], image[..., 1])
    assert seen["spacing_mm"] == (1, 2, 3)
    np.testing.assert_allclose(slices[brain].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(slices[brain].std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(np.unique(slices[~brain], axis=0), [slices[brain].min(axis=0)])


# --- labels

SPARSE = {2: "a", 5: "b", 300: "c"}


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("directions", itertools.permutations(range(3)))
@pytest.mark.parametrize("signs", itertools.product((1, -1), repeat=3))
def test_labels_put_back_are_those_of_the_scan(axis, directions, signs):
    affine = np.eye(4)
    affine[:3, :3] = 0
    affine[list(directions), range(3)] = np.multiply(signs, (0.5, 1, 4))
    label = np.random.default_rng(1).choice([0, 2, 5, 300], (3, 4, 5)).astype(np.int32)
    grid = SliceGrid.of(label.shape, affine, axis, (8, 8))
    classes = prepare_label(label, grid, SPARSE)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(restore_label(classes, grid, SPARSE), label)


def test_classes_count_the_labels_in_order_and_padding_is_background():
    label = np.array([[0, 2, 5], [300, 2, 300]]).reshape(2, 3, 1)
    classes = prepare_label(label, SliceGrid.of((2, 3, 1), np.eye(4), "axial", (3, 4)), SPARSE)
    assert classes.tolist() == [[[0, 1, 2, 0], [3, 1, 3, 0], [0, 0, 0, 0]]]


@pytest.mark.parametrize(("largest", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_labels_are_put_back_in_the_smallest_type_that_holds_them(largest, dtype):
    labels = {1: "a", largest: "b"}
    restored = restore_label(np.full((2, 4, 4), 2, np.uint8), STRAIGHT, labels)
    assert restored.dtype == dtype
    assert (restored == largest).all()


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
    def write(scans, channels=("MRI",)):
        images = {
            name: (nib.Nifti1Image(image, affine), nib.Nifti1Image(label, label_affine))
            for name, (image, label, affine, label_affine) in scans.items()
        }
        return read_dataset(make_decathlon(tmp_path / "data", images, {2: "core", 300: "rim"}, channels))

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
        files = [getattr(case, kind) for case in dataset.cases]
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

    def kill(_):
        raise KilledError

    with monkeypatch.context() as killed:
        killed.setattr(prepare.files, "sha256", kill)
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


# --- scans that do not fit


def replaced(scan, **changes):
    named = dict(zip(("image", "label", "affine", "label_affine"), scan, strict=True))
    return tuple({**named, **changes}.values())


def undeclared(scan):
    label = scan[1].copy()
    label[0, 0, 0], label[1, 1, 1] = 7, 1
    return replaced(scan, label=label)


REFUSED = [
    (undeclared, "labelsTr", "label values [1, 7] are not declared; [2, 300] are"),
    (lambda scan: replaced(scan, label=scan[1][:-1]), "labelsTr", "shape (4, 4, 8), but its image has (5, 4, 8)"),
    (
        lambda scan: replaced(scan, label_affine=scan[2] + np.diag([0, 0, 0.01, 0])),
        "labelsTr",
        "its affine is not that of its image",
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

    monkeypatch.setattr(prepare, "skull_strip", strip)
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
