import numpy as np
import pytest
from scipy import ndimage

from tfseg.core.errors import DataError
from tfseg.preparation import intensity


def noise(*shape):
    return np.random.default_rng(0).normal(50, 20, shape).astype(np.float32)


def test_a_window_clips_at_both_ends_and_keeps_its_bounds():
    image = np.array([-1000, -160, -159, 0, 240, 241], np.float32)
    assert intensity.clip_window(image, (-160, 240)).tolist() == [-160, -160, -159, 0, 240, 240]


def test_median_of_nine_by_hand():
    slices = np.array([[9, 1, 5], [3, 100, 2], [8, 4, 7]], np.float32)[np.newaxis]
    filtered = intensity.median_filter(slices, 3)
    assert filtered[0, 1, 1] == 5
    assert filtered[0, 0, 0] == 9  # 9 four times, 1 and 3 twice each, 100: the corner's pixels are repeated


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
def test_the_median_is_scipys_in_every_slice(kernel):
    slices = noise(3, 10, 12).transpose(0, 2, 1)
    expected = ndimage.median_filter(slices, (1, kernel, kernel), mode="nearest")
    filtered = intensity.median_filter(slices, kernel)
    assert filtered.dtype == np.float32
    np.testing.assert_array_equal(filtered, expected)


def test_a_blur_is_as_wide_in_millimetres_along_every_axis():
    image = np.zeros((41, 41, 41), np.float32)
    image[20, 20, 20] = 1
    spacing_mm = (0.5, 1, 1.5)
    blurred = intensity.gaussian_blur(image, 2.0, spacing_mm)
    assert blurred.dtype == np.float32
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    for axis, step_mm in enumerate(spacing_mm):
        offsets_mm = (np.arange(41) - 20) * step_mm
        variance = (blurred.sum(axis=tuple({0, 1, 2} - {axis})) * offsets_mm**2).sum()
        assert variance == pytest.approx(4, rel=0.03)


def test_a_blur_keeps_a_constant_as_it_is():
    image = np.full((4, 5, 1), 3, np.float32)
    np.testing.assert_allclose(intensity.gaussian_blur(image, 1.5, (1, 1, 1)), image, rtol=1e-6)


def test_zscore_by_hand():
    image = np.array([2, 4, 4, 4, 5, 5, 7, 9], np.float32)
    scaling = intensity.zscore(image)
    assert scaling == intensity.Scaling(shift=5, scale=2)
    assert scaling.apply(image).tolist() == [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]
    assert scaling.apply(image).dtype == np.float32


def test_rescale_maps_the_range_to_one_and_clips_beyond():
    image = np.array([-10, 0, 5, 20, 30], np.float32)
    scaled = intensity.rescale(0, 20).apply(image)
    assert scaled.tolist() == [0, 0, 0.25, 1, 1]
    assert scaled.dtype == np.float32


def test_percentiles_by_hand():
    values = np.arange(101, dtype=np.float32) * 2
    scaling = intensity.percentiles(values, (10, 60))
    assert (scaling.shift, scaling.scale) == (20, 100)
    assert scaling.apply(np.array([0, 20, 70, 120, 200], np.float32)).tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("value", [0.0, 0.1, -1024.0, 1e-20, 3e8])
def test_a_constant_image_cannot_be_scaled(value):
    image = np.full((7, 11, 13), value, np.float32)
    with pytest.raises(DataError, match=r"every voxel has the value .*: z-scoring needs some that differ"):
        intensity.zscore(image)
    with pytest.raises(DataError, match=r"percentiles 1 and 99 are both .*: scaling needs them to differ"):
        intensity.percentiles(image, (1, 99))


def test_a_constant_image_has_no_range():
    with pytest.raises(DataError, match="every voxel has the value 3: min-max scaling needs some that differ"):
        intensity.rescale(3, 3)
