"""One scan through a recipe: its intensities, its grid, its labels."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.grids import AXES, Volume
from tfseg.datasets.layouts import Case
from tfseg.datasets.volume import write_volume
from tfseg.preparation import body, resampling
from tfseg.preparation.scan import make_grid, prepare_label, prepare_scan, restore_label
from tfseg.preparation.slicing import SliceGrid
from tfseg.preparation.steps import Recipe

CASE = Case("case_0", "anna", (Path("scans") / "case_0.nii.gz",), Path("labels") / "case_0.nii.gz")
PLAIN = Recipe(axis="axial", size=(4, 4), scaling="none")
INSIDE = np.s_[:, 1:3, 0:3]  # where 2×3 pixels lie in 4×4


def axial(volume):
    """`[x, y, z, ...]` as `[slice, row, column, ...]`."""
    return np.moveaxis(volume, 2, 0)


def noise(*shape):
    return np.random.default_rng(0).normal(20, 10, shape).astype(np.float32)


def prepared(image, recipe, spacing_mm=(1, 1, 1)):
    image = image if image.ndim == 4 else image[..., np.newaxis]
    return prepare_scan(Volume(image, np.diag([*spacing_mm, 1.0])), CASE, recipe)


def changed(**fields):
    return PLAIN.model_copy(update=fields)


# --- intensities


def test_an_image_without_steps_is_only_sliced_and_padded_with_its_least_value():
    image = noise(2, 3, 2)
    slices = prepared(image, PLAIN).slices
    assert (slices.shape, slices.dtype) == ((2, 4, 4, 1), np.float32)
    np.testing.assert_array_equal(slices[INSIDE][..., 0], axial(image))
    slices[INSIDE] = image.min()
    assert (slices == image.min()).all()


def test_padding_takes_each_channels_least_value():
    image = np.stack([noise(2, 3, 2), 100 + noise(2, 3, 2)], axis=-1)
    assert prepared(image, PLAIN).slices[0, 0, 0].tolist() == image.min(axis=(0, 1, 2)).tolist()


def test_a_window_becomes_zero_to_one():
    image = np.array([-500, -160, -60, 40, 240, 900], np.float32).reshape(1, 6, 1)
    recipe = Recipe(axis="axial", window_hu=(-160, 240), scaling="minmax", size=(1, 6))
    assert prepared(image, recipe).slices.ravel().tolist() == [0, 0, 0.25, 0.5, 1, 1]


@pytest.mark.parametrize("scaling", ["minmax", "zscore", "none"])
def test_a_window_beside_all_values_is_refused_by_its_file(scaling):
    with pytest.raises(DataError, match=r"case_0\.nii\.gz: every voxel lies on one side of window_hu, 300 to 500"):
        prepared(noise(2, 3, 2), changed(window_hu=(300, 500), scaling=scaling))


def test_minmax_without_a_window_spans_each_channel():
    image = np.stack([noise(2, 3, 2), 5 * noise(2, 3, 2)], axis=-1)
    slices = prepared(image, changed(scaling="minmax")).slices
    spread = np.ptp(image, axis=(0, 1, 2))
    np.testing.assert_allclose(slices[INSIDE], axial((image - image.min(axis=(0, 1, 2))) / spread), atol=1e-6)


def test_percentiles_are_measured_over_each_channel():
    image = np.stack([noise(2, 3, 2), 5 * noise(2, 3, 2)], axis=-1)
    slices = prepared(image, changed(scaling="percentile", scaling_percentiles=(10, 90))).slices[INSIDE]
    low, high = np.percentile(image, (10, 90), axis=(0, 1, 2))
    np.testing.assert_allclose(slices, axial(((image - low) / (high - low)).clip(0, 1)), atol=1e-6)


def test_zscore_is_measured_over_each_channel_without_the_padding():
    image = np.stack([noise(2, 3, 2), 100 + 5 * noise(2, 3, 2)], axis=-1)
    scan = prepared(image, changed(scaling="zscore"))
    np.testing.assert_allclose(scan.slices[INSIDE].mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scan.slices[INSIDE].std(axis=(0, 1, 2)), 1, atol=1e-5)
    expected = (image - image.mean(axis=(0, 1, 2))) / image.std(axis=(0, 1, 2))
    np.testing.assert_allclose(scan.slices[INSIDE], axial(expected), atol=1e-4)


def test_scaling_over_nonzero_leaves_zeros_at_the_least_value():
    image = np.array([0, 0, 2, 4, 0, 6], np.float32).reshape(1, 6, 1)
    recipe = Recipe(axis="axial", scaling="minmax", scaling_over="nonzero", size=(1, 6))
    assert prepared(image, recipe).slices.ravel().tolist() == [0, 0, 0, 0.5, 0, 1]


def test_scaling_over_the_body_leaves_out_the_air():
    image = np.full((30, 30, 4), -1000, np.float32) + noise(30, 30, 4) / 10
    image[8:22, 8:22] = 100 + noise(14, 14, 4)
    scan = prepared(image, Recipe(axis="axial", scaling="zscore", scaling_over="body", size=(30, 30)))
    volume = scan.grid.from_slices(scan.slices)[..., 0]
    assert scan.body_is == "body"
    assert scan.body[10:20, 10:20].all()
    np.testing.assert_allclose(volume[scan.body].mean(), 0, atol=1e-4)
    assert np.unique(volume[~scan.body]).tolist() == [volume[scan.body].min()]


def test_scaling_over_nonzero_of_an_empty_image_is_refused_by_its_file():
    with pytest.raises(DataError, match=r"scans/case_0\.nii\.gz: no voxel to measure the scaling over"):
        prepared(np.zeros((2, 3, 2)), changed(scaling_over="nonzero"))


@pytest.mark.parametrize("axis", AXES)
def test_the_median_stays_within_a_slice(axis):
    image = noise(7, 8, 9)
    kernel = [3, 3, 3]
    kernel[AXES.index(axis)] = 1
    scan = prepared(image, Recipe(axis=axis, median_kernel=3, scaling="none", size=(16, 16)))
    expected = ndimage.median_filter(image, kernel, mode="nearest")
    np.testing.assert_array_equal(scan.grid.from_slices(scan.slices)[..., 0], expected)


def test_the_blur_is_in_millimetres():
    image = noise(9, 8, 7)
    scan = prepared(image, Recipe(axis="axial", blur_mm=1.5, scaling="none", size=(16, 16)), (1, 2, 3))
    expected = ndimage.gaussian_filter(image, (1.5, 0.75, 0.5), mode="nearest")
    np.testing.assert_allclose(scan.grid.from_slices(scan.slices)[..., 0], expected, rtol=1e-5)


def test_stripping_finds_the_brain_in_its_channel_and_clears_the_rest_of_all(monkeypatch):
    brain = np.zeros((2, 3, 2), bool)
    brain[:, 1:, :] = True
    seen = {}

    def strip(image, spacing_mm):
        seen.update(image=image, spacing_mm=spacing_mm)
        return brain

    monkeypatch.setattr(body, "skull_strip", strip)
    image = noise(2, 3, 2, 2)
    scan = prepared(image, changed(skull_strip="region", skull_strip_channel=1, scaling="zscore"), (1, 2, 3))
    slices = scan.grid.from_slices(scan.slices)
    np.testing.assert_array_equal(seen["image"], image[..., 1])
    assert seen["spacing_mm"] == (1, 2, 3)
    np.testing.assert_allclose(slices[brain].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(slices[brain].std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(np.unique(slices[~brain], axis=0), [slices[brain].min(axis=0)])
    assert scan.body_is == "brain"


def test_a_given_mask_is_the_brain(tmp_path):
    brain = np.zeros((2, 3, 2), np.uint8)
    brain[:, 1:, :] = 1
    write_volume(tmp_path / "case_0_brain.nii.gz", brain, np.eye(4))
    case = Case("case_0", "anna", (tmp_path / "case_0.nii.gz",), tmp_path / "label.nii.gz")
    recipe = changed(skull_strip="mask", skull_strip_mask="{case}_brain.nii.gz")
    scan = prepare_scan(Volume(noise(2, 3, 2, 1), np.eye(4)), case, recipe)
    np.testing.assert_array_equal(scan.body, brain > 0)


# --- grids


def test_a_crop_takes_the_margin_in_millimetres_as_far_as_there_are_voxels():
    image = np.zeros((20, 20, 20), np.float32)
    image[1:12, 9:11, 5:8] = 1 + noise(11, 2, 3) ** 2
    recipe = changed(crop="nonzero", crop_margin_mm=4, size=(32, 32))
    scan = prepared(image, recipe, (1, 1.5, 4))
    assert scan.grid.crop == ((0, 16), (6, 14), (4, 9))
    np.testing.assert_array_equal(scan.grid.from_slices(scan.slices)[..., 0], image)


def test_a_crop_that_takes_nothing_away_is_none():
    assert prepared(noise(2, 3, 2), changed(crop="nonzero")).grid.crop is None


def test_a_crop_to_the_body_leaves_what_is_around_it_as_it_is():
    image = np.full((30, 30, 4), -1000, np.float32) + noise(30, 30, 4) / 10
    image[8:22, 8:22] = 100 + noise(14, 14, 4)
    scan = prepared(image, Recipe(axis="axial", scaling="none", crop="body", crop_margin_mm=3, size=(32, 32)))
    kept = tuple(slice(*sides) for sides in scan.grid.crop)
    assert not scan.body[kept].all()
    np.testing.assert_array_equal(scan.grid.from_slices(scan.slices)[kept][..., 0], image[kept])


def test_an_empty_image_has_nothing_to_crop_to():
    with pytest.raises(DataError, match=r"case_0\.nii\.gz: no voxel to crop to"):
        prepared(np.zeros((2, 3, 2)), changed(crop="nonzero"))


def grid(shape, own_mm, stored="xyz", **fields):
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, direction in enumerate(stored):
        affine["xyz".index(direction), axis] = own_mm[axis]
    return make_grid(shape, affine, Recipe(**{"axis": "axial", "size": (512, 512), **fields}))


def test_a_spacing_is_given_along_x_y_and_z_and_null_keeps_the_scans():
    assert grid((10, 20, 30), (1, 2, 3), spacing_mm=(2, None, 1.5)).resampled == (5, 20, 60)
    assert grid((10, 20, 30), (1, 2, 3), "zxy", spacing_mm=(2, None, 1.5)).resampled == (7, 20, 30)
    assert grid((10, 20, 30), (1, 2, 3), spacing_mm=(1, 2, 3)).resampled is None
    assert grid((10, 20, 30), (1, 2, 3), spacing_mm=(1.001, 2, 3)).resampled is None


def test_resizing_scales_both_sides_alike_until_they_fit():
    assert grid((100, 50, 7), (1, 1, 5), fit="resize", size=(64, 64)).resampled == (64, 32, 7)
    assert grid((20, 10, 7), (1, 1, 5), fit="resize", size=(64, 64)).resampled == (64, 32, 7)
    assert grid((64, 10, 7), (1, 1, 5), fit="resize", size=(64, 64)).resampled is None
    assert grid((7, 100, 50), (5, 1, 1), "zxy", fit="resize", size=(64, 64)).slice_shape == (7, 64, 32)


def test_stretching_fills_the_size_and_the_number_of_slices():
    assert grid((100, 50, 7), (1, 1, 5), fit="stretch", size=(64, 48)).resampled == (64, 48, 7)
    stretched = grid((7, 100, 50), (5, 1, 1), "zxy", fit="stretch", size=(192, 192), slices=32)
    assert (stretched.resampled, stretched.slice_shape) == ((32, 192, 192), (32, 192, 192))


def test_slices_are_padded_to_their_number():
    padded = grid((4, 4, 7), (1, 1, 1), slices=9)
    assert (padded.resampled, padded.padded_shape) == (None, (9, 512, 512))


def test_a_recipe_that_is_not_resolved_is_refused():
    for recipe in (Recipe(), Recipe(axis="axial", size=(8, 8), spacing_mm="median")):
        with pytest.raises(ConfigError, match="expected one that is resolved"):
            make_grid((2, 2, 2), np.eye(4), recipe)


@pytest.mark.parametrize("interpolation", ["spline", "linear"])
def test_an_image_is_resampled_after_scaling(interpolation):
    image = noise(6, 8, 4)
    recipe = Recipe(
        axis="axial", spacing_mm=(0.5, 2, None), image_interpolation=interpolation, scaling="zscore", size=(12, 4)
    )
    scaled = ((image - image.mean()) / image.std()).astype(np.float32)
    expected = getattr(resampling, interpolation)(scaled, (12, 4, 4))
    np.testing.assert_allclose(prepared(image, recipe).slices[..., 0], axial(expected), atol=1e-4)


# --- labels

SPARSE = {2: "a", 5: "b", 300: "c"}


def test_classes_count_the_labels_in_order_and_padding_is_background():
    label = np.array([[0, 2, 5], [300, 2, 300]]).reshape(2, 3, 1)
    classes = prepare_label(label, SliceGrid.of((2, 3, 1), np.eye(4), "axial", (3, 4)), SPARSE)
    assert classes.dtype == np.uint8
    assert classes.tolist() == [[[0, 1, 2, 0], [3, 1, 3, 0], [0, 0, 0, 0]]]


@pytest.mark.parametrize(("largest", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_labels_are_put_back_in_the_smallest_type_that_holds_them(largest, dtype):
    straight = SliceGrid.of((2, 3, 2), np.eye(4), "axial", (4, 4))
    restored = restore_label(np.full((2, 4, 4), 2, np.uint8), straight, {1: "a", largest: "b"})
    assert restored.dtype == dtype
    assert (restored == largest).all()
