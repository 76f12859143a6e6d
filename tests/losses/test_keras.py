"""The losses inside Keras: graphs, weights, saved models, several devices, other backends."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.losses import LOSSES, get

needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


def small_model() -> keras.Model:
    image = keras.Input((12, 12, 1))
    return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(image))


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"ms_ssim"}))
def test_graph_of_unknown_size_gives_the_eager_value(example, name):
    truth, prediction, _ = example("softmax2d")
    loss = get(name, reduction=None, ignore_label=255)
    labels = truth.argmax(-1)
    labels[:, :2] = 255
    shapes = [tf.TensorSpec((None, None, None), tf.uint8), tf.TensorSpec((None, None, None, 3))]
    graph = tf.function(loss, input_signature=shapes)
    np.testing.assert_allclose(graph(labels.astype("uint8"), prediction), loss(labels, prediction), rtol=1e-5)


def test_multi_scale_ssim_must_know_the_size():
    graph = tf.function(get("ms_ssim"), input_signature=[tf.TensorSpec((None, None, None, 1))] * 2)
    with pytest.raises(ValueError, match="known size for ms_ssim"):
        graph.get_concrete_function()


@pytest.mark.parametrize("name", LOSSES)
def test_sample_weight_and_reduction(example, name):
    truth, prediction, _ = example("binary2d")
    values = get(name, reduction=None)(truth, prediction).numpy()
    weight = np.array([0.0, 2.0, 0.5], "float32")
    assert float(get(name)(truth, prediction, weight)) == pytest.approx((values * weight).mean(), rel=1e-5)
    assert float(get(name, reduction="sum")(truth, prediction)) == pytest.approx(values.sum(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_mixed_precision_computes_in_float32(example, name):
    truth, prediction, _ = example("binary2d")
    half = prediction.astype("float16")
    value = get(name, dtype="mixed_float16")(truth, half)
    assert value.dtype == "float32"
    assert float(value) == float(get(name)(truth, half.astype("float32")))


@pytest.mark.parametrize("name", LOSSES)
def test_saved_compiled_model_reloads(tmp_path, name):
    model = small_model()
    model.compile("sgd", loss=get(name, ignore_label=9))
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.loss) is LOSSES[name]
    assert loaded.loss.get_config() == model.loss.get_config()


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
@pytest.mark.parametrize("name", LOSSES)
def test_a_model_trains_under_mixed_precision(name):
    """In the end the optimiser leaves out a step whose gradient is not finite, and the weights stay as they were."""
    keras.utils.set_random_seed(0)
    model = small_model()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=16)
    model.compile(optimizer, loss=get(name), run_eagerly=True)
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
import keras, numpy as np, tensorflow as tf
from tfseg.losses import LOSSES, get
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
one_device = tf.distribute.ReductionToOneDevice()
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=one_device)
image = np.random.default_rng(0).random((8, 12, 12, 1), dtype="float32")
image[6:] = 0  # what fills up the last batch, and weighs nothing: the second device gets nothing else
weight = np.array([1.0, 2.0, 0.5, 1.0, 1.0, 2.0, 0.0, 0.0])
def weights_after_training(name):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((12, 12, 1)), keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile("sgd", loss=get(name), jit_compile=False)
    before = model.get_weights()
    model.fit(image, (image > 0.5).astype("uint8"), batch_size=4, verbose=0, shuffle=False, sample_weight=weight)
    return before, model.get_weights()
for name in LOSSES:
    before, one = weights_after_training(name)
    with strategy.scope():
        _, two = weights_after_training(name)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=name)
    assert name == "hausdorff_erosion" or max(abs(a - b).max() for a, b in zip(before, one)) > 1e-7, name
"""

LOADED = """
import sys
from pathlib import Path
import keras, numpy as np
from tfseg.losses import LOSSES  # what registers them
image = np.random.default_rng(0).random((2, 12, 12, 1), dtype="float32")
for path in sorted(Path(sys.argv[1]).iterdir()):
    loss = keras.saving.load_model(path).evaluate(image, (image > 0.5).astype("uint8"), verbose=0)
    np.testing.assert_allclose(loss, float(path.stem.split("@")[1]), rtol=1e-5, err_msg=path.stem)
"""

VALUES = """
import sys
import numpy as np
from tfseg.losses import LOSSES, get
stored = np.load(sys.argv[1])
np.savez(sys.argv[2], **{
    f"{kind}/{name}": np.asarray(get(name, reduction=None, ignore_label=9)(
        stored[f"{kind}/truth"], stored[f"{kind}/prediction"]))
    for kind in ("binary3d", "softmax2d") for name in LOSSES})
"""

JAX_GRADIENTS = """
import jax, numpy as np
from tfseg.losses import LOSSES, get
truth = np.zeros((2, 12, 12, 1), "float32")
truth[:, 3:8, 4:9] = 1
for name in LOSSES:
    step = jax.jit(jax.value_and_grad(lambda prediction: get(name)(truth, prediction)))
    for prediction in (truth, 1 - truth, 0 * truth, 0.1 + 0.8 * truth):
        value, gradient = step(prediction)
        assert np.isfinite(value) and np.isfinite(gradient).all(), name
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
    for name in LOSSES:
        loss = get(name)
        model.compile("sgd", loss=loss, jit_compile=False)
        model.save(tmp_path / f"{name}@{float(loss(truth, model(image)))!r}.keras")
    assert len(list(tmp_path.iterdir())) == len(LOSSES)
    run(LOADED, str(tmp_path))


def test_two_devices_train_as_one():
    run(TWO_DEVICES)


@needs_jax
def test_jax_gives_the_same_values(example, tmp_path):
    inputs: dict[str, np.ndarray] = {}
    for kind in ("binary3d", "softmax2d"):
        truth, prediction, _ = example(kind)
        inputs |= {f"{kind}/truth": np.where(truth[..., :1] + prediction[..., :1] > 1.8, 9, truth)}
        inputs |= {f"{kind}/prediction": prediction}
    np.savez(tmp_path / "inputs.npz", allow_pickle=False, **inputs)
    run(VALUES, str(tmp_path / "inputs.npz"), str(tmp_path / "values.npz"), backend="jax")
    with np.load(tmp_path / "values.npz") as values:
        for key, value in values.items():
            kind, name = key.split("/")
            loss = get(name, reduction=None, ignore_label=9)
            expected = loss(inputs[f"{kind}/truth"], inputs[f"{kind}/prediction"])
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6, err_msg=key)


@needs_jax
def test_gradients_under_jax_are_finite():
    run(JAX_GRADIENTS, backend="jax")
