"""Export a run as a SavedModel, with a description of how to prepare an image for it."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

import tfseg
from tfseg.config.config import validate
from tfseg.config.training import InputConfig
from tfseg.core import files
from tfseg.core.claims import claim_new
from tfseg.core.errors import RunError
from tfseg.preparation.instructions import preparation_steps, restoration_steps
from tfseg.preparation.steps import Recipe
from tfseg.prepared.inputs import input_shape
from tfseg.prepared.prepared import Prepared
from tfseg.prepared.targets import THRESHOLD, Targets

METADATA = "metadata.json"


def mean_network(paths: Sequence[Path]) -> keras.Model:
    """Return one network from `image` to `probability`, the mean prediction of several `best.keras` files."""
    networks = [_load(path) for path in paths]
    for number, network in enumerate(networks):
        network.name = f"network_{number}"  # names must be unique within a model
    image = keras.Input(networks[0].input_shape[1:], name="image")
    outputs = [network(image) for network in networks]
    mean = outputs[0] if len(outputs) == 1 else keras.layers.Average()(outputs)
    return keras.Model(image, {"probability": mean})


def write_saved_model(networks: Sequence[Path], prepared: Prepared, out: Path, run: str, seen: InputConfig) -> Path:
    """Write a SavedModel of the mean of some networks, which `tf.saved_model.load` runs without tfseg.

    Its `serving_default` takes float32 `image` `[batch, *spatial, channels]`, prepared as `metadata.json` says, and
    returns `probability` `[batch, *spatial, classes]`: of slices, or of windows of a volume.

    Args:
        networks: `best.keras` files of a run.
        prepared: the folder that they were trained on.
        out: a new folder.
        run: the run's name, for the metadata.
        seen: what the networks see.

    Raises:
        ConfigError: if `out` exists.
        RunError: if a network is missing or damaged.
    """
    claim_new(out)
    if missing := [str(path) for path in networks if not path.is_file()]:
        raise RunError(f"no network to export: {', '.join(missing)}")
    mean = mean_network(networks)
    with files.replacing(out) as unfinished:
        archive = keras.export.ExportArchive()
        archive.track(mean)
        *sizes, channels = mean.input_shape
        image = tf.TensorSpec([None] * len(sizes) + [channels], tf.float32, name="image")
        archive.add_endpoint("serve", lambda image: _of_its_size(mean, image), [image])
        archive.write_out(str(unfinished), verbose=False)
        metadata = json.dumps(describe(prepared, len(networks), run, seen), indent=1)
        (unfinished / METADATA).write_text(metadata, encoding="utf-8")
    return out


def _of_its_size(network: keras.Model, image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Predict an image; of another size than the network was trained on, a layer would fail without naming a size."""
    output: dict[str, tf.Tensor] = network(tf.ensure_shape(image, [None, *network.input_shape[1:]]), training=False)
    return output


def _load(network: Path) -> keras.Model:
    with files.reading(network):
        return keras.saving.load_model(network, compile=False)


def describe(prepared: Prepared, networks: int, run: str, seen: InputConfig) -> dict[str, object]:
    """Return what a user of the SavedModel must know: how to prepare an image, the output, and how to put it back."""
    *spatial, channels = input_shape(seen, prepared)
    targets = prepared.targets
    recipe = validate(Recipe, prepared.recipe, str(prepared.folder / "recipe.yaml"))
    return {
        "made_by": f"tfseg {tfseg.__version__}",
        "run": run,
        "networks": networks,
        "input": {
            "name": "image",
            "dtype": "float32",
            "shape": ["batch", *spatial, channels],
            "channels": list(prepared.channels),
        },
        "output": {
            "name": "probability",
            "dtype": "float32",
            "shape": ["batch", *spatial, targets.channels],
            "activation": targets.activation,
            **_channels_of(targets),
        },
        **({} if seen.kind == "slices" else {"windows": _windows(seen)}),
        "preparation": preparation_steps(recipe, prepared.in_pixels),
        "restoration": restoration_steps(recipe, prepared.in_pixels),
        "recipe": prepared.recipe,
    }


def _windows(seen: InputConfig) -> dict[str, object]:
    """Return how a volume, of slices by rows by columns, is covered by windows of the input's shape."""
    return {
        "overlap": seen.overlap,
        "starts": "along each axis from 0 to the last place, evenly, as few as leave this share of a side in common",
        "weights": "a Gaussian of standard deviation side/8 along each axis, divided by the sum over all windows",
        "padding": "a shorter volume lies in the middle of the window; around it, each channel's least value there",
    }


def _channels_of(targets: Targets) -> dict[str, object]:
    """Return what the channels mean, and how label values are decided from them."""
    if targets.regions:
        return {
            "regions": list(targets.regions),
            "labels": {str(value): name for value, name in targets.labels.items()},
            "region_values": [list(values) for values in targets.regions.values()],
            "decision": "the label whose regions have the largest sum of log(p / (1 - p)); 0 if no sum is above 0",
        }
    if targets.channels == 1:
        decision = f"foreground if the probability is at least {THRESHOLD}"
        return {"classes": list(targets.labels.values()), "label_values": list(targets.labels), "decision": decision}
    return {
        "classes": ["background", *targets.labels.values()],
        "label_values": [0, *targets.labels],
        "decision": "the largest channel",
    }
