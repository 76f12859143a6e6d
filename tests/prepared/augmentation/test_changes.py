"""Images and truths change as the formulas say: values by hand, identities, and steps that undo one another."""

import numpy as np
import pytest
from scipy import ndimage

from tfseg.prepared.augmentation.drawing import RANGES, parameters_of
from tfseg.prepared.augmentation.fields import smooth_field
from tfseg.prepared.augmentation.intensity import coarsened, recolour
from tfseg.prepared.augmentation.spatial import move, places_of


def drawn_as(rank, **values):
    drawn = np.zeros(1, parameters_of(rank))
    for name, (_, neutral) in RANGES.items():
        drawn[name] = neutral
    for name, value in values.items():
        drawn[name] = value
    return drawn[0]


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def ball(shape, radius):
    """A smooth ball off the middle, and whether a voxel is inside."""
    grid = np.stack(np.indices(shape), axis=-1) - (np.array(shape) - 1) / 2 - np.arange(len(shape))
    distance = np.linalg.norm(grid, axis=-1)
    return np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)[..., None], (distance <= radius)[..., None]


def test_nothing_drawn_changes_nothing():
    for shape in ((6, 7, 2), (5, 6, 7, 2)):
        image, truth = noise(*shape), (noise(*shape) > 0).astype(np.uint8)
        moved, of_truth = move(image, truth, drawn_as(len(shape) - 1), (1,) * (len(shape) - 1))
        np.testing.assert_array_equal(recolour(moved, drawn_as(len(shape) - 1)), image)
        np.testing.assert_array_equal(of_truth, truth)


def test_a_flip_mirrors_image_and_truth_exactly():
    image, truth = noise(3, 4, 5, 2), (noise(3, 4, 5, 1) > 0).astype(np.uint8)
    moved = move(image, truth, drawn_as(3, flip=(1, 0, 1)), (1, 1, 1))
    np.testing.assert_array_equal(moved[0], image[::-1, :, ::-1])
    np.testing.assert_array_equal(moved[1], truth[::-1, :, ::-1])


