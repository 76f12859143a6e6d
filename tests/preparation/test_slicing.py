"""Between a scan's own grid and its slices, in every orientation, there and back."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfseg.core.errors import DataError
from tfseg.datasets.grids import AXES
from tfseg.preparation.resampling import linear
from tfseg.preparation.slicing import SliceGrid

SHAPE = (3, 4, 5)
SPACING_MM = (0.5, 2.0, 7.0)
# Which of the axes x, y, z slices, rows and columns go along.
ORDER = {"sagittal": (0, 1, 2), "coronal": (1, 0, 2), "axial": (2, 0, 1)}


def oriented(directions, signs, spacing_mm=SPACING_MM):
    """An affine whose stored axis i goes along `directions[i]` of x, y, z in steps of `spacing_mm[i]`."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    affine[list(directions), range(3)] = np.multiply(signs, spacing_mm)
    affine[:3, 3] = (11, -7, 3)
    return affine


def rotated(affine, x, y, z):
    """An affine turned by so many degrees about x, then y, then z."""
    turned = affine.copy()
    for axis, degrees in enumerate((x, y, z)):
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        rotation = np.eye(3)
        first, second = {0, 1, 2} - {axis}
        rotation[first, first], rotation[first, second] = cos, -sin
        rotation[second, first], rotation[second, second] = sin, cos
        turned[:3, :3] = rotation @ turned[:3, :3]
    return turned


