"""The losses inside Keras: graphs, weights, saved models, several devices, other backends."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import LOSSES, get, make

RAMP = {"from": 0.5, "to": 1.0, "epochs": 3}
TERMS = ["bce", {"name": "log_hausdorff_dt", "weight": 0.5}]
SUM = {"sum": [{"name": "tversky", "alpha": 0.4, "weight": 0.9}, {"sum": TERMS, "weight": 0.2}]}
RAMPED = {"sum": ["dice", {"name": "boundary", "weight": RAMP}]}
SPECS = {name: {"name": name} for name in LOSSES} | {"a sum": SUM, "a ramp": RAMPED}
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


def small_model() -> keras.Model:
    image = keras.Input((12, 12, 1))
    return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(image))


def test_sample_weight_and_reduction(examples):
    truth, prediction, _ = examples["binary2d"]
    weight = np.array([0.0, 2.0, 0.5], "float32")
    for name in LOSSES:
        values = get(name, reduction=None)(truth, prediction).numpy()
        weighted = float(get(name)(truth, prediction, weight))
        assert weighted == pytest.approx((values * weight).mean(), rel=1e-5), name
        assert float(get(name, reduction="sum")(truth, prediction)) == pytest.approx(values.sum(), rel=1e-5), name


def test_mixed_precision_computes_in_float32(examples):
    truth, prediction, _ = examples["binary2d"]
    half = prediction.astype("float16")
    for name, spec in SPECS.items():
        value = make(spec, dtype="mixed_float16")(truth, half)
        assert value.dtype == "float32", name
        assert float(value) == float(make(spec)(truth, half.astype("float32"))), name


@pytest.mark.parametrize("name", SPECS)
def test_xla_gives_the_same_value_and_gradient(example, name):
    truth, prediction, _ = example("softmax2d")
    loss = make(SPECS[name], ignore_label=255)
    labels = truth.argmax(-1)
    labels[:, :2] = 255

    def value_and_gradient(labels: tf.Tensor, prediction: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            value = loss(labels, prediction)
        return value, tape.gradient(value, prediction)

    inputs = tf.constant(labels), tf.constant(prediction, "float32")
    value, gradient = tf.function(value_and_gradient, jit_compile=True)(*inputs)
    expected, slope = value_and_gradient(*inputs)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6 * np.abs(slope).max())


def test_a_saved_compiled_model_reloads(tmp_path):
    model = small_model()
    for name in LOSSES:
        model.compile("sgd", loss=get(name, ignore_label=9))
        model.optimizer.build(model.trainable_variables)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert type(loaded.loss) is LOSSES[name], name
        assert loaded.loss.get_config() == model.loss.get_config(), name


@pytest.fixture
def mixed_float16():
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.usefixtures("mixed_float16")
def test_a_model_trained_under_mixed_precision_is_evaluated_after_reload(tmp_path):
    model = small_model()
    model.compile("sgd", loss=get("hybrid", overlap_over="batch"))
    image = np.random.default_rng(0).random((4, 12, 12, 1), dtype="float32")
    truth = (image > 0.5).astype("uint8")
    model.fit(image, truth, batch_size=2, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    value = model.evaluate(image, truth, verbose=0)
    assert np.isfinite(value)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(image, truth, verbose=0) == pytest.approx(value)


@pytest.mark.usefixtures("mixed_float16")
@pytest.mark.parametrize("name", SPECS)
def test_a_model_trains_under_mixed_precision(name):
    """The optimiser skips a step whose gradient is not finite, so the weights would not change."""
    keras.utils.set_random_seed(0)
    model = small_model()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=16)
    model.compile(optimizer, loss=make(SPECS[name]), run_eagerly=True)
    truth = np.zeros((2, 12, 12, 1), "float32")
    truth[:, 2:10, 2:10] = 1
    image = 8 * truth - 4
    image[:, :4] *= -1  # wrong there, and so surely that an erosion leaves something of the errors
    model.layers[-1].kernel.assign(np.full((3, 3, 1, 1), 1 / 9))
    before = model.get_weights()
    model.fit(image, truth, verbose=0)
    assert model(image).dtype == "float16"
    after = model.get_weights()
    assert all(np.isfinite(values).all() for values in after)
    assert max(np.abs(new - old).max() for new, old in zip(after, before, strict=True)) > 0


TWO_DEVICES = """
import json, sys
import keras, numpy as np, tensorflow as tf
from tfseg.losses import make
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
one_device = tf.distribute.ReductionToOneDevice()
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=one_device)
truth = np.zeros((8, 12, 12, 1), "float32")
for sample in range(6):  # the last two are padding of weight 0, and all that the second device gets
    truth[sample, 1 + sample : 7 + sample, 2:10] = 1
