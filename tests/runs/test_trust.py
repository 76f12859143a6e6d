"""Uncertainty of a cell from end to end, and what is refused before training."""

import json

import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split
from tfseg.metrics import METRICS
from tfseg.metrics.table import PREPARED
from tfseg.runs.cell import run_cell

SMALL = [
    "model.filters=2",
    "model.depth=1",
    "model.dropout=[0.15, 0.3]",
    "training.epochs=1",
    "training.batch_size=6",
    "loss=dice_ce",
]
HERE = tf.distribute.get_strategy()


@pytest.fixture(scope="module")
def split(prepared):
    return Split(tuple(prepared.subjects[:2]), tuple(prepared.subjects[2:4]), tuple(prepared.subjects[4:]))


def cell(prepared, split, out, *settings):
    return run_cell(load_config(None, [*SMALL, *settings]), prepared, split, 0, "arm", out, HERE)


@pytest.fixture(scope="module")
def measured(prepared, split, tmp_path_factory):
    out = tmp_path_factory.mktemp("measured") / "cell"
    scores = cell(prepared, split, out, "uncertainty.samples=2", "uncertainty.temperature=per_class")
    return out, scores


def test_every_quantity_is_scored_once_per_case_and_label(measured):
    _, scores = measured
    on_request = {name for name in METRICS if name.startswith("lesion") or name.endswith(PREPARED)}
    without = {"global_accuracy", *on_request}
    assert set(scores["metric"]) == METRICS.keys() - without
    assert not scores.duplicated(["case", "label", "metric"]).any()
    assert set(scores["arm"]) == {"arm"} and set(scores["fold"]) == {0}


def test_what_the_plain_network_says_differs_from_the_passes(measured):
    _, scores = measured
    values = scores.pivot(index=["case", "label"], columns="metric", values="value")
    for name in ("nll_volume", "entropy_mean"):
        assert (values[name] != values[f"{name}_dropout"]).all()
    assert (values["nll_volume"] != values["nll_volume_calibrated"]).any()


def test_temperatures_curves_and_maps_are_in_the_folder(measured, prepared, split):
    out, _ = measured
    temperature = json.loads((out / "fold.json").read_text())["temperature"]
    assert len(temperature) == prepared.targets.channels and all(0.05 <= each <= 20 for each in temperature)
    assert set(pd.read_csv(out / "curves.csv")["subject"]) == set(split.test)
    assert len(list((out / "uncertainty").glob("*.nii.gz"))) == len(split.test)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["uncertainty.samples=1"], "uncertainty.samples: Input should be greater than or equal to 2; received 1"),
        (["uncertainty.samples=2", "model.dropout=[0, 0]"], "the network has no dropout, .* several seeds show"),
        (["uncertainty.temperature=per_class"], "at least 2 validation subjects in every fold, received 1; one"),
        (["uncertainty.temperature=two"], "uncertainty.temperature: .*; received 'two'"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_training(prepared, split, tmp_path, settings, message):
    few = Split(split.train, split.val[:1], split.test)
    with pytest.raises(ConfigError, match=message):
        cell(prepared, few, tmp_path, *settings)
    assert not (tmp_path / "best.keras").exists()
