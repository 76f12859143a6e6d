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

from tfseg.losses import LOSSES, WeightedSum, get, make

RAMP = {"from": 0.5, "to": 1.0, "epochs": 3}
TERMS = ["bce", {"name": "log_hausdorff_dt", "weight": 0.5}]
SUM = {"sum": [{"name": "tversky", "alpha": 0.4, "weight": 0.9}, {"sum": TERMS, "weight": 0.2}]}
RAMPED = {"sum": ["dice", {"name": "boundary", "weight": RAMP}]}
SPECS = {name: {"name": name} for name in LOSSES} | {"a sum": SUM, "a ramp": RAMPED}
OTHER_BACKENDS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]


def started(spec) -> keras.losses.Loss:
    """The loss of a specification; ramps in their first epoch."""
    loss = make(spec)
    if isinstance(loss, WeightedSum):
        loss.set_epoch(0)
    return loss


def small_model(heads: int = 1) -> keras.Model:
    """A convolution with a sigmoid for each head; head n is called `head_n`."""
    image = keras.Input((12, 12, 1))
    convolutions = (
        keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid", name=f"head_{n}") for n in range(heads)
    )
    outputs = [convolution(image) for convolution in convolutions]
    return keras.Model(image, outputs if heads > 1 else outputs[0])


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
        loss = make(spec, dtype="mixed_float16")
        if name == "a ramp":
            loss.set_epoch(0)
        value = loss(truth, half)
        assert value.dtype == "float32", name
        assert float(value) == float(started(spec)(truth, half.astype("float32"))), name


@pytest.mark.parametrize("name", SPECS)
def test_xla_gives_the_same_value_and_gradient(example, name):
    truth, prediction, _ = example("softmax2d")
    loss = make(SPECS[name], ignore_label=255)
    if name == "a ramp":
        loss.set_epoch(0)
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


LOADED = """
import json, sys
import keras, numpy as np
from tfseg.losses import LOSSES  # registers them
expected = json.loads(sys.argv[2])
image = np.random.default_rng(0).random((2, 12, 12, 1), dtype="float32")
truth = (image > 0.5).astype("uint8")
model = keras.saving.load_model(sys.argv[1])
values = model.evaluate(image, [truth] * len(expected), verbose=0, return_dict=True)
for number, (name, value) in enumerate(expected.items()):
    np.testing.assert_allclose(values[f"head_{number}_loss"], value, rtol=1e-5, err_msg=name)
"""


def test_a_saved_model_reloads_with_every_loss_here_and_in_a_new_process(tmp_path):
    model = small_model(len(SPECS))
    image = np.random.default_rng(0).random((2, 12, 12, 1), dtype="float32")
    truth = (image > 0.5).astype("uint8")
    losses = [started(spec) for spec in SPECS.values()]
    model.compile("sgd", loss=losses, jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").loss
    for name, loss, read in zip(SPECS, losses, loaded, strict=True):
        assert type(read) is type(loss) and read.get_config() == loss.get_config(), name
    values = [float(loss(truth, head)) for loss, head in zip(losses, model(image), strict=True)]
    run(LOADED, str(tmp_path / "model.keras"), json.dumps(dict(zip(SPECS, values, strict=True))))


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
def test_models_train_under_mixed_precision():
    """The optimiser skips a step with a gradient that is not finite, so no weight would change."""
    model = small_model(len(SPECS))
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=16)
    model.compile(optimizer, loss=[started(spec) for spec in SPECS.values()], run_eagerly=True)
    truth = np.zeros((2, 12, 12, 1), "float32")
    truth[:, 2:10, 2:10] = 1
    image = 8 * truth - 4
    image[:, :4] *= -1  # wrong there, and so surely that an erosion leaves something of the errors
    heads = [model.get_layer(f"head_{number}") for number in range(len(SPECS))]
    before = [np.full((3, 3, 1, 1), 1 / 9), np.zeros(1)]
    for head in heads:
        head.set_weights(before)
    model.fit(image, [truth] * len(SPECS), verbose=0)
    for name, head, prediction in zip(SPECS, heads, model(image), strict=True):
        assert prediction.dtype == "float16", name
        after = head.get_weights()
        assert all(np.isfinite(values).all() for values in after), name
        assert max(np.abs(new - old).max() for new, old in zip(after, before, strict=True)) > 0, name