image = 8 * truth - 4 + np.random.default_rng(0).random(truth.shape, dtype="float32")
image[:, :, :6] *= -1  # wrong there, and so surely that an erosion leaves something of the errors
weight = np.array([1.0, 2.0, 0.5, 1.0, 1.0, 2.0, 0.0, 0.0], "float32")
with strategy.scope():
    layers = [keras.Input((12, 12, 1)), keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")]
    model = keras.Sequential(layers)
before = [np.full((3, 3, 1, 1), 1 / 9, "float32"), np.zeros(1, "float32")]
def trained_by_hand(loss):
    weights = [tf.Variable(values) for values in before]
    for part in (slice(0, 4), slice(4, 8)):
        with tf.GradientTape() as tape:
            predicted = tf.sigmoid(tf.nn.conv2d(image[part], weights[0], 1, "SAME") + weights[1])
            value = loss(truth[part], predicted, weight[part])
        for each, slope in zip(weights, tape.gradient(value, weights)):
            each.assign_sub(0.1 * slope)
    return [each.numpy() for each in weights]
for name, spec in json.loads(sys.argv[1]).items():
    one = trained_by_hand(make(spec))
    with strategy.scope():
        model.set_weights(before)
        model.compile(keras.optimizers.SGD(0.1), loss=make(spec), jit_compile=False)
        model.fit(image, truth, batch_size=4, verbose=0, shuffle=False, sample_weight=weight)
    for a, b in zip(one, model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=name)
    assert max(abs(a - b).max() for a, b in zip(before, one)) > 1e-4, name
"""

LOADED = """
import sys
from pathlib import Path
import keras, numpy as np
from tfseg.losses import LOSSES  # registers them
image = np.random.default_rng(0).random((2, 12, 12, 1), dtype="float32")
for path in sorted(Path(sys.argv[1]).iterdir()):
    loss = keras.saving.load_model(path).evaluate(image, (image > 0.5).astype("uint8"), verbose=0)
    np.testing.assert_allclose(loss, float(path.stem.split("@")[1]), rtol=1e-5, err_msg=path.stem)
"""

VALUES = """
import json, sys
import jax, numpy as np
from tfseg.losses import make
stored = np.load(sys.argv[2])
values = {}
for kind in ("binary3d", "softmax2d"):
    images = stored[f"{kind}/truth"], stored[f"{kind}/prediction"]
    for name, spec in json.loads(sys.argv[1]).items():
        loss = make(spec, ignore_label=9)
        loss.reduction = None
        values[f"{kind}/{name}"] = np.asarray(jax.jit(loss)(*images))
np.savez(sys.argv[3], **values)
"""

JAX_GRADIENTS = """
import json, sys
import jax, numpy as np
from tfseg.losses import make
truth = np.zeros((2, 12, 12, 1), "float32")
truth[:, 3:8, 4:9] = 1
for name, spec in json.loads(sys.argv[1]).items():
    step = jax.jit(jax.value_and_grad(lambda prediction: make(spec)(truth, prediction)))
    for prediction in (truth, 1 - truth, 0 * truth, 0.1 + 0.8 * truth):
        value, gradient = step(prediction)
        assert np.isfinite(value) and np.isfinite(gradient).all(), name
try:
    make(json.loads(sys.argv[2]))
except ValueError as error:
    assert "on JAX a weight must be a number" in str(error)
else:
    raise AssertionError("a ramp that would not change is not refused")
"""


def run(code: str, *arguments: str, backend: str = "tensorflow") -> None:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_compiled_models_load_in_a_new_process(tmp_path):
    model = small_model()
    image = np.random.default_rng(0).random((2, 12, 12, 1), dtype="float32")
    truth = (image > 0.5).astype("uint8")
    for name, spec in SPECS.items():
        loss = make(spec)
        model.compile("sgd", loss=loss, jit_compile=False)
        model.save(tmp_path / f"{name}@{float(loss(truth, model(image)))!r}.keras")
    assert len(list(tmp_path.iterdir())) == len(SPECS)
    run(LOADED, str(tmp_path))


def test_two_devices_train_as_one():
    run(TWO_DEVICES, json.dumps(SPECS))


ON_JAX = json.dumps({name: spec for name, spec in SPECS.items() if name != "a ramp"})


@needs_jax
def test_jax_gives_the_same_values(example, tmp_path):
    inputs: dict[str, np.ndarray] = {}
    for kind in ("binary3d", "softmax2d"):
        truth, prediction, _ = example(kind)
        inputs |= {f"{kind}/truth": np.where(truth[..., :1] + prediction[..., :1] > 1.8, 9, truth)}
        inputs |= {f"{kind}/prediction": prediction}
    np.savez(tmp_path / "inputs.npz", allow_pickle=False, **inputs)
    run(VALUES, ON_JAX, str(tmp_path / "inputs.npz"), str(tmp_path / "values.npz"), backend="jax")
    with np.load(tmp_path / "values.npz") as values:
        for key, value in values.items():
            kind, name = key.split("/")
            loss = make(SPECS[name], ignore_label=9)
            loss.reduction = None
            expected = loss(inputs[f"{kind}/truth"], inputs[f"{kind}/prediction"])
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6, err_msg=key)


@needs_jax
def test_gradients_under_jax_are_finite():
    run(JAX_GRADIENTS, ON_JAX, json.dumps(RAMPED), backend="jax")
