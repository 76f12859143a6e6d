"""Networks with several outputs, and those of someone else's code, in a training."""

import json
import shutil
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.config.model import ImportedModelConfig, ModelConfig
from tfseg.core.errors import ConfigError, RunError
from tfseg.datasets.splits import Split
from tfseg.models.imported import load_network
from tfseg.prediction.export import mean_network
from tfseg.prepared.batches import SliceBatches
from tfseg.prepared.supervision import middles
from tfseg.prepared.targets import Targets
from tfseg.training.epochs import EpochSeeds
from tfseg.training.fit import make_loss, train
from tfseg.training.network import check_network, make_network, supervision_weights
from tfseg.training.progress import Progress

HERE = tf.distribute.get_strategy()
DEEP = [
    *("model.filters=2", "model.depth=2", "model.norm=none", "model.dropout=[0, 0]", "model.deep_supervision=2"),
    *("training.batch_size=4", "training.epochs=1", "training.steps_per_epoch=1", "loss=dice_ce"),
    "training.class_prior=false",
]
NETWORKS = """
import keras

def layers(classes):
    return [keras.layers.Conv2D(2, 3, padding="same"), keras.layers.Dropout(0.5), keras.layers.Conv2D(classes, 1)]

class Own(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def call(self, x, training=False):
        return keras.ops.softmax(self.inner(x, training=training))

def subclassed(image_shape, classes):
    return Own(keras.Sequential(layers(classes)))

def logits(image_shape, classes):
    return keras.Sequential(layers(classes))

def independent(image_shape, classes):
    return keras.Sequential([*layers(classes), keras.layers.Activation("sigmoid")])

def two(image_shape, classes, stride=2):
    image = keras.Input(image_shape)
    full = independent(image_shape, classes)(image)
    return keras.Model(image, [full, keras.layers.MaxPooling2D(stride)(full)])

def one_class_more(image_shape, classes):
    return independent(image_shape, classes + 1)

def half(image_shape, classes):
    return keras.Sequential([keras.layers.MaxPooling2D(), independent(image_shape, classes)])
"""


