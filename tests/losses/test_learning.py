"""A small network learns with every loss, from the same initial weights; with a companion if the card asks for one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.datasets.phantoms.dataset import make_phantom
from tfseg.losses import LOSSES, get
from tfseg.losses.cards import card
from tfseg.models import unet_2d

STEPS = 200  # at most; most losses need 25
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


class Network:
    """A small U-Net and its optimiser, traced once for all losses."""

    def __init__(self, image: np.ndarray) -> None:
        keras.utils.set_random_seed(0)
        self.model = unet_2d((16, 16, 1), 1, filters=4, depth=2, dropout=(0.0, 0.0), norm="instance")
        self.optimizer = keras.optimizers.Adam(0.005)
        self.optimizer.build(self.model.trainable_variables)
        self.variables = [*self.model.variables, *self.optimizer.variables]
        self.start = [variable.numpy() for variable in self.variables]
        self.image = tf.constant(image)

    def reset(self) -> None:
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)

    @tf.function
    def predict(self) -> tf.Tensor:
        return self.model(self.image)

    @tf.function
    def descend(self, slope: tf.Tensor) -> None:
        """Take a step against the gradient of a loss with respect to the prediction."""
        with tf.GradientTape() as tape:
            prediction = self.model(self.image)
        weights = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(prediction, weights, output_gradients=slope), weights)


@pytest.fixture(scope="module")
def network(slices):
    return Network(slices[0])


def dice(prediction, mask):
    predicted = np.asarray(prediction) > 0.5
    return 2 * (predicted * mask).sum() / (predicted.sum() + mask.sum())


@pytest.mark.parametrize("name", LOSSES)
def test_a_small_network_learns(slices, network, name):
    _, mask = slices
    network.reset()
    before = after = dice(network.predict(), mask)
    term = get(name)
    cost = float(term(mask, network.predict()))
    loss = get("dice") + WEIGHT * term if card(name).companion else term
    for step in range(1, STEPS + 1):
        prediction = network.predict()
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            value = loss(mask, prediction)
        network.descend(tape.gradient(value, prediction))
        if step % 25 == 0 and (after := dice(network.predict(), mask)) > LEARNED:
            break
    assert before < LEARNED - 0.1
    assert after > LEARNED, (before, after)
    assert float(term(mask, network.predict())) < cost