@pytest.mark.parametrize(("angle", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_a_quarter_turn_is_that_of_numpy(angle, turns):
    for shape in ((7, 7, 2), (3, 7, 7, 2)):
        rank = len(shape) - 1
        image, truth = noise(*shape), (noise(*shape) > 0).astype(np.uint8)
        moved = move(image, truth, drawn_as(rank, rotate=(angle, 0, 0)), (2.0, 1.0, 1.0)[-rank:])
        for before, after in zip((image, truth), moved, strict=True):
            np.testing.assert_allclose(after, np.rot90(before, turns, axes=(rank - 2, rank - 1)), atol=1e-4)


def test_a_turn_is_one_in_the_body_whatever_the_spacing():
    """Voxels of 1 by 2 mm: what lies 4 mm along the columns lies 4 mm along the rows after a quarter turn."""
    image = np.zeros((41, 21, 1), np.float32)
    image[20, 12] = 1
    moved, _ = move(image, image.astype(np.uint8), drawn_as(2, rotate=(90, 0, 0)), (1.0, 2.0))
    assert {tuple(np.abs(place - (20, 10))) for place in np.argwhere(moved[..., 0] > 0.5)} == {(4, 0)}


def test_scale_enlarges_about_the_middle():
    for shape, radius in (((31, 33), 5), ((21, 23, 25), 4)):
        image, truth = ball(shape, radius)
        _, larger = move(image, truth.astype(np.uint8), drawn_as(len(shape), scale=1.5), (1,) * len(shape))
        assert larger.sum() == pytest.approx(truth.sum() * 1.5 ** len(shape), rel=0.08)


def test_image_and_truth_stay_together():
    for shape, radius in (((64, 64), 14), ((36, 36, 36), 11)):
        image, truth = ball(shape, radius)
        rank = len(shape)
        drawn = drawn_as(rank, flip=1, rotate=(20, -10, 5) if rank == 3 else (20, 0, 0), scale=1.2, elastic=1, seed=3)
        moved, of_truth = move(image, truth.astype(np.uint8), drawn, (1.0,) * rank)
        assert (of_truth != truth).mean() > 0.01
        assert ((moved > 0.5) != of_truth).sum() < 0.08 * of_truth.sum()


def test_beyond_the_border_image_and_truth_are_mirrored():
    for shape in ((5, 4), (3, 5, 4)):
        image = noise(*shape, 1)
        places = places_of(shape, drawn_as(len(shape), scale=0.5), (1,) * len(shape))
        expected = ndimage.map_coordinates(image[..., 0], places, order=1, mode="mirror")
        moved, _ = move(image, image.astype(np.uint8), drawn_as(len(shape), scale=0.5), (1,) * len(shape))
        np.testing.assert_allclose(moved[..., 0], expected, atol=1e-4)


def test_displacements_are_in_millimetres():
    drawn = drawn_as(3, elastic=2.0, seed=5)
    whole, fine = (places_of((6, 7, 8), drawn, spacing) for spacing in ((1, 1, 1), (4, 1, 0.5)))
    grid = np.indices((6, 7, 8))
    np.testing.assert_allclose((fine - grid) * np.reshape([4, 1, 0.5], (3, 1, 1, 1)), whole - grid, atol=1e-4)
    assert places_of((6, 7, 8), drawn_as(3, elastic=2.0, seed=6), (1, 1, 1)).tolist() != whole.tolist()


def test_a_smooth_field_has_the_control_points_values():
    field = smooth_field(np.random.default_rng(1), (5, 5), 2, points=5)
    expected = np.random.default_rng(1).standard_normal((2, 5, 5), dtype=np.float32)
    np.testing.assert_allclose(field, expected, atol=1e-5)
    large = smooth_field(np.random.default_rng(1), (100, 100), 1, points=5)
    assert np.abs(np.diff(large, axis=1)).max() < 0.3
    assert smooth_field(np.random.default_rng(1), (1, 30, 30), 1, points=3).shape == (1, 1, 30, 30)


def test_intensities_by_hand():
    image = np.array([[[0.0, 1]], [[2, 3]], [[4, 5]]], np.float32)  # 3×1 pixels, two channels
    for name, value, expected in (
        ("brightness", 0.5, image + 0.5),
        ("contrast", 2.0, 2 * image - [2, 3]),
        ("gamma", np.log(2), np.array([[[0, 1]], [[1, 2]], [[4, 5]]])),
    ):
        np.testing.assert_allclose(recolour(image, drawn_as(2, **{name: value})), expected, atol=1e-6)
    np.testing.assert_array_equal(recolour(np.ones((3, 3, 1), np.float32), drawn_as(2, gamma=0.3)), 1)


def test_blur_noise_and_bias_field_have_their_strength():
    image = np.zeros((40, 40, 40, 1), np.float32)
    image[20, 20, 20] = 1
    blurred = recolour(image, drawn_as(3, blur=1.5))
    places = np.indices(image.shape[:3]) - 20
    assert np.sqrt((blurred[..., 0] * places[0] ** 2).sum()) == pytest.approx(1.5, rel=0.01)
    assert recolour(image, drawn_as(3, noise=0.3, seed=4)).std() == pytest.approx(0.3, rel=0.02)
    bright = recolour(image + 1, drawn_as(3, bias_field=0.2, seed=4))
    assert bright.min() == 1  # the least value stays
    assert bright.max() != 2
    twice = [recolour(image, drawn_as(3, noise=0.3, bias_field=0.2, seed=seed)).tobytes() for seed in (4, 4, 5)]
    assert twice[0] == twice[1] != twice[2]


def test_coarse_voxels_run_along_one_axis():
    image = noise(4, 6, 5, 2)
    for axis in range(3):
        coarse = coarsened(image, axis, factor=100)
        np.testing.assert_allclose(
            coarse, np.broadcast_to(image.mean(axis=axis, keepdims=True), image.shape), atol=1e-5
        )
