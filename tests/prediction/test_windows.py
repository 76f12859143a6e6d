"""Windows give what the network gives: exactly for one window, to rounding if it treats every voxel alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfseg.prediction.windows import WindowPredictor, window_starts, window_weights
from tfseg.prepared.stored import StoredArray

sides = st.tuples(*[st.integers(1, 9)] * 3)


def predict(forward, shape, overlap, batch_size, image):
    return np.concatenate(list(WindowPredictor(forward, shape, overlap, batch_size).blocks(image)))


def voxelwise(images):
    """Two classes, each voxel by itself."""
    p = 1 / (1 + np.exp(-images[..., :1]))
    return np.concatenate([p, 1 - p], axis=-1).astype(np.float32)


@given(sides, sides, st.floats(0, 0.9), st.integers(1, 5), st.integers(0, 99))
def test_a_voxelwise_network_gives_the_same_as_without_windows(whole, window, overlap, batch_size, seed):
    image = np.random.default_rng(seed).normal(size=(*whole, 1)).astype(np.float32)
    probabilities = predict(voxelwise, window, overlap, batch_size, image)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, voxelwise(image[np.newaxis])[0], atol=1e-6)


def test_a_constant_network_gives_the_constant():
    def constant(images):
        return np.broadcast_to(np.array([0.2, 0.5, 0.3], np.float32), (*images.shape[:-1], 3))

    probabilities = predict(constant, (4, 8, 8), 0.5, 3, np.zeros((11, 20, 13, 2), np.float32))
    np.testing.assert_allclose(probabilities, np.broadcast_to([0.2, 0.5, 0.3], (11, 20, 13, 3)), rtol=1e-6)


def test_one_window_is_the_bare_forward_pass():
    """Of any network: here of one that looks at the whole window, and at a volume that is padded."""
    image = np.random.default_rng(0).normal(size=(5, 6, 7, 1)).astype(np.float32)

    def forward(images):
        return (images * np.arange(7)[:, np.newaxis] + images.mean(axis=(1, 2, 3), keepdims=True)).astype(np.float32)

    np.testing.assert_array_equal(predict(forward, (5, 6, 7), 0.5, 4, image), forward(image[np.newaxis])[0])
    padded = np.full((8, 6, 7, 1), image.min(), np.float32)
    padded[1:6] = image
    np.testing.assert_array_equal(predict(forward, (8, 6, 7), 0.5, 4, image), forward(padded[np.newaxis])[0, 1:6])


def test_two_windows_are_averaged_by_their_weights():
    """Along one axis by hand: windows of 4 at 0 and 2 of 6 voxels, Gaussian of SD 0.5, values 0 and 1."""
    values = iter([0.0, 1.0])

    def forward(images):
        return np.full_like(images, next(values))

    probabilities = predict(forward, (1, 1, 4), 0.5, 1, np.zeros((1, 1, 6, 1), np.float32)).ravel()
    near, far = np.exp(-0.5 * (np.array([0.5, 1.5]) / 0.5) ** 2)
    mixed = far / (near + far)
    np.testing.assert_allclose(probabilities, [0, 0, mixed, 1 - mixed, 1, 1], rtol=1e-6)


def test_windows_cover_an_axis_evenly_with_at_least_the_overlap():
    for length in range(1, 30):
        for side in range(1, length + 1):
            for overlap in (0.0, 0.3, 0.5, 0.75):
                starts = window_starts(length, side, overlap)
                assert (starts[0], starts[-1]) == (0, length - side)
                assert max(np.diff(starts), default=0) <= max(1, round(side * (1 - overlap)))
    assert window_starts(10, 4, 0.0) == [0, 3, 6]


def test_weights_of_all_windows_sum_to_one_and_fall_towards_the_border():
    starts = window_starts(40, 16, 0.5)
    total = np.zeros(40)
    for start, weights in zip(starts, window_weights(starts, 16), strict=True):
        total[start : start + 16] += weights
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    first, *_ = window_weights(starts, 16)
    assert first[0] == 1 and (np.diff(first[8:]) < 0).all()


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_no_more_than_one_window_of_slices_is_held(tmp_path, overlap):
    np.save(tmp_path / "image.npy", np.zeros((23, 6, 6, 1), np.float32))
    predictor = WindowPredictor(lambda images: images, (4, 4, 4), overlap, 2)
    blocks = list(predictor.blocks(StoredArray.open(tmp_path / "image.npy")))
    assert sum(map(len, blocks)) == 23 and max(map(len, blocks)) <= 4
