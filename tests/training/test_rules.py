"""Each training setting changes weights, order and history as documented."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfseg.config.config import TrainingConfig, load_config
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split
from tfseg.prepared.batches import SliceBatches
from tfseg.training.controls import controls
from tfseg.training.fit import train
from tfseg.training.optimizers import make_optimizer, penalise_weights

HERE = tf.distribute.get_strategy()
TINY = ["model.filters=2", "model.depth=1", "training.epochs=2", "training.batch_size=4", "loss=dice_ce"]


def step(gradient, **training):
    """Return the weights 1, 2 after one step with learning rate 0.1."""
    optimizer = make_optimizer(TrainingConfig.model_validate({"learning_rate": 0.1, **training}), 0.1)
    kernel = keras.Variable([1.0, 2.0], name="kernel")
    optimizer.apply([tf.constant(gradient)], [kernel])
    return np.asarray(kernel)


def test_adam_steps_by_the_rate_along_the_sign():
    np.testing.assert_allclose(step([3.0, -0.5]), [0.9, 2.1], rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_takes_the_steps_of_keras(optimizer):
    """Gradients from 1e-9 to 1e3 of both signs, in a graph: the rate, the moments and their correction agree.

    1 - 0.999 is off by 1e-5 of itself in float32.
    """
    decay = {"weight_decay": 0.01} if optimizer == "adamw" else {}
    keras_class = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[optimizer]
    ours = make_optimizer(TrainingConfig(optimizer=optimizer, **decay), 0.05)
    reference = keras_class(0.05, **decay)
    start = np.linspace(-1, 1, 24, dtype="float32").reshape(4, 6)
    kernel, expected = keras.Variable(start, name="kernel"), keras.Variable(start, name="kernel")
    for each, weights in ((ours, kernel), (reference, expected)):
        each.build([weights])
    take = tf.function(lambda gradient: (ours.apply([gradient], [kernel]), reference.apply([gradient], [expected])))
    draw = np.random.default_rng(0)
    for _ in range(12):
        take(tf.constant(draw.choice([-1, 1], start.shape) * 10.0 ** draw.uniform(-9, 3, start.shape), tf.float32))
        np.testing.assert_allclose(kernel, expected, atol=1e-5)
    assert int(ours.iterations) == 12
    for one, other in zip(ours.variables[2:], reference.variables[2:], strict=True):
        np.testing.assert_allclose(one, other, rtol=3e-5)


def test_sgd_steps_by_the_rate_times_the_gradient():
    np.testing.assert_allclose(step([3.0, -0.5], optimizer="sgd"), [0.7, 2.05], rtol=1e-6)


def test_momentum_adds_earlier_steps():
    optimizer = make_optimizer(TrainingConfig(optimizer="sgd", momentum=0.5), 0.1)
    kernel = keras.Variable([1.0], name="kernel")
    for expected in (0.9, 0.75, 0.575):  # steps of 0.1, 0.15, 0.175
        optimizer.apply([tf.constant([1.0])], [kernel])
        np.testing.assert_allclose(kernel, [expected], rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_weight_decay_shrinks_kernels_and_nothing_else(optimizer):
    made = make_optimizer(TrainingConfig(optimizer=optimizer, weight_decay=0.5), 0.1)
    variables = [keras.Variable([2.0], name=name) for name in ("kernel", "bias", "gamma", "beta")]
    made.apply([tf.constant([0.0])] * 4, variables)
    np.testing.assert_allclose([float(v[0]) for v in variables], [2 * (1 - 0.1 * 0.5), 2, 2, 2], rtol=1e-6)


def test_weight_decay_is_refused_for_adam():
    with pytest.raises(ConfigError, match="weight_decay needs the optimizer adamw or sgd"):
        load_config(None, ["training.weight_decay=1e-3"])


@pytest.mark.parametrize(("gradient", "expected"), [([3.0, -4.0], [1 - 0.06, 2.08]), ([0.3, -0.4], [0.97, 2.04])])
def test_gradients_above_the_norm_are_scaled_down_to_it(gradient, expected):
    np.testing.assert_allclose(step(gradient, optimizer="sgd", clip_norm=1.0), expected, rtol=1e-6)


def test_gradients_are_clipped_after_the_loss_scale_is_removed():
    training = TrainingConfig(optimizer="sgd", momentum=0, clip_norm=1.0)
    scaled = keras.optimizers.LossScaleOptimizer(make_optimizer(training, 0.1), initial_scale=8.0)
    kernel = keras.Variable([1.0, 2.0], name="kernel")
    scaled.build([kernel])
    assert float(scaled.scale_loss(1.0)) == 8
    scaled.apply([tf.constant([8 * 3.0, 8 * -4.0])])
    np.testing.assert_allclose(np.asarray(kernel), [1 - 0.06, 2.08], rtol=1e-6)


def test_l1_counts_only_kernels():
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 3)(image)))
    model.set_weights([np.full(weight.shape, -0.5, "float32") for weight in model.get_weights()])
    penalise_weights(model, 0.1)
    assert float(sum(model.losses)) == pytest.approx(0.1 * 18 * 0.5)
    penalise_weights(other := keras.models.clone_model(model), 0.0)
    assert other.losses == []


@pytest.fixture(scope="module")
def small(prepared):
    """Two cases to train on, one to validate with: three steps per epoch."""
    return Split(tuple(prepared.subjects[:2]), tuple(prepared.subjects[2:3]), ())


def run(prepared, split, out, *overrides, strategy=HERE):
    trained = train(load_config(None, [*TINY, *overrides]), prepared, split, 0, out, strategy)
    return pd.read_csv(out / "history.csv"), keras.saving.load_model(trained.path), trained


@pytest.fixture(scope="module")
def plateaus(prepared, small, tmp_path_factory):
    """Train in half precision; with min_delta 10, every epoch from the second on is a plateau."""
    out = tmp_path_factory.mktemp("plateaus")
    plateau = "training.schedule={name: plateau, factor: 0.2, patience: 1, min_delta: 10}"
    overrides = ["training.epochs=3", "training.learning_rate=0.01", "training.steps_per_epoch=5", plateau]
    half = "training.precision=mixed_bfloat16"
    return run(prepared, small, out, *overrides, "training.validate_every=9", half), out


def test_a_plateau_lowers_the_rate_and_steps_and_validations_follow_the_settings(plateaus):
    (history, _, trained), out = plateaus
    np.testing.assert_allclose(history["learning_rate"], [0.01, 0.01, 0.002], rtol=1e-5)  # at each first step
    assert history["steps"].tolist() == [5, 5, 5]
    assert history["val_dice"].notna().tolist() == [False, False, True]
    assert trained.best_epoch == 3
    with np.load(max((out / "checkpoint").glob("*.npz"))) as last:
        assert 15 in [int(last[name]) for name in last.files if last[name].dtype.kind == "i"]  # the optimiser's steps


def test_a_network_trained_in_half_precision_is_kept_in_float32(plateaus):
    """bfloat16 keeps 8 bits: the kept network's probabilities are close to those of the trained one, not equal."""
    (history, best, _), _ = plateaus
    assert {layer.compute_dtype for layer in best.layers} == {"float32"}
    assert np.isfinite(history["loss"]).all()
    assert keras.config.dtype_policy().name == "float32"
    half = keras.models.clone_model(
        best, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    )
    half.set_weights(best.get_weights())
    images = np.random.default_rng(0).normal(size=(2, *best.input_shape[1:])).astype(np.float32)
    difference = np.abs(best(images) - tf.cast(half(images), tf.float32))
    assert 0 < difference.max() < 0.05


