import itertools
import json

import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.grids import AXES
from tfseg.preparation.resampling import linear
from tfseg.preparation.slicing import SliceGrid

SHAPE = (3, 4, 5)
SPACING_MM = (0.5, 2.0, 7.0)
# Which of the axes x, y, z slices, rows and columns go along.
ORDER = {"sagittal": (0, 1, 2), "coronal": (1, 0, 2), "axial": (2, 0, 1)}


def oriented(directions, signs):
    """An affine whose stored axis i goes along `directions[i]` of x, y, z in steps of `SPACING_MM[i]`."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for stored, (direction, sign) in enumerate(zip(directions, signs, strict=True)):
        affine[direction, stored] = sign * SPACING_MM[stored]
    affine[:3, 3] = (11, -7, 3)
    return affine


def oblique():
    """`oriented` (y, -x, z), turned by 20° about x and then 15° about z."""
    a, b = np.deg2rad([20, 15])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = oriented((1, 0, 2), (1, -1, 1))
    affine[:3, :3] = about_z @ about_x @ affine[:3, :3]
    return affine


ORIENTATIONS = [
    oriented(directions, signs)
    for directions in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
AFFINES = [*ORIENTATIONS, oblique()]

every_affine = pytest.mark.parametrize("affine", AFFINES, ids=range(len(AFFINES)))
every_axis = pytest.mark.parametrize("axis", AXES)


def numbered(*channels):
    """A volume whose voxels all differ."""
    return np.arange(np.prod(SHAPE + channels), dtype=np.float32).reshape(SHAPE + channels)


@every_affine
@every_axis
@pytest.mark.parametrize("channels", [(), (2,)])
def test_slices_go_back_to_where_they_came_from(affine, axis, channels):
    grid = SliceGrid.of(SHAPE, affine, axis, (8, 9))
    volume = numbered(*channels)
    slices = grid.to_slices(volume, fill=-1)
    assert slices.shape[1:] == (8, 9, *channels)
    np.testing.assert_array_equal(grid.from_slices(slices), volume)


@pytest.mark.parametrize("affine", ORIENTATIONS, ids=range(len(ORIENTATIONS)))
@every_axis
def test_slices_rows_and_columns_run_towards_right_anterior_superior(affine, axis):
    indices = np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 3)
    positions = indices @ affine[:3, :3].T
    steps = np.abs(affine[:3, :3]).sum(axis=1)
    xyz = np.rint((positions - positions.min(axis=0)) / steps).astype(int)
    expected = np.empty((xyz.max(axis=0) + 1)[list(ORDER[axis])], np.float32)
    expected[tuple(xyz[:, list(ORDER[axis])].T)] = numbered()[tuple(indices.T)]

    grid = SliceGrid.of(SHAPE, affine, axis, expected.shape[1:])
    np.testing.assert_array_equal(grid.to_slices(numbered()), expected)
    assert grid.slice_shape == expected.shape
    assert grid.slice_spacing_mm == tuple(steps[list(ORDER[axis])])


@every_axis
def test_an_oblique_scan_is_sliced_along_its_nearest_axes(axis):
    turned = SliceGrid.of(SHAPE, oblique(), axis, (8, 8))
    straight = SliceGrid.of(SHAPE, oriented((1, 0, 2), (1, -1, 1)), axis, (8, 8))
    np.testing.assert_array_equal(turned.to_slices(numbered()), straight.to_slices(numbered()))
    assert turned.slice_shape == straight.slice_shape
    assert turned.slice_spacing_mm == pytest.approx(straight.slice_spacing_mm)


def test_spacing_is_given_for_the_stored_axes_too():
    grid = SliceGrid.of(SHAPE, oriented((2, 0, 1), (-1, 1, -1)), "coronal", (8, 8))
    assert grid.spacing_mm == SPACING_MM
    assert grid.slice_spacing_mm == (7, 2, 0.5)  # y is the stored axis 2, x is 1, z is 0


def test_padding_is_centred_with_the_odd_pixel_at_the_end():
    grid = SliceGrid.of((2, 3, 1), np.eye(4), "axial", (5, 6))
    slices = grid.to_slices(np.ones((2, 3, 1), np.uint8), fill=9)
    expected = np.full((1, 5, 6), 9)
    expected[0, 1:3, 1:4] = 1
    np.testing.assert_array_equal(slices, expected)
    np.testing.assert_array_equal(grid.unpad(slices), np.ones((1, 2, 3)))


def test_padding_takes_one_value_a_channel():
    grid = SliceGrid.of((2, 2, 1), np.eye(4), "axial", (4, 4))
    slices = grid.to_slices(np.zeros((2, 2, 1, 2), np.float32), fill=np.array([-3, 7]))
    assert slices[0, 0, 0].tolist() == [-3, 7]
    assert slices[0, 1, 1].tolist() == [0, 0]


@pytest.mark.parametrize("size", [(2, 4), (3, 3)])
def test_slices_larger_than_the_size_are_refused(size):
    grid = SliceGrid.of((3, 4, 5), np.eye(4), "axial", size)
    with pytest.raises(DataError, match=r"slices of \(3, 4\) pixels do not fit the size"):
        grid.to_slices(np.zeros((3, 4, 5)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.bool_])
def test_the_type_is_kept_both_ways(dtype):
    grid = SliceGrid.of(SHAPE, oblique(), "axial", (8, 8))
    slices = grid.to_slices(np.ones(SHAPE, dtype))
    assert slices.dtype == dtype
    assert grid.from_slices(slices).dtype == dtype


def test_json_round_trip():
    grid = SliceGrid.of(SHAPE, oblique(), "sagittal", (16, 32))
    again = SliceGrid.from_json(json.loads(json.dumps(grid.to_json())))
    assert again == grid
    np.testing.assert_array_equal(again.from_slices(grid.to_slices(numbered())), numbered())


# --- crops and resampling

CROP = ((0, 2), (1, 4), (2, 5))


@every_affine
@every_axis
def test_a_crop_comes_back_to_its_place_and_the_rest_takes_the_fill(affine, axis):
    grid = SliceGrid.of(SHAPE, affine, axis, (8, 9), crop=CROP, slices=6)
    slices = grid.to_slices(numbered(2), fill=-1)
    assert slices.shape == (6, 8, 9, 2)
    expected = np.full((*SHAPE, 2), -5, np.float32)
    expected[:2, 1:4, 2:5] = numbered(2)[:2, 1:4, 2:5]
    np.testing.assert_array_equal(grid.from_slices(slices, fill=-5), expected)


@every_affine
@every_axis
def test_slices_are_resampled_as_the_volume_is(affine, axis):
    grid = SliceGrid.of(SHAPE, affine, axis, (10, 10), crop=CROP, resampled=(4, 9, 3))
    straight = SliceGrid.of((4, 9, 3), affine, axis, (10, 10))
    expected = straight.to_slices(linear(numbered()[:2, 1:4, 2:5], (4, 9, 3)))
    np.testing.assert_array_equal(grid.to_slices(numbered(), resample=linear), expected)
    assert grid.slice_shape == straight.slice_shape
    mm = np.multiply(SPACING_MM, (2, 3, 3)) / (4, 9, 3)
    assert sorted(grid.slice_spacing_mm) == pytest.approx(sorted(mm))


def test_the_spacing_of_resampled_slices_covers_the_same_extent():
    grid = SliceGrid.of((10, 20, 30), np.diag([1, 2, 3, 1]), "axial", (40, 40), resampled=(5, 40, 30))
    assert (grid.spacing_mm, grid.slice_spacing_mm) == ((1, 2, 3), (3, 2, 1))


def test_slices_are_padded_to_their_number():
    grid = SliceGrid.of((2, 2, 2), np.eye(4), "axial", (2, 2), slices=5)
    assert grid.to_slices(np.ones((2, 2, 2)), fill=9)[:, 0, 0].tolist() == [9, 1, 1, 9, 9]
    with pytest.raises(DataError, match="2 slices do not fit the 1 asked for"):
        SliceGrid.of((2, 2, 2), np.eye(4), "axial", (2, 2), slices=1).to_slices(np.ones((2, 2, 2)))


def test_json_round_trip_of_a_crop():
    grid = SliceGrid.of(SHAPE, oblique(), "sagittal", (16, 32), crop=CROP, resampled=(4, 9, 3), slices=12)
    assert SliceGrid.from_json(json.loads(json.dumps(grid.to_json()))) == grid


def test_what_is_absent_is_left_out_of_the_json():
    assert list(SliceGrid.of(SHAPE, oblique(), "axial", (8, 8)).to_json()) == ["shape", "affine", "axis", "size"]
