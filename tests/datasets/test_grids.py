import itertools

import numpy as np
import pytest

from tfseg.datasets.grids import Header, Volume, header_stored_like, same_grid, spacing_of, stored_like

AFFINE = np.array([[0, -2, 0, 10], [1.5, 0, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1.0]])


def test_spacing_of_an_oblique_affine():
    turn = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.7, 1.2, 5])
    assert spacing_of(affine) == pytest.approx((0.7, 1.2, 5))


def orientations():
    """All 48 ways to store a volume, as affines with the spacing 1, 2 and 3 mm along right, front and up."""
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = (np.eye(3)[:, list(axes)] * signs) * np.array([1, 2, 3])[list(axes)]
            yield affine


def stored_as(turned, shape):
    """The affine of a grid of `shape` that starts at the corner where `turned` runs from, so that all 48 coincide."""
    ends = turned[:3, :3].copy()
    affine = turned.copy()
    affine[:3, 3] = -np.minimum(ends, 0) @ (np.array(shape) - 1)
    return affine


def test_a_volume_is_turned_to_any_of_the_48_orders():
    canonical = Volume(np.arange(60).reshape(3, 4, 5), np.diag([1.0, 2, 3, 1]))
    places = {tuple((canonical.affine @ [*at, 1])[:3]): value for at, value in np.ndenumerate(canonical.array)}
    for turned in orientations():
        target = stored_as(turned, np.abs(np.rint(np.linalg.inv(turned)[:3, :3] @ [3, 8, 15])).astype(int))
        result = stored_like(canonical, target)
        np.testing.assert_allclose(result.affine[:3, :3], turned[:3, :3])
        found = {
            tuple(np.round((result.affine @ [*at, 1])[:3], 6)): value for at, value in np.ndenumerate(result.array)
        }
        assert found == places
        header = header_stored_like(Header((3, 4, 5), 1, canonical.affine), target)
        assert header.shape == result.array.shape
        np.testing.assert_array_equal(header.affine, result.affine)


def test_a_volume_that_runs_alike_is_left_as_it_is():
    volume_ = Volume(np.arange(60).reshape(3, 4, 5), AFFINE)
    assert stored_like(volume_, AFFINE + 1e-4) is volume_


def test_two_grids_are_one_to_a_tenth_of_a_voxel():
    moved = np.eye(4)
    moved[0, 3] = 0.09
    assert same_grid((3, 4, 5), np.eye(4), moved)
    moved[0, 3] = 0.11
    assert not same_grid((3, 4, 5), np.eye(4), moved)
    stretched = np.diag([1.02, 1, 1, 1])  # the last of n voxels lies 0.02 (n - 1) mm further
    assert same_grid((5, 4, 5), np.eye(4), stretched)
    assert not same_grid((7, 4, 5), np.eye(4), stretched)
