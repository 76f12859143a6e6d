"""A small network, trained once for the tests of this folder."""

import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.datasets.splits import make_splits
from tfseg.training.fit import train

SMALL = ["model.filters=2", "model.depth=1", "folds=3"]
SMALL += ["training.epochs=3", "training.batch_size=6", "training.learning_rate=0.003"]


@pytest.fixture(scope="session")
def small_config():
    return load_config(None, [*SMALL, "loss=dice_ce"])


@pytest.fixture(scope="session")
def split(prepared, small_config):
    return make_splits(prepared.subjects, small_config.folds, 0)[0]


@pytest.fixture(scope="session")
def trained(small_config, prepared, split, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return train(small_config, prepared, split, 0, out, tf.distribute.get_strategy())
