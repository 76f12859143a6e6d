import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage
from scipy.spatial.distance import cdist

from tfseg.metrics import surface

PAIRS = array_shapes(min_dims=2, max_dims=3, max_side=6).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)
SPACINGS = st.tuples(*[st.floats(0.3, 5)] * 3)


def voxels(shape, *indices):
    mask = np.zeros(shape, np.bool_)
    for index in indices:
        mask[index] = True
    return mask


def reduced(distances, tolerance_mm):
    return (
        surface.hd(distances),
        surface.hd95(distances),
        surface.assd(distances),
        surface.masd(distances),
        surface.nsd(distances, tolerance_mm),
    )


def test_two_voxels_in_2d_and_3d():
    flat = surface.surface_distances(voxels((9, 9), (1, 1)), voxels((9, 9), (4, 5)), (2.0, 0.5))
    assert reduced(flat, 1.0) == pytest.approx((40**0.5, 40**0.5, 40**0.5, 40**0.5, 0))
    solid = surface.surface_distances(voxels((9, 9, 9), (1, 1, 1)), voxels((9, 9, 9), (2, 3, 4)), (2.0, 1.5, 2.0))
    assert reduced(solid, 7.0) == pytest.approx((7, 7, 7, 7, 1))


def test_parallel_plates():
    truth, prediction = np.zeros((2, 10, 8, 8), np.bool_)
    truth[2] = prediction[5] = True
    distances = surface.surface_distances(truth, prediction, (2.5, 1.0, 1.0))
    assert reduced(distances, 7.5) == pytest.approx((7.5, 7.5, 7.5, 7.5, 1))
    assert surface.nsd(distances, 7.4) == 0


def test_a_cube_inside_a_cube():
    truth, prediction = np.zeros((2, 9, 9, 9), np.bool_)
    truth[1:8, 1:8, 1:8] = True  # side 7: 218 surface voxels
    prediction[3:6, 3:6, 3:6] = True  # side 3: 26 surface voxels, all 2 steps below a face of the truth
    distances = surface.surface_distances(truth, prediction, (1.0, 1.0, 1.0))
    assert distances.truth_to_prediction.size == 218
    assert distances.prediction_to_truth.tolist() == [2.0] * 26
    assert surface.hd(distances) == pytest.approx(12**0.5)  # corner to corner
    # One face direction, 6 · 3² voxels, lies 2 away; edges and corners are farther.
    assert surface.nsd(distances, 2.0) == (26 + 6 * 9) / (26 + 218)


def test_a_stray_voxel_moves_hd_to_it_and_not_hd95():
    truth, prediction = np.zeros((2, 30, 80), np.bool_)
    truth[5:25, 5:25] = prediction[5:25, 5:25] = True
    prediction[10, 74] = True  # 50 columns to the right of the square
    distances = surface.surface_distances(truth, prediction, (1.0, 0.5))
    assert surface.hd(distances) == 25
    assert surface.hd95(distances) == 0
    assert surface.assd(distances) == pytest.approx((0 + 25) / (76 + 77))
    assert surface.masd(distances) == pytest.approx((0 + 25 / 77) / 2)
    assert surface.nsd(distances, 1.0) == (76 + 76) / (76 + 77)


def test_hd95_is_the_larger_directed_percentile_assd_pools_and_masd_weighs_both_directions_alike():
    distances = surface.SurfaceDistances(np.arange(101.0), np.zeros(5000))
    assert surface.hd95(distances) == 95
    assert surface.assd(distances) == pytest.approx(5050 / 5101)
    assert surface.masd(distances) == 25


@given(PAIRS, SPACINGS, st.floats(0, 5))
@settings(max_examples=150, deadline=None)
def test_against_all_pairs_of_surface_voxels(pair, spacing, tolerance):
    truth, prediction = pair
    spacing = spacing[: truth.ndim]
    if not (truth.any() and prediction.any()):
        return
    points = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing for mask in pair]
    table = cdist(*points)
    forth, back = table.min(axis=1), table.min(axis=0)
    distances = surface.surface_distances(truth, prediction, spacing)
    np.testing.assert_allclose(distances.truth_to_prediction, forth, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(distances.prediction_to_truth, back, rtol=1e-6, atol=1e-6)
    assert surface.hd(distances) == pytest.approx(max(forth.max(), back.max()), rel=1e-6)
    assert surface.assd(distances) == pytest.approx(np.concatenate([forth, back]).mean(), rel=1e-6)
    assert surface.masd(distances) == pytest.approx((forth.mean() + back.mean()) / 2, rel=1e-6)
    percentile = max(np.percentile(forth, 95), np.percentile(back, 95))
    assert surface.hd95(distances) == pytest.approx(percentile, rel=1e-6, abs=1e-6)
    both = np.concatenate([forth, back])
    if np.abs(both - tolerance).min() > 1e-4:
        assert surface.nsd(distances, tolerance) == np.mean(both <= tolerance)


@given(PAIRS, SPACINGS)
@settings(max_examples=50, deadline=None)
def test_symmetric_and_zero_on_itself(pair, spacing):
    truth, prediction = pair
    spacing = spacing[: truth.ndim]
    forth = surface.surface_distances(truth, prediction, spacing)
    back = surface.surface_distances(prediction, truth, spacing)
    np.testing.assert_allclose(reduced(forth, 1.0), reduced(back, 1.0), rtol=1e-9)
    if truth.any():
        assert reduced(surface.surface_distances(truth, truth, spacing), 0.0) == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 5)])
def test_empty_masks(shape):
    empty, full = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
    spacing = (1.5,) * len(shape)
    neither = surface.surface_distances(empty, empty, spacing)
    assert neither.truth_to_prediction.size == neither.prediction_to_truth.size == 0
    assert np.isnan(reduced(neither, 1.0)).all()
    missed = surface.surface_distances(full, empty, spacing)
    false_alarm = surface.surface_distances(empty, full, spacing)
    for distances in (missed, false_alarm):
        assert reduced(distances, 1.0) == (np.inf, np.inf, np.inf, np.inf, 0)


def test_a_wrong_spacing_is_refused():
    mask = np.ones((3, 3), np.bool_)
    with pytest.raises(ValueError, match="spacing_mm: expected 2"):
        surface.surface_distances(mask, mask, (1, 1, 1))
