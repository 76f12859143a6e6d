"""Every loss teaches a small network, from the same initial weights, or its card says that it needs a companion."""

import keras
import numpy as np
import pytest

from tfseg.data.phantom import make_phantom
from tfseg.losses import LOSSES, get
from tfseg.losses.cards import card
from tfseg.models.unet import unet_2d

STEPS = 400  # at most; most losses need 50


@pytest.fixture(scope="module")
def slices():
    """Slices of abdomens through the liver, a soft-tissue window scaled to [0, 1], and the liver's mask."""
    images, masks = [], []
    for subject in range(3):
        phantom = make_phantom("abdomen", subject=subject, size=32)
        liver = np.moveaxis(phantom.label == 1, 2, 0)[..., np.newaxis]
        largest = np.argsort(liver.sum(axis=(1, 2, 3)))[-6:]
        window = np.clip((np.moveaxis(phantom.image, 2, 0) + 100) / 300, 0, 1)[..., np.newaxis]
        images.append(window[largest])
        masks.append(liver[largest])
    return np.concatenate(images).astype("float32"), np.concatenate(masks).astype("float32")


def dice(model, image, mask):
    found = np.asarray(model(image)) > 0.5
    return 2 * (found * mask).sum() / (found.sum() + mask.sum())


@pytest.mark.parametrize("name", LOSSES)
def test_a_small_network_learns(slices, name):
    image, mask = slices
    keras.utils.set_random_seed(0)
    model = unet_2d((32, 32, 1), 1, filters=4, depth=2, dropout=(0.0, 0.0), norm="none")
    before = dice(model, image, mask)
    model.compile(keras.optimizers.Adam(0.01), loss=get(name), jit_compile=False)
    after = before
    for step in range(1, STEPS + 1):
        model.train_on_batch(image, mask)
        if step % 50 == 0 and (after := dice(model, image, mask)) > before + 0.2:
            break
    assert after > before + 0.2 or card(name).companion, (before, after)