@pytest.fixture(scope="module")
def small(prepared):
    return Split(tuple(prepared.subjects[:2]), tuple(prepared.subjects[2:3]), ())


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """The working directory, with a module of networks."""
    (tmp_path / "imported_networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("imported_networks", None)


def test_weights_halve_from_level_to_level_and_sum_to_1():
    np.testing.assert_allclose(supervision_weights(4), np.array([8, 4, 2, 1]) / 15)


def test_the_loss_is_the_weighted_sum_over_outputs(prepared, small, tmp_path):
    """The loss of the first step, by hand from the same start: 2/3 at full size and 1/3 at half of it."""
    config = load_config(None, DEEP)
    trained = train(config, prepared, small, 5, tmp_path, HERE)
    batches = SliceBatches(prepared.cases_of(small.train), 4, 5)
    image, truth = batches.load(batches.plan(0)[0])
    keras.backend.clear_session()
    keras.utils.set_random_seed(5)
    fine, coarse = make_network(config.model, prepared.image_shape, prepared.targets)(image)
    loss, index = make_loss(config), middles(32, 16)
    expected = 2 / 3 * float(loss(truth, fine)) + 1 / 3 * float(loss(truth[:, index][:, :, index], coarse))
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["loss"].item() == pytest.approx(expected, rel=1e-5)
    saved = keras.saving.load_model(trained.path)
    assert [output.shape for output in (*saved.outputs, *mean_network([trained.path]).outputs)] == [
        (None, 32, 32, 3)
    ] * 2


def test_a_deeply_supervised_training_starts_from_its_inference_network_and_resumes(prepared, small, tmp_path):
    config = load_config(None, [*DEEP, "training.epochs=2", "training.steps_per_epoch=2"])

    def keep_first_epoch(epoch, logs):
        if epoch == 0:
            shutil.copytree(tmp_path / "first", tmp_path / "resumed")
        return False

    first = train(config, prepared, small, 0, tmp_path / "first", HERE, Progress(stop_after=keep_first_epoch))
    frozen = load_config(None, [*DEEP, "training.learning_rate=1e-12", f"training.start_from={first.path}"])
    again = train(frozen, prepared, small, 1, tmp_path / "again", HERE)
    for a, b in zip(*(keras.saving.load_model(each.path).get_weights() for each in (first, again)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    epochs = []
    resumed = train(config, prepared, small, 0, tmp_path / "resumed", HERE, Progress(on_resume=epochs.append))
    assert epochs == [1]
    one, two = (pd.read_csv(each.path.with_name("history.csv"))["loss"].tolist() for each in (first, resumed))
    assert one == two


def imported(name, **settings):
    return ImportedModelConfig.model_validate({"import": f"imported_networks:{name}", **settings})


def test_an_imported_network_is_trained_and_loaded_by_the_same_import(theirs, prepared, small):
    code = "imported_networks:subclassed"
    overrides = [f"model={{import: {code}}}", "training.batch_size=6", "training.epochs=2"]
    trained = train(load_config(None, overrides), prepared, small, 0, theirs / "out", HERE)
    assert pd.read_csv(theirs / "out" / "history.csv")["loss"].is_monotonic_decreasing
    record = json.loads((theirs / "out" / "network.json").read_text())
    assert (record["import"], record["image_shape"]) == (code, [32, 32, 1])
    image = prepared.cases_of(small.val)[0].image[...]
    probabilities = [
        np.asarray(load(image))
        for load in (load_network(trained.path, [code]), mean_network([trained.path], [code]).layers[-1])
    ]
    np.testing.assert_array_equal(*probabilities)
    (theirs / "imported_networks.py").write_text(NETWORKS + "\n")
    train(load_config(None, overrides), prepared, small, 0, theirs / "out", HERE)  # still runs the code it imported
    sys.modules.pop("imported_networks")  # as a new process does
    with pytest.raises(RunError, match="the file of imported_networks:subclassed has changed since"):
        load_network(trained.path, [code])
    with pytest.raises(ConfigError, match=r"started with model\.import imported_networks:subclassed, SHA-256"):
        train(load_config(None, [*overrides, "training.epochs=2"]), prepared, small, 0, theirs / "out", HERE)


def test_dropout_within_networks_within_networks_is_seeded(theirs):
    targets = Targets({1: "a", 2: "b"})
    image = np.ones((1, 8, 8, 1), "float32")
    network = make_network(imported("subclassed"), (8, 8, 1), targets)
    callback = EpochSeeds(3)
    callback.set_model(network)
    masks = []
    for epoch in (4, 5, 4):
        callback.on_epoch_begin(epoch)
        masks.append(np.asarray(network(image, training=True)))
    np.testing.assert_array_equal(masks[0], masks[2])
    assert not np.array_equal(masks[0], masks[1])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (("logits", {}), r"expected probabilities between 0 and 1 from \S+, received values from -.*with a softmax"),
        (("independent", {}), "expected probabilities of 3 classes that sum to 1 from .*, received sums from"),
        (("two", {}), "expected 1 output from .*, received 2; model.deep_supervision is the number of outputs"),
        (("subclassed", {"deep_supervision": 2}), "expected 2 outputs from .*, received 1"),
        (("one_class_more", {}), r"expected \(8, 8, 3\) from output 0 of .*, received \(8, 8, 4\)"),
        (("half", {}), r"expected \(8, 8, 3\) from output 0 of .*, received \(4, 4, 3\)"),
    ],
)
def test_a_network_that_breaks_the_contract_is_refused(theirs, model, message):
    name, settings = model
    with pytest.raises(ConfigError, match=f"^model.import: {message}"):
        check_network(imported(name, **settings), (8, 8, 1), Targets({1: "a", 2: "b"}))


def test_a_network_that_keeps_the_contract_is_accepted(theirs):
    check_network(imported("subclassed"), (8, 8, 1), Targets({1: "a", 2: "b"}))
    check_network(imported("two", deep_supervision=2), (8, 8, 1), Targets({1: "a"}))


def test_a_named_network_of_another_rank_is_refused():
    with pytest.raises(ConfigError, match=r"^model: image_shape: unet_3d expected \(d, h, w, channels\)"):
        check_network(ModelConfig(name="unet_3d"), (8, 8, 1), Targets({1: "a"}))