OBLIQUE = rotated(oriented((1, 0, 2), (1, -1, 1)), 20, 0, 15)
ORIENTATIONS = [
    oriented(directions, signs)
    for directions in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
orders = st.permutations(range(3))
signs = st.tuples(*[st.sampled_from((1, -1))] * 3)
spacings = st.tuples(*[st.floats(0.125, 9)] * 3)
angles = st.floats(-15, 15)
affines = st.builds(rotated, st.builds(oriented, orders, signs, spacings), angles, angles, angles)
shapes = st.tuples(*[st.integers(1, 6)] * 3)


@st.composite
def crops(draw, shape):
    sides = []
    for voxels in shape:
        start = draw(st.integers(0, voxels - 1))
        sides.append((start, draw(st.integers(start + 1, voxels))))
    return tuple(sides)


def numbered(*channels, shape=SHAPE):
    """A volume whose voxels all differ."""
    return np.arange(np.prod(shape + channels), dtype=np.float32).reshape(shape + channels)


@given(st.data(), affines, st.sampled_from(AXES), shapes, st.sampled_from([(), (1,), (3,)]))
def test_slices_go_back_to_where_they_came_from(data, affine, axis, shape, channels):
    """Cropped voxels take the fill; `case.json` has what this needs."""
    crop = data.draw(st.none() | crops(shape))
    room = data.draw(st.tuples(*[st.integers(0, 3)] * 3))
    bare = SliceGrid.of(shape, affine, axis, (1, 1), crop=crop)
    slices, *size = np.add(bare.slice_shape, room).tolist()
    grid = SliceGrid.of(shape, affine, axis, tuple(size), crop=crop, slices=slices)
    volume = numbered(*channels, shape=shape)
    prepared = grid.to_slices(volume, fill=-1)
    assert prepared.shape == (slices, *size, *channels)
    expected = np.full_like(volume, -5)
    kept = tuple(slice(*sides) for sides in crop) if crop else ()
    expected[kept] = volume[kept]
    again = SliceGrid.from_json(json.loads(json.dumps(grid.to_json())))
    assert again == grid
    np.testing.assert_array_equal(again.from_slices(prepared, fill=-5), expected)


@pytest.mark.parametrize("axis", AXES)
def test_slices_rows_and_columns_run_towards_right_anterior_superior(axis):
    for affine in ORIENTATIONS:
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


@given(st.builds(oriented, orders, signs), angles, angles, angles, st.sampled_from(AXES))
def test_an_oblique_scan_is_sliced_along_its_nearest_axes(straight, x, y, z, axis):
    turned, plain = (SliceGrid.of(SHAPE, affine, axis, (8, 8)) for affine in (rotated(straight, x, y, z), straight))
    np.testing.assert_array_equal(turned.to_slices(numbered()), plain.to_slices(numbered()))
    assert turned.slice_shape == plain.slice_shape
    assert turned.slice_spacing_mm == pytest.approx(plain.slice_spacing_mm)


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


def test_padding_takes_one_value_per_channel():
    grid = SliceGrid.of((2, 2, 1), np.eye(4), "axial", (4, 4))
    slices = grid.to_slices(np.zeros((2, 2, 1, 2), np.float32), fill=np.array([-3, 7]))
    assert slices[0, 0, 0].tolist() == [-3, 7]
    assert slices[0, 1, 1].tolist() == [0, 0]


def test_slices_are_padded_to_their_number():
    grid = SliceGrid.of((2, 2, 2), np.eye(4), "axial", (2, 2), slices=5)
    assert grid.to_slices(np.ones((2, 2, 2)), fill=9)[:, 0, 0].tolist() == [9, 1, 1, 9, 9]
    with pytest.raises(DataError, match="2 slices do not fit the 1 asked for"):
        SliceGrid.of((2, 2, 2), np.eye(4), "axial", (2, 2), slices=1).to_slices(np.ones((2, 2, 2)))


def test_slices_larger_than_the_size_are_refused():
    for size in ((2, 4), (3, 3)):
        grid = SliceGrid.of((3, 4, 5), np.eye(4), "axial", size)
        with pytest.raises(DataError, match=r"slices of \(3, 4\) pixels do not fit the size"):
            grid.to_slices(np.zeros((3, 4, 5)))


def test_the_type_is_kept_both_ways():
    for dtype in (np.uint8, np.float32, np.bool_):
        grid = SliceGrid.of(SHAPE, OBLIQUE, "axial", (8, 8))
        slices = grid.to_slices(np.ones(SHAPE, dtype))
        assert slices.dtype == dtype
        assert grid.from_slices(slices).dtype == dtype


@given(affines, st.sampled_from(AXES), crops(SHAPE), shapes)
def test_slices_are_resampled_as_the_volume_is(affine, axis, crop, resampled):
    size = (6, 6)
    grid = SliceGrid.of(SHAPE, affine, axis, size, crop=crop, resampled=resampled)
    plain = SliceGrid.of(resampled, affine, axis, size)
    cropped = numbered()[tuple(slice(*sides) for sides in crop)]
    np.testing.assert_array_equal(
        grid.to_slices(numbered(), resample=linear), plain.to_slices(linear(cropped, resampled))
    )
    assert grid.slice_shape == plain.slice_shape
    extent_mm = np.multiply(grid.spacing_mm, cropped.shape)
    np.testing.assert_allclose(np.multiply(grid.slice_spacing_mm, grid.slice_shape), extent_mm[grid.stored_axes])


def test_the_spacing_of_resampled_slices_covers_the_same_extent():
    grid = SliceGrid.of((10, 20, 30), np.diag([1, 2, 3, 1]), "axial", (40, 40), resampled=(5, 40, 30))
    assert (grid.spacing_mm, grid.slice_spacing_mm) == ((1, 2, 3), (3, 2, 1))


def test_json_holds_what_is_not_absent():
    assert list(SliceGrid.of(SHAPE, OBLIQUE, "axial", (8, 8)).to_json()) == ["shape", "affine", "axis", "size"]
    crop = ((0, 2), (1, 4), (2, 5))
    grid = SliceGrid.of(SHAPE, OBLIQUE, "sagittal", (16, 32), crop=crop, resampled=(4, 9, 3), slices=12)
    assert SliceGrid.from_json(json.loads(json.dumps(grid.to_json()))) == grid


def test_a_grown_grid_holds_slices_of_any_size():
    grid = SliceGrid.of((9, 5, 3), np.eye(4), "axial", (8, 8))
    assert grid.grown().size == (9, 8)
    volume = np.arange(9 * 5 * 3, dtype=np.float32).reshape(9, 5, 3)
    np.testing.assert_array_equal(grid.grown().from_slices(grid.grown().to_slices(volume)), volume)
    fits = SliceGrid.of((4, 5, 3), np.eye(4), "axial", (8, 8))
    assert fits.grown() == fits
