"""A small network learns with every loss, from the same initial weights; with a companion if the card asks for one."""

import keras
import numpy as np
import pytest

from tfseg.datasets.phantoms.dataset import make_phantom
from tfseg.losses import LOSSES, get
from tfseg.losses.cards import card
from tfseg.models.unet import unet_2d

STEPS = 200  # at most; most losses need 50
LEARNED = 0.6  # Dice; predicting liver everywhere gives 0.43
WEIGHT = 0.1  # of a loss added to the Dice loss, its companion


@pytest.fixture(scope="module")
def slices():
    """The liver in slices of abdomens, 16×16 around its middle, a soft-tissue window scaled to [0, 1], and its mask."""
    images, masks = [], []
    for subject in range(3):
        phantom = make_phantom("abdomen", subject=subject, size=32)
        liver = phantom.label == 1
        for index in np.argsort(liver.sum(axis=(0, 1)))[-6:]:
            rows, columns = (int(np.clip(side.mean(), 8, 24)) for side in np.nonzero(liver[..., index]))
            part = (slice(rows - 8, rows + 8), slice(columns - 8, columns + 8), index)
            images.append(np.clip((phantom.image[part] + 100) / 300, 0, 1))
            masks.append(liver[part])
    return np.stack(images)[..., np.newaxis].astype("float32"), np.stack(masks)[..., np.newaxis].astype("float32")


def dice(model, image, mask):
    predicted = np.asarray(model(image)) > 0.5
    return 2 * (predicted * mask).sum() / (predicted.sum() + mask.sum())


@pytest.mark.parametrize("name", LOSSES)
def test_a_small_network_learns(slices, name):
    image, mask = slices
    keras.utils.set_random_seed(0)
    model = unet_2d((16, 16, 1), 1, filters=4, depth=2, dropout=(0.0, 0.0), norm="instance")
    before = after = dice(model, image, mask)
    term = get(name)
    cost = float(term(mask, model(image)))
    loss = get("dice") + WEIGHT * term if card(name).companion else term
    model.compile(keras.optimizers.Adam(0.005), loss=loss, jit_compile=False)
    for step in range(1, STEPS + 1):
        model.train_on_batch(image, mask)
        if step % 50 == 0 and (after := dice(model, image, mask)) > LEARNED:
            break
    assert before < LEARNED - 0.1
    assert after > LEARNED, (before, after)
    assert float(term(mask, model(image))) < cost