TWO_DEVICES = """
import json, sys
import keras, numpy as np, tensorflow as tf
from tfseg.losses import RampCallback, WeightedSum, make
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
before = [np.full((3, 3, 1, 1), 1 / 9, "float32"), np.zeros(1, "float32")]
def started(spec):
    loss = make(spec)
    if isinstance(loss, WeightedSum):
        loss.set_epoch(0)
    return loss
def trained_by_hand(loss):
    weights = [tf.Variable(values) for values in before]
    for part in (slice(0, 4), slice(4, 8)):
        with tf.GradientTape() as tape:
            prediction = tf.sigmoid(tf.nn.conv2d(image[part], weights[0], 1, "SAME") + weights[1])
            value = loss(truth[part], prediction, weight[part])
        for each, slope in zip(weights, tape.gradient(value, weights)):
            each.assign_sub(0.1 * slope)
    return [each.numpy() for each in weights]
specs = json.loads(sys.argv[1])
with strategy.scope():
    pixels = keras.Input((12, 12, 1))
    heads = [keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid") for _ in specs]
    model = keras.Model(pixels, [head(pixels) for head in heads])
    for head in heads:
        head.set_weights(before)
    model.compile(keras.optimizers.SGD(0.1), loss=[make(spec) for spec in specs.values()], jit_compile=False)
    weights = [weight] * len(specs)
    labels = [truth] * len(specs)
    options = {"batch_size": 4, "verbose": 0, "shuffle": False, "callbacks": [RampCallback()]}
    model.fit(image, labels, sample_weight=weights, **options)
for (name, spec), head in zip(specs.items(), heads, strict=True):
    one = trained_by_hand(started(spec))
    for a, b in zip(one, head.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=name)
    assert max(abs(a - b).max() for a, b in zip(before, one)) > 1e-4, name
"""

VALUES = """
import json, sys
import keras, numpy as np
from tfseg.losses import make
specs = json.loads(sys.argv[1])
compiled = lambda loss: loss
if keras.backend.backend() == "jax":
    from jax import jit as compiled
stored = np.load(sys.argv[2])
values = {}
for kind in ("binary3d", "softmax2d"):
    images = [keras.ops.convert_to_tensor(stored[f"{kind}/{each}"]) for each in ("truth", "prediction")]
    for name, spec in specs.items():
        loss = make(spec, ignore_label=9)
        loss.reduction = None
        values[f"{kind}/{name}"] = keras.ops.convert_to_numpy(compiled(loss)(*images))
np.savez(sys.argv[3], **values)
"""

GRADIENTS = """
truth = np.zeros((2, 12, 12, 1), "float32")
truth[:, 3:8, 4:9] = 1
def on_jax(loss):
    import jax
    return jax.jit(jax.value_and_grad(lambda prediction: loss(truth, prediction)))
def on_torch(loss):
    def step(prediction):
        prediction = keras.ops.convert_to_tensor(prediction).requires_grad_()
        value = loss(truth, prediction)
        value.backward()
        return float(value), prediction.grad.numpy()
    return step
for name, spec in specs.items():
    step = (on_jax if keras.backend.backend() == "jax" else on_torch)(make(spec))
    for prediction in (truth, 1 - truth, 0 * truth, 0.1 + 0.8 * truth):
        value, gradient = step(prediction)
        assert np.isfinite(value) and np.isfinite(gradient).all(), name
"""

RAMP_REFUSED = """
try:
    make(json.loads(sys.argv[4]))
except ValueError as error:
    assert "on JAX a weight must be a number" in str(error)
else:
    assert keras.backend.backend() != "jax", "a ramp that would not change is not refused"
"""


def run(code: str, *arguments: str, backend: str = "tensorflow") -> None:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# One loss of each way of computing: sums, distances on the host, skeletons, sorted errors, filters, components, a ramp.
ON_TWO_DEVICES = ("dice", "focal", "hausdorff_dt", "cldice", "lovasz", "ssim", "blob_dice", "a sum", "a ramp")


def test_two_devices_train_as_one():
    run(TWO_DEVICES, json.dumps({name: SPECS[name] for name in ON_TWO_DEVICES}))


WITHOUT_RAMPS = json.dumps({name: spec for name, spec in SPECS.items() if name != "a ramp"})


@pytest.mark.parametrize("backend", OTHER_BACKENDS)
def test_other_backends_give_the_same_values_and_finite_gradients(examples, tmp_path, backend):
    inputs: dict[str, np.ndarray] = {}
    for kind in ("binary3d", "softmax2d"):
        truth, prediction, _ = examples[kind]
        inputs |= {f"{kind}/truth": np.where(truth[..., :1] + prediction[..., :1] > 1.8, 9, truth)}
        inputs |= {f"{kind}/prediction": prediction}
    np.savez(tmp_path / "inputs.npz", allow_pickle=False, **inputs)
    arguments = (WITHOUT_RAMPS, str(tmp_path / "inputs.npz"), str(tmp_path / "values.npz"), json.dumps(RAMPED))
    run(VALUES + GRADIENTS + RAMP_REFUSED, *arguments, backend=backend)
    with np.load(tmp_path / "values.npz") as values:
        assert len(values) == 2 * (len(SPECS) - 1)
        for key, value in values.items():
            kind, name = key.split("/")
            loss = make(SPECS[name], ignore_label=9)
            loss.reduction = None
            expected = loss(inputs[f"{kind}/truth"], inputs[f"{kind}/prediction"])
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6, err_msg=key)
