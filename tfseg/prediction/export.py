"""Export a run as SavedModel, LiteRT or ONNX, with a description of how to prepare an image for it."""

import importlib.util
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfseg.core import files
from tfseg.core.claims import claim_new
from tfseg.core.errors import ConfigError, RunError
from tfseg.datasets.grids import Array
from tfseg.models.imported import load_network
from tfseg.prediction.clean_up import CleanUp
from tfseg.prediction.description import METADATA, Description, to_json
from tfseg.prediction.dropout import dropout_passes, has_dropout
from tfseg.prediction.forward import Forward, compiled_forward, saved_model_forward
from tfseg.prediction.runtimes import litert_forward, onnx_forward
from tfseg.prediction.temperature import Temperature
from tfseg.prepared.boxes import cut, start_of
from tfseg.prepared.stored import Neighbouring, Slices

FORMATS = ("savedmodel", "litert", "onnx")
LITERT, ONNX = "model.tflite", "model.onnx"
# Largest difference of a probability between a file and the Keras networks.
TOLERANCE = {"savedmodel": 1e-6, "litert": 1e-4, "onnx": 1e-4}


def mean_network(paths: Sequence[Path], trusted: Collection[str] = ()) -> keras.Model:
    """Return one network from `image` to `probability`, the mean prediction of several `best.keras` files."""
    networks = [load_network(path, trusted) for path in paths]
    for number, network in enumerate(networks):
        network.name = f"network_{number}"  # names must be unique within a model
    image = keras.Input(networks[0].input_shape[1:], name="image")
    outputs = [network(image) for network in networks]
    mean = outputs[0] if len(outputs) == 1 else keras.layers.Average()(outputs)
    return keras.Model(image, {"probability": mean})


def write_export(
    networks: Sequence[Path],
    description: Description,
    out: Path,
    run: str,
    formats: Sequence[str] = ("savedmodel",),
    images: Array | None = None,
    clean: CleanUp | None = None,
    temperatures: Sequence[Temperature | None] = (),
    trusted: Collection[str] = (),
) -> dict[str, float]:
    """Write the mean of some networks in some formats, each checked against the networks by its own runtime.

    All take float32 `image` `[batch, *spatial, channels]`, prepared as `metadata.json` says, and return `probability`
    `[batch, *spatial, classes]`. The SavedModel's signature is `serving_default`; if the networks have dropout, its
    signature `mc` also takes `seed`, int32 `[batch, 2]`, and is one pass with dropout on.

    Args:
        networks: `best.keras` files of a run.
        description: what they expect.
        out: a new folder, for a SavedModel, `model.tflite`, `model.onnx` and `metadata.json`.
        run: the run's name, for the metadata.
        formats: of `FORMATS`.
        images: prepared images to check with, `[batch, *spatial, channels]`; not checked if absent.
        clean: rules for the label maps, for the metadata.
        temperatures: of the networks, for the metadata; the exported probabilities are not scaled.
        trusted: the functions that may be called to build imported networks, `package.module:function`.

    Returns:
        The largest difference of a probability, by format.

    Raises:
        ConfigError: if `out` exists, a format is unknown or cannot hold the network, or its packages are missing.
        RunError: if a network is missing or damaged, or an exported file gives other probabilities.
    """
    claim_new(out)
    check_formats(formats)
    if missing := [str(path) for path in networks if not path.is_file()]:
        raise RunError(f"no network to export: {', '.join(missing)}")
    differences = {}
    # A GPU rounds to fewer digits, and not twice alike, so files are made and checked on the CPU.
    with tf.device("CPU:0"), files.replacing(out) as unfinished:
        unfinished.mkdir()
        mean = mean_network(networks, trusted)
        for name in formats:
            _check_layers(mean, name)
        for name in formats:
            forward = _write(mean, name, unfinished)
            if images is not None:
                differences[name] = _difference(forward, mean, images, name)
        about = to_json(description, run, len(networks), clean, temperatures)
        (unfinished / METADATA).write_text(about, encoding="utf-8")
    return differences


