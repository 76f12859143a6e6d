import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from tfseg.core import geometry

MASKS = array_shapes(min_dims=2, max_dims=3, max_side=7).flatmap(lambda shape: arrays(np.bool_, shape))
SPACINGS = st.tuples(*[st.floats(0.3, 5)] * 3)


def block(shape, *sides):
    mask = np.zeros(shape, np.bool_)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def ball(radius_mm, spacing_mm):
    """Offsets within the radius, as a structuring element for scipy."""
    reach = [int(radius_mm // step) + 1 for step in spacing_mm]
    offsets = np.meshgrid(*[np.arange(-n, n + 1) * step for n, step in zip(reach, spacing_mm, strict=True)])
    return np.swapaxes(sum(offset**2 for offset in offsets) <= radius_mm**2 * (1 + 1e-9), 0, 1)


# --- spacing, slices and boxes


def test_the_fullest_slice_is_the_first_of_the_largest_and_the_middle_one_of_an_empty_mask():
    mask = np.zeros((5, 2, 3), np.bool_)
    assert geometry.fullest_slice(mask) == 2
    mask[1, 0], mask[3, 1] = True, True
    assert geometry.fullest_slice(mask) == 1
    mask[3, 0, 0] = True
    assert geometry.fullest_slice(mask) == 3


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 1, 1), (1, 0, 1), (1, -1, 1), (1, np.nan, 1), (1, np.inf, 1)])
def test_a_bad_spacing_is_refused(spacing):
    with pytest.raises(ValueError, match="spacing_mm: expected 3 positive finite numbers, received"):
        geometry.validated_spacing(spacing, 3)


def test_diagonal():
    assert geometry.diagonal_mm((3, 4), (1, 1)) == 5
    assert geometry.diagonal_mm((10, 20, 5), (2, 1, 4)) == pytest.approx(1200**0.5)


def test_bounding_box_holds_all_masks_and_its_margin_stops_at_the_border():
    first, second = block((9, 9), (3, 5), (1, 2)), block((9, 9), (4, 7), (3, 4))
    assert geometry.bounding_box(first) == (slice(3, 5), slice(1, 2))
    assert geometry.bounding_box(first, second) == (slice(3, 7), slice(1, 4))
    assert first[geometry.bounding_box(first, second, margin=2)].shape == (8, 6)


def test_bounding_box_of_nothing_has_length_0():
    empty = np.zeros((3, 4, 5), np.bool_)
    assert empty[geometry.bounding_box(empty, empty, margin=2)].shape == (0, 0, 0)


@given(MASKS)
@settings(max_examples=50, deadline=None)
def test_bounding_box_against_scipy_in_both_memory_orders(mask):
    if mask.any():
        expected = ndimage.find_objects(mask.astype(int))[0]
        assert geometry.bounding_box(mask) == expected
        assert geometry.bounding_box(np.asfortranarray(mask)) == expected


def test_crop_to_joint_box_cuts_both_alike():
    first, second = geometry.crop_to_joint_box(block((9, 9), (3, 5), (1, 2)), block((9, 9), (4, 7), (3, 4)), margin=1)
    assert first.shape == second.shape == (6, 5)
    assert first.sum() == 2
    assert second.sum() == 3


# --- surfaces and distances


def test_surface_of_a_cube_and_of_a_mask_that_reaches_the_border():
    assert geometry.surface(block((7, 7, 7), (1, 6), (1, 6), (1, 6))).sum() == 5**3 - 3**3
    assert geometry.surface(np.ones((4, 5), np.bool_)).sum() == 20 - 6
    assert geometry.surface(np.ones((1, 4, 4), np.bool_)).all()
    assert not geometry.surface(np.zeros((3, 3), np.bool_)).any()


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_surface_against_scipy_erosion(mask):
    np.testing.assert_array_equal(geometry.surface(mask), mask & ~ndimage.binary_erosion(mask))


def test_distance_from_a_voxel_under_anisotropic_spacing():
    distances = geometry.distance_map(block((5, 5, 5), (0, 1), (0, 1), (0, 1)), (3.0, 0.5, 2.0))
    assert distances[2, 4, 3] == pytest.approx((6**2 + 2**2 + 6**2) ** 0.5)
    assert distances[0, 0, 0] == 0


def test_distance_to_an_empty_mask_is_infinite():
    assert np.isposinf(geometry.distance_map(np.zeros((3, 4), np.bool_), (1, 1))).all()
    assert geometry.distance_map(np.zeros((0, 4), np.bool_), (1, 1)).shape == (0, 4)


@given(MASKS, SPACINGS)
@settings(max_examples=100, deadline=None)
def test_distance_map_against_scipy(mask, spacing):
    spacing = spacing[: mask.ndim]
    if mask.any():
        expected = ndimage.distance_transform_edt(~mask, sampling=spacing)
        np.testing.assert_allclose(geometry.distance_map(mask, spacing), expected, rtol=1e-6, atol=1e-6)