def test_a_training_starts_from_given_weights(prepared, small, tmp_path):
    """With a negligible learning rate and no normalisation, the best network is the given one."""
    frozen = ["model.norm=none", "training.learning_rate=1e-30", "training.epochs=1"]
    _, first, trained = run(prepared, small, tmp_path / "first", "model.norm=none", "training.epochs=1")
    _, second, _ = run(prepared, small, tmp_path / "second", *frozen, f"training.start_from={trained.path}")
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    begun = [json.loads((tmp_path / name / "controls.json").read_text()) for name in ("first", "second")]
    assert begun[0]["initial_weights_sha256"] != begun[1]["initial_weights_sha256"]
    other = [*frozen, "model.filters=3", f"training.start_from={trained.path}"]
    with pytest.raises(ConfigError, match=r"training\.start_from: the weights do not fit this network"):
        run(prepared, small, tmp_path / "third", *other)


def test_missing_or_damaged_weights_are_refused(prepared, small, tmp_path):
    with pytest.raises(ConfigError, match=r"training\.start_from: cannot read nowhere\.keras"):
        run(prepared, small, tmp_path, "training.start_from=nowhere.keras")
    (tmp_path / "damaged.keras").write_bytes(b"PK")
    with pytest.raises(ConfigError, match=r"training\.start_from: cannot read .*damaged\.keras"):
        run(prepared, small, tmp_path, f"training.start_from={tmp_path / 'damaged.keras'}")