def example_inputs(image: Slices, description: Description) -> Array:
    """Return inputs of a network from the middle of a prepared image: a batch of slices, or a window of a volume.

    Args:
        image: float32 `[slice, h, w, channels]`.
        description: of the network.
    """
    middle = len(image) // 2
    if description.by_slices:
        seen = Neighbouring(image, description.neighbours)
        return np.ascontiguousarray(seen[middle : middle + description.batch_size])
    centre = [length // 2 for length in image.shape[:3]]
    return cut(image, start_of(centre, description.shape, image.shape[:3]), description.shape)[np.newaxis]


def with_one_output(network: keras.Model) -> keras.Model:
    """Return the network with its probabilities as its output, not by name."""
    return keras.Model(network.input, network.output["probability"])


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats that are unknown, or whose packages are missing.

    Raises:
        ConfigError: with the known formats, or with how to install the packages.
    """
    needed = {"litert": ("ai_edge_litert",), "onnx": ("onnx", "tf2onnx", "onnxruntime")}
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"--format: expected {', '.join(FORMATS)}, received {name}")
        for package in needed.get(name, ()):
            if importlib.util.find_spec(package) is None:
                raise ConfigError(f"--format {name}: needs the package {package}; pip install 'tfseg[onnx]' brings it")


def _check_layers(network: keras.Model, name: str) -> None:
    """Refuse what a format cannot hold: LiteRT converts 3D max pooling without a word, and fails to load it."""
    layers = list(network._flatten_layers())
    if name == "litert" and any(isinstance(layer, keras.layers.MaxPooling3D) for layer in layers):
        raise ConfigError(
            "--format litert: LiteRT has no 3D max pooling; train with model.downsampling=strided_convolution"
        )
    mixed = {layer.compute_dtype for layer in layers} - {"float32", "int32", None}
    if name != "savedmodel" and mixed:
        raise ConfigError(
            f"--format {name}: cannot hold a network that computes in {', '.join(sorted(mixed))}; train with "
            "training.precision=float32"
        )


def _write(network: keras.Model, name: str, out: Path) -> Forward:
    if name == "savedmodel":
        _write_saved_model(network, out)
        return saved_model_forward(out, network.input_shape[-1], network.output["probability"].shape[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # converters warn about NumPy's names
        if name == "litert":
            network.export(out / LITERT, format="litert", verbose=False)
            return litert_forward(out / LITERT)
        network.export(out / ONNX, format="onnx", verbose=False)
        return onnx_forward(out / ONNX)


def _write_saved_model(network: keras.Model, out: Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(network)
    *sizes, channels = network.input_shape
    image = tf.TensorSpec([None] * len(sizes) + [channels], tf.float32, name="image")
    archive.add_endpoint("serve", lambda image: network(_of_its_size(network, image), training=False), [image])
    if has_dropout(network):
        seed = tf.TensorSpec([None, 2], tf.int32, name="seed")
        dropped = dropout_passes(network)
        archive.add_endpoint("mc", lambda image, seed: dropped(_of_its_size(network, image), seed), [image, seed])
    archive.write_out(out, verbose=False)


def _of_its_size(network: keras.Model, image: tf.Tensor) -> tf.Tensor:
    """Check an image's size; of another one than the network was trained on, a layer would fail without naming it."""
    return tf.ensure_shape(image, [None, *network.input_shape[1:]])


def _difference(forward: Forward, network: keras.Model, images: Array, name: str) -> float:
    """The largest difference between an exported file and the networks.

    Raises:
        RunError: if it is larger than `TOLERANCE`.
    """
    expected = compiled_forward(with_one_output(network))(images)
    difference = float(np.abs(forward(images) - expected).max())
    if not difference <= TOLERANCE[name]:
        raise RunError(f"--format {name}: its probabilities differ from the networks' by {difference:.2g}: not written")
    return difference
