"""Train one network: what it starts from, what it keeps, and that repeating it gives the same bits."""

import json
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.datasets.splits import Split
from tfseg.models import unet_2d
from tfseg.training.fit import Progress, make_loss, train

HERE = tf.distribute.get_strategy()


def test_the_loss_falls(trained):
    losses = pd.read_csv(trained.path.with_name("history.csv"))["loss"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_same_seed_same_bits_whatever_is_tested_and_listened_to(trained, small_config, prepared, split, tmp_path):
    """Test subjects are not used: the second split has one that does not exist."""
    blind = Split(split.train, split.val, ("nobody",))
    steps, epochs = [], []
    listener = Progress(lambda: steps.append(1), lambda epoch, logs: epochs.append((epoch, logs["val_dice"])))
    again = train(small_config, prepared, blind, 0, tmp_path / "again", HERE, listener)
    first, second = (keras.saving.load_model(each.path).get_weights() for each in (trained, again))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    history = pd.read_csv(trained.path.with_name("history.csv"))
    assert epochs == [(row["epoch"] - 1, pytest.approx(row["val_dice"])) for _, row in history.iterrows()]
    assert len(steps) == 3 * -(-prepared.slices_of(split.train) // small_config.training.batch_size)


def test_another_seed_gives_another_network(trained, small_config, prepared, split, tmp_path):
    training = small_config.training.model_copy(update={"epochs": 1})
    train(small_config.model_copy(update={"training": training}), prepared, split, 1, tmp_path, HERE)
    folders = trained.path.parent, tmp_path
    one, other = (json.loads((folder / "controls.json").read_text()) for folder in folders)
    assert one["initial_weights_sha256"] != other["initial_weights_sha256"]
    one, other = (pd.read_csv(folder / "history.csv")["loss"][0] for folder in folders)
    assert one != other


def test_best_epoch_is_the_one_with_the_highest_validation_dice(trained):
    history = pd.read_csv(trained.path.with_name("history.csv"))
    assert trained.best_epoch == history["epoch"][history["val_dice"].idxmax()]


def test_patience_stops_a_training_that_no_longer_improves(prepared, split, small_config, tmp_path):
    """With a negligible learning rate and no normalisation, the network never improves."""
    training = small_config.training.model_copy(update={"epochs": 9, "patience": 2, "learning_rate": 1e-12})
    model = small_config.model.model_copy(update={"norm": "none"})
    config = small_config.model_copy(update={"training": training, "model": model})
    stopped = train(config, prepared, split, 0, tmp_path, HERE)
    assert (stopped.best_epoch, stopped.epochs) == (1, 3)


@pytest.mark.parametrize(("text", "expected"), [("dice", "batch"), ("{name: dice, overlap_over: sample}", "sample")])
def test_overlap_over_comes_from_the_training_unless_the_loss_says_otherwise(text, expected):
    config = load_config(None, ["training.overlap_over=batch", f"loss={text}"])
    assert make_loss(config).get_config()["overlap_over"] == expected


def test_losses_without_overlap_do_not_get_the_setting():
    assert "overlap_over" not in make_loss(load_config(None, ["loss=bce"])).get_config()


TWO_DEVICES = """
import json, shutil, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from tfseg.config.config import load_config
from tfseg.prepared.prepared import Prepared
from tfseg.datasets.splits import Split
from tfseg.training.fit import Progress, train
from tfseg.training.strategy import choose_devices, device_kinds, make_strategy, set_threads, threads_used
prepared, runs, split = json.loads(sys.argv[1])
prepared, split = Prepared(Path(prepared)), Split(*map(tuple, split))
set_threads(2)
assert threads_used() == 2
strategy = make_strategy(choose_devices("CPU:0,CPU:1"))
assert (strategy.num_replicas_in_sync, device_kinds(strategy)) == (2, "CPU, CPU")
for out, overrides, stopped in runs:
    def keep_first_epoch(epoch, logs):
        if stopped and epoch == 0:
            shutil.copytree(out, stopped)
        return False
    arguments = load_config(None, overrides), prepared, split, 0
    train(*arguments, Path(out), strategy, Progress(stop_after=keep_first_epoch))
    if stopped:
        train(*arguments, Path(stopped), strategy, Progress(on_resume=lambda epochs: print("from", epochs)))
"""


def last_arrays(out):
    """Return the arrays of the last checkpoint."""
    with np.load(max((out / "checkpoint").glob("*.npz"))) as last:
        return [last[name] for name in sorted(last.files) if name != "state"]


def test_labels_are_smoothed_in_training_and_not_in_validation(prepared, split, tmp_path):
    """At a rate that changes nothing, only the training loss differs."""
    still = ["model.filters=2", "model.depth=1", "training.epochs=1", "training.learning_rate=1e-30", "loss=ce"]
    rows = []
    for share in (0.0, 0.2):
        config = load_config(None, [*still, "model.norm=none", f"training.label_smoothing={share}"])
        train(config, prepared, split, 0, tmp_path / str(share), HERE)
        rows.append(pd.read_csv(tmp_path / str(share) / "history.csv").iloc[0])
    assert rows[0]["val_loss"] == rows[1]["val_loss"]
    assert rows[0]["loss"] != pytest.approx(rows[1]["loss"], rel=1e-3)


def test_two_devices_learn_what_one_does(prepared, split, tmp_path):
    """On the same global batches, without dropout and with overlap per sample, up to rounding.

    SGD steps scale with the gradient; Adam makes full steps even if the gradient is only rounding error. With
    dropout and in half precision, which scales the loss, a training that resumes from its first epoch ends with the
    same bits.
    """
    overrides = [
        *("model.filters=3", "model.depth=1", "model.dropout=[0, 0]", "training.epochs=2", "training.batch_size=10"),
        *("training.overlap_over=sample", "loss=dice_ce", "training.optimizer=sgd", "training.learning_rate=0.05"),
        *("training.clip_norm=0.5", "training.l1=1e-3", "training.weight_decay=1e-2"),
    ]
    dropout = [*overrides, "training.precision=mixed_float16", "model.dropout=[0.3, 0.3]"]
    runs = [
        (str(tmp_path / "two"), overrides, None),
        (str(tmp_path / "dropout"), dropout, str(tmp_path / "stopped")),
    ]
    parts = [split.train, split.val, split.test]
    arguments = json.dumps([str(prepared.folder), runs, parts])
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES, arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "from 1\n"), done.stderr
    train(load_config(None, overrides), prepared, split, 0, tmp_path / "one", HERE)
    one, two = (pd.read_csv(tmp_path / name / "history.csv") for name in ("one", "two"))
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(two["val_dice"], one["val_dice"], atol=1e-3)
    whole, stopped = (last_arrays(tmp_path / name) for name in ("dropout", "stopped"))
    assert [array.tobytes() for array in whole] == [array.tobytes() for array in stopped]
    assert [array.item() for array in stopped if array.size == 1 and array > 1000]  # the loss scale
    assert pd.read_csv(tmp_path / "dropout" / "history.csv")["loss"][0] != one["loss"][0]
    keras.utils.set_random_seed(0)
    begun = unet_2d(prepared.image_shape, prepared.targets.channels, filters=3, depth=1).get_weights()
    weights = [keras.saving.load_model(tmp_path / name / "best.keras").get_weights() for name in ("one", "two")]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert max(abs(a - b).max() for a, b in zip(begun, weights[0], strict=True)) > 0.01