def test_a_stage_continues_from_the_previous_weights_with_its_own_loss_and_rate(prepared, small, tmp_path):
    second = "{loss: bce, training: {epochs: 1, learning_rate: 1e-30, optimizer: sgd, batch_size: 6}}"
    stages = f"stages=[{{training: {{epochs: 2}}}}, {second}]"
    history, best, trained = run(prepared, small, tmp_path, "model.norm=none", stages)
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["stage"].tolist() == [1, 1, 2]
    assert history["steps"].tolist() == [3, 3, 2]
    assert trained.best_epoch == 3  # each stage selects its own best epoch
    with np.load(min((tmp_path / "checkpoint").glob("*.npz"))) as end_of_first:
        arrays = [end_of_first[name] for name in sorted(end_of_first.files) if name != "state"]
    with np.load(max((tmp_path / "checkpoint").glob("*.npz"))) as end_of_second:
        assert len(end_of_second.files) < len(arrays)  # SGD keeps one moment per weight, Adam two
    for weight, before in zip(best.get_weights(), arrays, strict=False):
        np.testing.assert_array_equal(weight, before)
    assert history["val_dice"].iloc[2] == history["val_dice"].iloc[1]
    assert history["val_loss"].iloc[2] != history["val_loss"].iloc[1]


@pytest.mark.parametrize(("select_by", "best"), [("val_iou", 2), ("val_loss", 3)])
def test_select_by_decides_the_best_epoch(prepared, small, tmp_path, monkeypatch, select_by, best):
    scores = iter(zip([0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [2.0, 3.0, 1.0], strict=True))
    names = ("val_dice", "val_iou", "val_loss")
    monkeypatch.setattr("tfseg.training.stage.score_volumes", lambda *_: dict(zip(names, next(scores), strict=True)))
    short = ["training.epochs=3", "training.steps_per_epoch=1"]
    history, _, trained = run(prepared, small, tmp_path, *short, f"training.select_by={select_by}")
    assert history["val_dice"].tolist() == [0.9, 0.1, 0.1]
    assert trained.best_epoch == best


def test_the_best_network_may_come_from_within_an_epoch(prepared, small, tmp_path, monkeypatch):
    """The first of three steps scores best: its network equals that of a one-step training."""
    constant = ["training.epochs=1", "training.schedule={name: constant}", "training.class_prior=false"]
    _, expected, _ = run(prepared, small, tmp_path / "one", *constant, "training.steps_per_epoch=1")
    scores = iter([0.9, 0.1, 0.2])
    monkeypatch.setattr(
        "tfseg.training.stage.score_volumes", lambda *_: {"val_dice": next(scores), "val_iou": 0.0, "val_loss": 1.0}
    )
    within = ["training.steps_per_epoch=3", "training.validate_every_steps=1"]
    history, best, trained = run(prepared, small, tmp_path / "three", *constant, *within)
    assert (trained.best_epoch, history["val_dice"].tolist()) == (1, [0.2])
    (events,) = (tmp_path / "three" / "logs").iterdir()
    assert events.read_bytes().count(b"steps/val_dice") == 2
    for weight, other in zip(best.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_loss_ramps_and_foreground_share_take_effect(prepared, small, tmp_path):
    """The network does not change and sees the same slices in another order: its loss follows the ramp."""
    frozen = ["model.norm=none", "model.dropout=[0, 0]", "training.learning_rate=1e-30", "training.epochs=3"]
    ramp = "loss={sum: [{name: dice, overlap_over: sample, weight: {from: 1, to: 3, epochs: 2}}]}"
    share = "training.foreground_share=1"
    history, _, _ = run(prepared, small, tmp_path, *frozen, ramp, share, "training.validate_every=9")
    batches = SliceBatches(prepared.cases_of(small.train), 4, 0, foreground_share=1.0)
    seen = [{tuple(each) for each in batches.plan(epoch).reshape(-1, 2)} for epoch in range(3)]
    assert seen[0] == seen[1] == seen[2]
    order = json.loads((tmp_path / "controls.json").read_text())["batches_sha256"]
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert order == controls(model, [(batches, 3)])["batches_sha256"]
    assert order != controls(model, [(SliceBatches(prepared.cases_of(small.train), 4, 0), 3)])["batches_sha256"]
    np.testing.assert_allclose(history["loss"] / history["loss"][0], [1, 2, 3], rtol=0.02)
