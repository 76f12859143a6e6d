"""A training that was stopped resumes with bit-identical results."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split
from tfseg.training.checkpoint import Checkpoint
from tfseg.training.fit import Progress, train
from tfseg.training.resuming import check_conditions

HERE = tf.distribute.get_strategy()
# Everything that keeps a state across steps or epochs: momentum, plateau, averages, best scores, stages.
RICH = [
    *("model.filters=2", "model.depth=1", "training.batch_size=4", "loss=dice_ce", "training.optimizer=adamw"),
    *("training.weight_decay=1e-3", "training.clip_norm=1", "training.validate_every_steps=2"),
    "training.schedule={name: plateau, watch: loss_average, factor: 0.5, patience: 1, min_delta: 0.05}",
    "stages=[{training: {epochs: 4}}, {loss: {sum: [{name: dice, weight: {from: 0.1, to: 1.0, epochs: 3}}, "
    "{name: bce}]}, training: {epochs: 3, patience: 2, schedule: {name: cosine}}}]",
]


class Stopped(Exception):
    """Raised by the listener in place of a kill."""


def stopping_after(epoch):
    """Return a listener that stops a training at the first step after an epoch; at its first step for -1."""
    done = [-1]

    def on_step():
        if done[-1] >= epoch:
            raise Stopped

    return Progress(on_step, lambda number, logs: done.append(number))


def outcome(out):
    """Return everything that must be equal: the history without seconds, the best network, the last checkpoint."""
    history = pd.read_csv(out / "history.csv").drop(columns=["train_seconds", "validation_seconds"])
    best = keras.saving.load_model(out / "best.keras").get_weights()
    with np.load(max((out / "checkpoint").glob("*.npz"))) as last:
        arrays = [last[name] for name in sorted(last.files) if name != "state"]
    return history.to_csv(), [array.tobytes() for array in (*best, *arrays)]


@pytest.fixture(scope="module")
def small(prepared):
    """Two cases to train on, one to validate with: three steps an epoch."""
    return Split(tuple(prepared.subjects[:2]), tuple(prepared.subjects[2:3]), ())


@pytest.fixture(scope="module")
def never_stopped(prepared, small, tmp_path_factory):
    out = tmp_path_factory.mktemp("never_stopped")
    train(load_config(None, RICH), prepared, small, 0, out, HERE)
    return out


KILLED = """
import json, sys
from pathlib import Path
import tensorflow as tf
from tfseg.config.config import load_config
from tfseg.prepared.prepared import Prepared
from tfseg.datasets.splits import Split
from tfseg.training.fit import Progress, train
prepared, out, overrides, split = json.loads(sys.argv[1])
split = Split(*map(tuple, split))
progress = Progress(on_step=lambda: print("step", flush=True))
strategy = tf.distribute.get_strategy()
train(load_config(None, overrides), Prepared(Path(prepared)), split, 0, Path(out), strategy, progress)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_training_killed_and_stopped_ends_with_the_same_bits(never_stopped, prepared, small, tmp_path):
    """Another process is killed at a random moment in the first stage; the second stage is stopped within an epoch.

    The newest checkpoint is then damaged, so the training resumes from the previous one.
    """
    arguments = json.dumps([str(prepared.folder), str(tmp_path), RICH, [small.train, small.val, small.test]])
    command = [sys.executable, "-c", KILLED, arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()  # the first step
        time.sleep(random.uniform(0, 1))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    config = load_config(None, RICH)
    with pytest.raises(Stopped):
        train(config, prepared, small, 0, tmp_path, HERE, stopping_after(5))
    newest = max((tmp_path / "checkpoint").glob("*.npz"))
    newest.write_bytes(newest.read_bytes()[:-7])
    resumed, said = [], []
    train(config, prepared, small, 0, tmp_path, HERE, Progress(on_resume=resumed.append, say=said.append))
    assert resumed == [5]
    assert said == [f"{newest} is damaged; resuming from the previous one"]
    assert outcome(tmp_path) == outcome(never_stopped)
    again = train(config, prepared, small, 0, tmp_path, HERE, stopping_after(-1))  # nothing left to do
    assert again.epochs == len(pd.read_csv(never_stopped / "history.csv"))
    assert outcome(tmp_path) == outcome(never_stopped)


def test_a_damaged_best_network_is_reported_and_trained_again(trained, small_config, prepared, split, tmp_path):
    """The training is finished, so scoring would otherwise use the damaged file."""
    out = shutil.copytree(trained.path.parent, tmp_path / "out")
    expected, best = outcome(out), out / "best.keras"
    data = bytearray(best.read_bytes())
    data[len(data) // 2] ^= 1
    best.write_bytes(data)
    resumed, said = [], []
    progress = Progress(on_resume=resumed.append, say=said.append)
    train(small_config, prepared, split, 0, out, HERE, progress)
    assert (resumed, said) == ([], [f"{best} is damaged; the network is trained again from the beginning"])
    assert outcome(out) == expected


OTHER_MACHINE = {
    "threads_used": ("training.threads", lambda: 77, "77"),
    "device_kinds": ("devices", lambda strategy: "A100", "A100"),
    "processor_name": ("processor", lambda: "m68k", "m68k"),
    "__version__": ("tfseg", "9.9", "9.9"),
}


def test_other_conditions_are_refused(never_stopped, prepared, small, monkeypatch):
    before = outcome(never_stopped)
    with pytest.raises(ConfigError, match="was started with digest of settings and data"):
        train(load_config(None, [*RICH, "training.learning_rate=0.1"]), prepared, small, 0, never_stopped, HERE)
    for name, (condition, other, value) in OTHER_MACHINE.items():
        with monkeypatch.context() as machine:
            machine.setattr(f"tfseg.training.fit.{name}", other)
            message = rf"was started with {condition} .+, but received {value}: resume under the same"
            with pytest.raises(ConfigError, match=message):
                train(load_config(None, RICH), prepared, small, 0, never_stopped, HERE)
    assert outcome(never_stopped) == before


def test_a_condition_missing_from_the_checkpoint_counts_as_different(tmp_path):
    with pytest.raises(ConfigError, match="was started with processor unknown, but received m68k"):
        check_conditions(Checkpoint([], {"conditions": {}}), {"processor": "m68k"}, tmp_path)
