"""Mirror images are averaged along the axis that an anatomical name means."""

import numpy as np
import pytest

from tfseg.core.errors import ConfigError
from tfseg.prediction.flips import FlippedPredictor, flip_axes
from tfseg.prediction.slices import SlicePredictor


def by_place(image):
    """A prediction that depends on the place in the slice and on the image."""
    _, height, width, _ = image.shape
    return image * (np.arange(height)[:, None, None] + 10 * np.arange(width)[:, None])


def test_the_mean_over_mirror_images_is_symmetric_and_in_order():
    image = np.random.default_rng(0).normal(size=(7, 4, 5, 1)).astype("float32")
    for axes in ((1,), (2,), (1, 2)):
        predictor = FlippedPredictor(SlicePredictor(by_place, 3), axes)
        blocks = list(predictor.blocks(image))
        assert [len(block) for block in blocks] == [3, 3, 1]
        flips = [()] + [(axis,) for axis in axes] + ([axes] if len(axes) > 1 else [])
        expected = np.mean([np.flip(by_place(np.flip(image, each)), each) for each in flips], axis=0)
        np.testing.assert_allclose(np.concatenate(blocks), expected, rtol=1e-5)


class Blocks:
    """Predicts each slice by its number in the image that it is given."""

    def blocks(self, image):
        numbers = np.arange(len(image), dtype="float32").reshape(-1, 1, 1, 1) + image
        yield from np.split(numbers, [2])


def test_along_slices_the_order_is_reversed_and_put_back():
    image = np.zeros((5, 1, 1, 1), "float32")
    blocks = list(FlippedPredictor(Blocks(), (0,)).blocks(image))
    assert [len(block) for block in blocks] == [2, 3]
    assert np.concatenate(blocks).ravel().tolist() == [2.0] * 5  # (k + 4 - k) / 2


def test_names_are_those_of_the_body_and_only_those_of_the_training():
    def axes(names, axis, trained=("left-right", "anterior-posterior", "superior-inferior"), force=False, sliced=False):
        return flip_axes(names, axis, trained, force, sliced)

    assert axes(["left-right"], "axial") == (1,)
    assert axes(["anterior-posterior", "left-right"], "axial") == (1, 2)
    assert axes(["left-right", "superior-inferior"], "sagittal") == (0, 2)
    with pytest.raises(ConfigError, match="they saw none"):
        axes(["left-right"], "axial", trained=())
    assert axes(["left-right"], "axial", trained=(), force=True) == (1,)
    with pytest.raises(ConfigError, match="axial slices are predicted one by one"):
        axes(["superior-inferior"], "axial", sliced=True)
    with pytest.raises(ConfigError, match="expected anterior-posterior, left-right, superior-inferior, received up"):
        axes(["up"], "axial")
