import numpy as np
import pytest
from scipy import ndimage

from tfseg.data import intensity
from tfseg.data.volume import DataError


def noise(*shape):
    return np.random.default_rng(0).normal(50, 20, shape).astype(np.float32)


def test_a_window_clips_at_both_ends_and_keeps_its_bounds():
    image = np.array([-1000, -160, -159, 0, 240, 241], np.float32)
    assert intensity.clip_window(image, (-160, 240)).tolist() == [-160, -160, -159, 0, 240, 240]


def test_median_of_nine_by_hand():
    slices = np.array([[9, 1, 5], [3, 100, 2], [8, 4, 7]], np.float32)[np.newaxis, ..., np.newaxis]
    filtered = intensity.median_filter(slices, 3)
    assert filtered[0, 1, 1, 0] == 5
    assert filtered[0, 0, 0, 0] == 9  # 9 four times, 1 and 3 twice each, 100: the corner's pixels are repeated


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
def test_the_median_is_scipys_in_every_slice_and_channel(kernel):
    slices = noise(3, 12, 10, 2)
    expected = ndimage.median_filter(slices, (1, kernel, kernel, 1), mode="nearest")
    filtered = intensity.median_filter(slices, kernel)
    assert filtered.dtype == np.float32
    np.testing.assert_array_equal(filtered, expected)


def test_zscore_by_hand():
    image = np.array([2, 4, 4, 4, 5, 5, 7, 9], np.float32)  # mean 5, standard deviation 2
    scaled = intensity.zscore(image)
    assert scaled.tolist() == [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]
    assert scaled.dtype == np.float32


def test_zscore_is_measured_inside_and_applied_everywhere():
    image = np.array([100, 1, 3, 1, 3], np.float32)
    inside = np.array([False, True, True, True, True])
    assert intensity.zscore(image, inside).tolist() == [98, -1, 1, -1, 1]


def test_rescale_maps_the_range_to_one_and_clips_beyond():
    image = np.array([-10, 0, 5, 20, 30], np.float32)
    scaled = intensity.rescale(image, 0, 20)
    assert scaled.tolist() == [0, 0, 0.25, 1, 1]
    assert scaled.dtype == np.float32


@pytest.mark.parametrize("value", [0.0, 0.1, -1024.0, 1e-20, 3e8])
def test_a_constant_image_cannot_be_zscored(value):
    with pytest.raises(DataError, match=r"every voxel has the value .*: z-scoring needs some that differ"):
        intensity.zscore(np.full((7, 11, 13), value, np.float32))


def test_a_constant_image_has_no_range():
    with pytest.raises(DataError, match="every voxel has the value 3: min-max scaling needs some that differ"):
        intensity.rescale(np.full((2, 2), 3, np.float32), 3, 3)
