import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tfseg.preparation.resampling import by_class, linear, linear_slabs, nearest, resampled_length, spline

SHAPE = (5, 6, 7)
OTHERS = [(5, 6, 7), (10, 12, 14), (3, 9, 7), (1, 6, 20), (8, 2, 5)]


def noise(*shape):
    return np.random.default_rng(0).normal(50, 20, shape).astype(np.float32)


def column(*values):
    return np.array(values, np.float32).reshape(-1, 1, 1)


def interpolated(volume, shape, order):
    """SciPy's interpolation at the centres of the new voxels, none beyond the outermost old ones."""
    centres = [((np.arange(n) + 0.5) * o / n - 0.5).clip(0, o - 1) for o, n in zip(volume.shape, shape, strict=True)]
    return ndimage.map_coordinates(volume, np.meshgrid(*centres, indexing="ij"), order=order, mode="mirror")


def test_linear_by_hand():
    assert linear(column(0, 4), (4, 1, 1)).ravel().tolist() == [0, 1, 3, 4]
    assert linear(column(0, 2, 4, 10), (2, 1, 1)).ravel().tolist() == [1, 7]


def test_nearest_by_hand():
    assert nearest(column(1, 5), (4, 1, 1)).ravel().tolist() == [1, 1, 5, 5]
    assert nearest(column(1, 5, 9), (2, 1, 1)).ravel().tolist() == [1, 9]


@pytest.mark.parametrize("shape", OTHERS)
@pytest.mark.parametrize(("resample", "order"), [(linear, 1), (spline, 3)])
def test_interpolation_is_scipys(resample, order, shape):
    volume = noise(*SHAPE)
    expected = interpolated(volume, shape, order).clip(volume.min(), volume.max())
    np.testing.assert_allclose(resample(volume, shape), expected, atol=2e-4)


@pytest.mark.parametrize("resample", [linear, spline, nearest])
def test_channels_are_resampled_each_on_its_own(resample):
    volume = noise(*SHAPE, 2) * [1, 100]
    both = resample(volume.astype(np.float32), (3, 9, 14))
    for channel in range(2):
        alone = resample(volume[..., channel].astype(np.float32), (3, 9, 14))
        np.testing.assert_allclose(both[..., channel], alone, rtol=1e-6)


@pytest.mark.parametrize("resample", [linear, spline])
@given(old=st.tuples(*[st.integers(1, 6)] * 3), new=st.tuples(*[st.integers(1, 9)] * 3))
def test_a_constant_stays_constant(resample, old, new):
    np.testing.assert_allclose(resample(np.full(old, 7, np.float32), new), np.full(new, 7), rtol=1e-6)


@pytest.mark.parametrize("resample", [linear, spline])
@given(old=st.tuples(*[st.integers(1, 6)] * 3), new=st.tuples(*[st.integers(1, 9)] * 3))
def test_a_mirrored_volume_is_resampled_to_the_mirror_image(resample, old, new):
    volume = noise(*old)
    expected = resample(volume, new)[::-1, ::-1, ::-1]
    np.testing.assert_allclose(resample(volume[::-1, ::-1, ::-1], new), expected, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int32])
def test_nearest_keeps_the_type(dtype):
    assert nearest(np.ones(SHAPE, dtype), (2, 2, 2)).dtype == dtype


def test_a_spline_does_not_overshoot():
    step = column(0, 0, 0, 1, 1, 1)
    assert (spline(step, (24, 1, 1)).min(), spline(step, (24, 1, 1)).max()) == (0, 1)
    assert interpolated(step, (24, 1, 1), 3).max() > 1.01


def test_classes_go_to_the_largest_share_and_ties_to_the_first():
    classes = column(0, 3, 3, 1).astype(np.uint8)
    assert by_class(classes, (8, 1, 1)).ravel().tolist() == [0, 0, 3, 3, 3, 3, 1, 1]
    assert by_class(classes, (2, 1, 1)).ravel().tolist() == [0, 1]


def test_classes_that_are_enlarged_evenly_are_repeated():
    classes = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
    expected = classes.repeat(3, 0)
    np.testing.assert_array_equal(by_class(classes, (15, 6, 7)), expected)
    np.testing.assert_array_equal(nearest(classes, (15, 6, 7)), expected)


@pytest.mark.parametrize(
    ("voxels", "spacing_mm", "target_mm", "length"),
    [(100, 1, 2, 50), (7, 3, 1, 21), (10, 0.96, 1, 10), (10, 0.94, 1, 9), (2, 1, 50, 1)],
)
def test_lengths_keep_the_extent(voxels, spacing_mm, target_mm, length):
    assert resampled_length(voxels, spacing_mm, target_mm) == length


@given(
    whole=st.tuples(*[st.integers(1, 9)] * 3),
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    axis=st.integers(0, 2),
    cuts=st.sets(st.integers(1, 8)),
    backwards=st.booleans(),
)
@settings(max_examples=400)
def test_slabs_give_the_same_bits_as_the_whole(whole, shape, axis, cuts, backwards):
    volume = np.random.default_rng(0).random((*whole, 2)).astype(np.float32)
    slabs = np.split(volume, sorted(cut for cut in cuts if cut < whole[axis]), axis)
    expected, places = linear(volume, shape), []
    for place, part in linear_slabs(slabs[::-1] if backwards else slabs, axis, whole, shape, backwards):
        np.testing.assert_array_equal(part, expected.take(range(place.start, place.stop), axis))
        places += range(place.start, place.stop)
    assert sorted(places) == list(range(shape[axis]))


def test_slabs_are_let_go_of_as_soon_as_they_are_used():
    """Of 40 slabs that are enlarged no more than two are held at a time."""
    seen = []

    def slabs():
        for number in range(40):
            slab = np.full((4, 5, 1), number, np.float32)
            seen.append(weakref.ref(slab))
            yield slab
            del slab

    for _ in linear_slabs(slabs(), 2, (4, 5, 40), (4, 5, 100)):
        assert sum(each() is not None for each in seen) <= 2


@pytest.mark.parametrize("resample", [spline, linear, nearest])
def test_blocks_give_the_bits_of_the_whole(resample, monkeypatch):
    volume = np.random.default_rng(0).normal(size=(9, 7, 5, 2)).astype(np.float32)
    for stored in (volume, np.asfortranarray(volume)):
        whole = resample(stored, (6, 11, 8))
        with monkeypatch.context() as patched:
            patched.setattr("tfseg.preparation.resampling.BLOCK_VOXELS", 100)
            np.testing.assert_array_equal(resample(stored, (6, 11, 8)), whole)