def test_a_distance_equal_to_the_limit_is_within_it():
    line = block((40, 1), (0, 1), (0, 1))
    distances = geometry.distance_map(line, (0.7, 1.0)).ravel()
    for step in range(40):
        assert geometry.within(distances, 0.7 * step).sum() == step + 1


# --- morphology in millimetres


def test_dilation_of_a_voxel_reaches_as_far_as_the_spacing_allows():
    grown = geometry.dilate(block((7, 7, 7), (3, 4), (3, 4), (3, 4)), 2.0, (3.0, 1.0, 2.0))
    assert grown.any(axis=(1, 2)).sum() == 1  # 3 mm away is out of reach
    assert grown.any(axis=(0, 2)).sum() == 5  # 2 voxels of 1 mm on each side
    assert grown.any(axis=(0, 1)).sum() == 3  # 1 voxel of 2 mm on each side


@given(MASKS, SPACINGS, st.floats(0, 6))
@settings(max_examples=60, deadline=None)
def test_dilation_and_erosion_against_scipy_with_a_ball(mask, spacing, radius):
    spacing = tuple(round(step, 1) for step in spacing[: mask.ndim])
    radius = round(radius, 2) + 0.003  # no lattice distance lies this close to it
    structure = ball(radius, spacing)
    grown = ndimage.binary_dilation(mask, structure)
    np.testing.assert_array_equal(geometry.dilate(mask, radius, spacing), grown)
    shrunk = ndimage.binary_erosion(mask, structure, border_value=1)
    np.testing.assert_array_equal(geometry.erode(mask, radius, spacing), shrunk)


@given(MASKS, SPACINGS, st.floats(0, 6))
@settings(max_examples=60, deadline=None)
def test_opening_and_closing_bracket_the_mask_and_are_idempotent(mask, spacing, radius):
    spacing = spacing[: mask.ndim]
    opened = geometry.opening(mask, radius, spacing)
    closed = geometry.closing(mask, radius, spacing)
    assert not (opened & ~mask).any()
    assert not (mask & ~closed).any()
    np.testing.assert_array_equal(geometry.opening(opened, radius, spacing), opened)
    np.testing.assert_array_equal(geometry.closing(closed, radius, spacing), closed)


def test_opening_cuts_a_thin_bridge_and_closing_fills_a_thin_gap():
    two_squares = block((9, 20), (1, 8), (1, 8)) | block((9, 20), (1, 8), (12, 19))
    bridged = two_squares | block((9, 20), (4, 5), (8, 12))
    assert geometry.largest_component(bridged).sum() == bridged.sum()
    opened = geometry.opening(bridged, 1.0, (1, 1))
    assert not opened[:, 9:11].any()
    split = block((9, 20), (1, 8), (1, 19)) & ~block((9, 20), (1, 8), (9, 10))
    assert geometry.closing(split, 1.0, (1, 1))[3:6, 9].all()


# --- components and holes


def test_largest_component_and_small_component_removal():
    mask = block((10, 10), (0, 3), (0, 3)) | block((10, 10), (5, 7), (5, 7)) | block((10, 10), (9, 10), (0, 1))
    assert geometry.largest_component(mask).sum() == 9
    assert geometry.remove_small_components(mask, 4).sum() == 13
    assert geometry.remove_small_components(mask, 5).sum() == 9
    np.testing.assert_array_equal(geometry.remove_small_components(mask, 0), mask)


def test_voxels_that_touch_by_a_corner_are_one_component():
    assert geometry.largest_component(np.eye(4, dtype=np.bool_)).sum() == 4
    corners = block((4, 4, 4), (0, 2), (0, 2), (0, 2)) | block((4, 4, 4), (2, 4), (2, 4), (2, 4))
    assert geometry.remove_small_components(corners, 16).sum() == 16


@given(MASKS)
@example(np.eye(1, 7, 5, dtype=np.bool_))
@example(np.array([[0, 0], [0, 0], [0, 0], [0, 0], [1, 0]], np.bool_))
@example(np.ones((1, 7, 1), np.bool_))
@settings(max_examples=150, deadline=None)
def test_components_against_scipy(mask):
    numbers, sizes = geometry.components(mask)
    expected, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    np.testing.assert_array_equal(numbers > 0, mask)
    assert len(sizes) == count + 1
    assert sorted(sizes[1:]) == sorted(np.bincount(expected.ravel(), minlength=1)[1:])
    assert len(set(zip(numbers[mask], expected[mask], strict=True))) == count


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_components_of_an_empty_and_a_full_mask(shape):
    empty, full = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
    for function in (
        geometry.largest_component,
        geometry.fill_holes,
        lambda m: geometry.remove_small_components(m, 2),
    ):
        np.testing.assert_array_equal(function(empty), empty)
        np.testing.assert_array_equal(function(full), full)


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_fill_holes_against_scipy(mask):
    np.testing.assert_array_equal(geometry.fill_holes(mask), ndimage.binary_fill_holes(mask))
