"""Networks of patches and of volumes train as those of slices do: to the same bits, on one device or two."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.config.model import imported_functions
from tfseg.datasets.splits import Split
from tfseg.models.imported import load_network
from tfseg.prepared.inputs import make_batches
from tfseg.training.controls import controls
from tfseg.training.fit import Progress, train

HERE = tf.distribute.get_strategy()
VOLUMES = [
    *("model={name: unet_3d, filters: 2, depth: 1}", "loss=dice_ce", "training.batch_size=2", "training.epochs=3"),
    "training.augmentation={flip: {axes: [left_right]}, rotate: {probability: 1}, elastic: {probability: 1}, "
    "noise: {probability: 1}}",
]
PATCHES = [*VOLUMES, "training.input={kind: patches, patch: [4, 16, 16], per_case: 2}"]


def outcome(out):
    history = pd.read_csv(out / "history.csv").drop(columns=["train_seconds", "validation_seconds"])
    best = keras.saving.load_model(out / "best.keras").get_weights()
    return history.to_csv(), [array.tobytes() for array in best], json.loads((out / "controls.json").read_text())


@pytest.fixture(scope="module")
def small(prepared):
    return Split(tuple(prepared.subjects[:2]), tuple(prepared.subjects[2:3]), ())


@pytest.mark.parametrize("settings", [PATCHES, [*VOLUMES, "training.input.kind=volumes"]], ids=["patches", "volumes"])
def test_a_training_that_was_stopped_ends_with_the_same_bits(prepared, small, tmp_path, settings):
    """A copy of the folder as it is after the first epoch is what a kill leaves then."""
    config = load_config(None, settings)
    resumed = []

    def keep_first_epoch(epoch, logs):
        if epoch == 0:
            shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
        return False

    train(config, prepared, small, 0, tmp_path / "whole", HERE, Progress(stop_after=keep_first_epoch))
    train(config, prepared, small, 0, tmp_path / "stopped", HERE, Progress(on_resume=resumed.append))
    assert resumed == [1]
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


NETWORK = """
import keras


class Net(keras.Model):
    def __init__(self, classes):
        super().__init__()
        self.inner = keras.layers.Conv3D(3, 3, padding="same", activation="relu")
        self.outer = keras.layers.Conv3D(classes, 3, padding="same", activation="softmax")

    def call(self, image, training=False):
        return self.outer(self.inner(image))


def build(image_shape, classes):
    return Net(classes)
"""

TWO_DEVICES = """
import json, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from tfseg.config.config import load_config
from tfseg.prepared.prepared import Prepared
from tfseg.datasets.splits import Split
from tfseg.models.imported import load_network
from tfseg.training.fit import train
from tfseg.training.strategy import choose_devices, make_strategy
prepared, runs, split = json.loads(sys.argv[1])
strategy = make_strategy(choose_devices("CPU:0,CPU:1"))
for out, overrides in runs.items():
    train(load_config(None, overrides), Prepared(Path(prepared)), Split(*map(tuple, split)), 0, Path(out), strategy)
"""


def test_two_devices_learn_what_one_does(prepared, small, tmp_path, monkeypatch):
    """Augmented patches, with deep supervision and in an imported network, without dropout, up to rounding."""
    (tmp_path / "network_of_two_devices.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    shared = [
        *(*PATCHES, "training.input.per_case=6", "training.batch_size=4", "training.overlap_over=sample"),
        *("training.epochs=2", "training.optimizer=sgd", "training.learning_rate=0.05"),
    ]
    settings = {
        "deep": [*shared, "model={name: unet_3d, filters: 2, depth: 2, dropout: [0, 0], deep_supervision: 2}"],
        "imported": [*shared, "model={import: network_of_two_devices:build}"],
    }
    parts = [small.train, small.val, small.test]
    runs = {f"{name}_two": overrides for name, overrides in settings.items()}
    arguments = json.dumps([str(prepared.folder), runs, parts])
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES, arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, overrides in settings.items():
        folders = tmp_path / name, tmp_path / f"{name}_two"
        train(load_config(None, overrides), prepared, small, 0, folders[0], HERE)
        one, two = (pd.read_csv(folder / "history.csv") for folder in folders)
        assert one["steps"].tolist() == [3, 3]
        for column in ("loss", "val_loss", "val_dice"):
            np.testing.assert_allclose(two[column], one[column], rtol=1e-5)
        assert one["loss"].iloc[-1] != pytest.approx(one["loss"].iloc[0], rel=1e-3)  # it learns
        controls = [(folder / "controls.json").read_text() for folder in folders]
        assert controls[0] == controls[1]
        code = imported_functions(load_config(None, overrides).model)
        weights = [load_network(folder / "best.keras", code).get_weights() for folder in folders]
        for a, b in zip(*weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_augmentation_is_part_of_what_is_held_equal(prepared, small):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    hashes = []
    for more in ([], [], ["training.augmentation.noise.sd=[0, 0.2]"]):
        training = load_config(None, [*PATCHES, *more]).training
        hashes.append(controls(model, [(make_batches(training, prepared, small.train, 0), 2)]))
    assert hashes[0] == hashes[1]
    assert hashes[0]["initial_weights_sha256"] == hashes[2]["initial_weights_sha256"]
    assert hashes[0]["batches_sha256"] != hashes[2]["batches_sha256"]
