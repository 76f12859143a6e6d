"""A network that starts at the classes' shares, with features in favour of every class."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.datasets.splits import Split
from tfseg.models import unet_2d
from tfseg.models.imported import load_network
from tfseg.prepared.inputs import make_batches
from tfseg.prepared.targets import Targets
from tfseg.training.fit import train
from tfseg.training.prior import balanced, class_shares, start_at_shares

HERE = tf.distribute.get_strategy()
ONE, TWO = Targets({1: "liver"}), Targets({1: "liver", 2: "spleen"})
REGIONS = Targets({1: "oedema", 2: "core"}, {"whole": (1, 2), "core": (2,)})


class Fixed:
    """Batches whose truths are given, one after the other, in the first epoch."""

    def __init__(self, truths):
        self._truths = np.asarray(truths, np.uint8)

    def plan(self, epoch):
        assert epoch == 0
        return np.arange(len(self._truths))[:, np.newaxis]

    def load(self, batch):
        return None, self._truths[batch]


@pytest.mark.parametrize(
    ("targets", "truths", "expected"),
    [
        (TWO, [[[0], [0], [0], [1]], [[0], [0], [2], [1]]], [5 / 8, 2 / 8, 1 / 8]),
        (TWO, [[[0], [0], [255], [1]], [[255], [255], [255], [2]]], [2 / 4, 1 / 4, 1 / 4]),
        (ONE, [[[0], [0], [255], [1]]], [1 / 3]),
        (ONE, [[[1], [1]]], [0.99]),
        (ONE, [[[255], [255]]], [0.01]),
        (REGIONS, [[[0, 0], [1, 0], [1, 1], [1, 255]]], [3 / 4, 1 / 3]),
        (TWO, [[[0]] * 98 + [[1]] * 2], np.array([0.98, 0.02, 0.01]) / 1.01),  # a class that was not drawn
    ],
)
def test_shares_are_those_of_the_voxels_that_count(targets, truths, expected):
    np.testing.assert_allclose(class_shares(Fixed(truths), targets), expected)


def test_shares_of_many_batches_come_from_batches_evenly_spaced():
    """A class that comes only in the last hundredth of the epoch is seen, at the share of the one sample in 64."""
    shares = class_shares(Fixed([[[0]]] * 990 + [[[1]]] * 10), ONE)
    np.testing.assert_allclose(shares, [1 / 64])


@pytest.mark.parametrize(("targets", "activation"), [(TWO, "softmax"), (REGIONS, "sigmoid"), (ONE, "sigmoid")])
def test_features_that_say_nothing_give_the_shares_at_every_output(targets, activation):
    settings = {"filters": 2, "depth": 2, "deep_supervision": 2, "output_activation": activation}
    model = unet_2d((8, 8, 1), targets.channels, **settings)
    shares = np.array([0.9, 0.07, 0.03][: targets.channels])
    start_at_shares(model, shares, targets)
    for name in ("logits", "logits_1"):
        model.get_layer(name).kernel.assign(np.zeros(model.get_layer(name).kernel.shape))
    for probabilities in model(np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype("float32")):
        np.testing.assert_allclose(np.unique(probabilities), np.sort(shares), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 8, 3), (1, 1, 1, 16, 5), (3, 3, 2, 4), (1, 1, 8, 2)])
def test_every_class_has_as_many_features_in_its_favour(shape):
    kernel = np.random.default_rng(0).normal(size=shape).astype("float32")
    exclusive, separate = balanced(kernel, True), balanced(kernel, False)
    assert exclusive.shape == separate.shape == shape and exclusive.dtype == separate.dtype == kernel.dtype
    np.testing.assert_array_equal(np.sort(exclusive), np.sort(kernel))
    np.testing.assert_array_equal(np.abs(separate), np.abs(kernel))
    features = kernel.size // shape[-1]
    favoured = np.bincount(exclusive.reshape(-1, shape[-1]).argmax(axis=1), minlength=shape[-1])
    assert set(favoured) <= {features // shape[-1], -(-features // shape[-1])}
    assert set((separate.reshape(-1, shape[-1]) > 0).sum(axis=0)) <= {features // 2, -(-features // 2)}


def test_an_imported_network_starts_as_its_code_says_even_if_a_layer_has_the_name_of_ours(
    prepared, tmp_path, monkeypatch
):
    code = (
        'import keras\n\ndef build(image_shape, classes):\n    return keras.layers.Conv2D(classes, 1, name="logits", '
    )
    (tmp_path / "network_with_logits.py").write_text(code + 'activation="softmax")\n')
    monkeypatch.chdir(tmp_path)
    still = ["training.epochs=1", "training.learning_rate=1e-30", "training.steps_per_epoch=1", "loss=ce"]
    config = load_config(None, [*still, "model={import: network_with_logits:build}"])
    split = Split(tuple(prepared.subjects[:2]), tuple(prepared.subjects[2:3]), ())
    trained = train(config, prepared, split, 0, tmp_path / "out", HERE)
    np.testing.assert_allclose(
        load_network(trained.path, ["network_with_logits:build"]).get_weights()[-1], 0, atol=1e-6
    )


@pytest.mark.parametrize("prior", [True, False])
def test_a_training_starts_where_its_setting_says(prepared, tmp_path, prior):
    """At a rate that changes nothing, the best network is the one that training began with."""
    tiny = ["model={filters: 2, depth: 1, norm: none}", "training.epochs=1", "training.learning_rate=1e-30", "loss=ce"]
    config = load_config(None, [*tiny, f"training.class_prior={prior}", "training.steps_per_epoch=1"])
    split = Split(tuple(prepared.subjects[:2]), tuple(prepared.subjects[2:3]), ())
    train(config, prepared, split, 0, tmp_path, HERE)
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1
    kernel, bias = keras.saving.load_model(tmp_path / "best.keras").get_layer("logits").get_weights()
    assert (balanced(kernel, exclusive=True) == kernel).all() == prior
    batches = make_batches(config.training, prepared, split.train, 0)
    expected = np.log(class_shares(batches, prepared.targets)) if prior else np.zeros(prepared.targets.channels)
    np.testing.assert_allclose(bias, expected, rtol=1e-5, atol=1e-9)
