"""Prepared labels put back on the scan's grid: to the voxel, or to one voxel of a border if they were resampled."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tfseg.core.geometry import bounding_box
from tfseg.datasets.grids import AXES
from tfseg.preparation.resampling import by_class
from tfseg.preparation.scan import LABEL_RESAMPLERS, make_grid, prepare_label, restore_label
from tfseg.preparation.slicing import SliceGrid
from tfseg.preparation.steps import Recipe

SPACING_MM = (0.8, 1.0, 2.5)
SHAPE = (20, 18, 9)
LABELS = {2: "a", 5: "b", 300: "c"}


def oriented(directions, signs):
    affine = np.eye(4)
    affine[:3, :3] = 0
    affine[list(directions), range(3)] = np.multiply(signs, SPACING_MM)
    return affine


def oblique():
    """Turned by 25° about x and then 10° about z."""
    a, b = np.deg2rad([25, 10])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = oriented((1, 0, 2), (1, -1, 1))
    affine[:3, :3] = about_z @ about_x @ affine[:3, :3]
    return affine


AFFINES = [
    *(oriented(d, s) for d in itertools.permutations(range(3)) for s in itertools.product((1, -1), repeat=3)),
    oblique(),
]
affines = st.sampled_from(AFFINES)


def structures(shape, blur_mm):
    """Three smooth structures that touch, inside a rim of background."""
    noise = np.random.default_rng(3).standard_normal((3, *shape))
    fields = np.stack([ndimage.gaussian_filter(each, blur_mm / np.array(SPACING_MM)) for each in noise])
    values = np.array([0, *LABELS])[np.where(fields.max(axis=0) > 0.1 * fields.std(), fields.argmax(axis=0) + 1, 0)]
    values[:2], values[-2:], values[:, :2], values[:, -2:], values[:, :, :1], values[:, :, -1:] = 0, 0, 0, 0, 0, 0
    assert set(np.unique(values)) == {0, 2, 5, 300}
    return values


@pytest.fixture(scope="module")
def label():
    """None of its structures is thinner than a few voxels."""
    return structures(SHAPE, 3)


@pytest.fixture(scope="module")
def large_label():
    """None of its structures is thinner than ten millimetres or so."""
    return structures((60, 54, 30), 9)


def recipe(axis="axial", **fields):
    return Recipe.model_validate({"axis": axis, "size": (64, 64), "crop_margin_mm": 2, **fields})


def there_and_back(label, grid, interpolation="linear"):
    """As preparation writes a label, and what `case.json` holds puts it back."""
    classes = np.searchsorted([0, *LABELS], label).astype(np.uint8)
    slices = grid.to_slices(classes, resample=LABEL_RESAMPLERS[interpolation])
    return restore_label(slices, SliceGrid.from_json(json.loads(json.dumps(grid.to_json()))), LABELS)


def apart_from_borders(label, voxels=1):
    """Voxels more than one voxel, or `voxels` along each axis, away from a border between labels."""
    size = tuple(2 * np.broadcast_to(voxels, 3) + 1)
    least, greatest = (each(label, size, mode="nearest") for each in (ndimage.minimum_filter, ndimage.maximum_filter))
    return least == greatest


@given(data=st.data(), affine=affines, axis=st.sampled_from(AXES), margin_mm=st.floats(0, 5))
def test_without_resampling_every_voxel_is_the_scans(data, affine, axis, margin_mm):
    shape = data.draw(st.tuples(*[st.integers(1, 9)] * 3))
    seed = data.draw(st.integers(0, 2**32 - 1))
    label = np.random.default_rng(seed).choice([0, *LABELS], shape, p=[0.7, 0.1, 0.1, 0.1])
    label.flat[0] = 2  # something to crop to
    cropped = recipe(axis, slices=32, crop="nonzero", crop_margin_mm=margin_mm)
    for grid in (make_grid(shape, affine, recipe(axis)), make_grid(shape, affine, cropped, bounding_box(label > 0))):
        assert grid.resampled is None
        np.testing.assert_array_equal(restore_label(prepare_label(label, grid, LABELS), grid, LABELS), label)
        np.testing.assert_array_equal(there_and_back(label, grid), label)


@pytest.mark.parametrize(
    "fields",
    [
        {"spacing_mm": (1, 1, 1)},
        {"spacing_mm": (1.1, 0.7, None)},
        {"fit": "resize", "size": (48, 32)},
        {"fit": "stretch", "size": (32, 48), "slices": 20},
        {"spacing_mm": (1, 1, 1), "crop": "body"},
    ],
    ids=["isotropic", "in plane", "resized", "stretched", "cropped"],
)
def test_with_resampling_every_difference_lies_within_one_voxel_of_a_border(label, fields):
    inner = apart_from_borders(label)
    assert inner.mean() > 0.2
    box = bounding_box(label > 0) if "crop" in fields else None
    for affine in AFFINES:
        grid = make_grid(SHAPE, affine, recipe(**fields), box)
        assert grid.resampled is not None
        restored = restore_label(prepare_label(label, grid, LABELS), grid, LABELS)
        np.testing.assert_array_equal(restored[inner], label[inner])
        assert (restored != label).mean() < 0.1


@pytest.mark.parametrize(
    "fields",
    [
        {"spacing_mm": (1.6, 2, 2)},
        {"spacing_mm": (2, 2, 5)},
        {"spacing_mm": (0.6, 0.6, 1), "crop": "nonzero", "size": (128, 128)},
        {"fit": "stretch", "size": (16, 16), "slices": 16},
    ],
    ids=["twice as coarse", "coarser yet", "finer", "stretched"],
)
def test_every_difference_lies_within_one_prepared_voxel_of_a_border(large_label, fields):
    box = bounding_box(large_label > 0) if "crop" in fields else None
    for affine, interpolation in itertools.product((AFFINES[0], AFFINES[17], oblique()), LABEL_RESAMPLERS):
        grid = make_grid(large_label.shape, affine, recipe(**fields), box)
        voxels = np.maximum(1, np.ceil(np.divide(grid.cropped_shape, grid.resampled)))
        inner = apart_from_borders(large_label, voxels.astype(int))
        assert inner.mean() > 0.1 and set(np.unique(large_label[inner])) == {0, *LABELS}
        restored = there_and_back(large_label, grid, interpolation)
        np.testing.assert_array_equal(restored[inner], large_label[inner])
        assert (restored != large_label).mean() < 0.2


@settings(max_examples=50)
@given(
    affine=affines,
    spacing_mm=st.tuples(*[st.floats(0.5, 2)] * 3),
    interpolation=st.sampled_from([*LABEL_RESAMPLERS]),
)
def test_at_any_spacing_a_box_comes_back_to_one_prepared_voxel(affine, spacing_mm, interpolation):
    box = np.zeros((24, 22, 14), np.int64)
    box[5:19, 6:16, 4:10] = 5
    grid = make_grid(box.shape, affine, recipe(spacing_mm=spacing_mm, size=(128, 128)))
    voxels = np.maximum(1, np.ceil(np.divide(grid.cropped_shape, grid.resampled or grid.cropped_shape)))
    inner = apart_from_borders(box, voxels.astype(int))
    restored = there_and_back(box, grid, interpolation)
    np.testing.assert_array_equal(restored[inner], box[inner])


def test_an_oblique_scan_is_resampled_along_its_own_axes():
    turned, straight = (make_grid(SHAPE, a, recipe(spacing_mm=(1, 1, 1))) for a in (oblique(), AFFINES[17]))
    assert sorted(turned.resampled) == sorted(straight.resampled)


def test_a_label_that_is_resampled_finely_and_back_is_the_same(label):
    classes = np.searchsorted([0, 2, 5, 300], label).astype(np.uint8)
    finer = tuple(3 * length for length in SHAPE)
    np.testing.assert_array_equal(by_class(by_class(classes, finer), SHAPE), classes)
