"""Handing a run over as a SavedModel, with a page that says how to prepare an image for it."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

import tfseg
from tfseg import files
from tfseg.config import ConfigError
from tfseg.data.prepared import Prepared
from tfseg.prediction import THRESHOLD

METADATA = "metadata.json"


class MeanNetwork(tf.Module):
    """The mean probability of several networks, servable on one tensor `[batch, h, w, channels]`."""

    def __init__(self, networks: Sequence[keras.Model]) -> None:
        super().__init__()
        self.networks = list(networks)
        # Tracked by TensorFlow, so that the SavedModel holds them.
        self.weights = [weight.value for network in self.networks for weight in network.weights]
        signature = tf.TensorSpec([None, *self.networks[0].input_shape[1:]], tf.float32, name="image")
        self.serve = tf.function(self._serve, input_signature=[signature], autograph=False)

    def _serve(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = [network(image, training=False) for network in self.networks]
        return {"probability": tf.add_n(outputs) / len(outputs)}


def export(networks: Sequence[Path], prepared: Prepared, out: Path, run: str) -> Path:
    """Write a SavedModel of the mean of some networks, which `tf.saved_model.load` runs without tfseg.

    Its `serving_default` takes float32 `image` `[batch, h, w, channels]`, prepared as `metadata.json` says, and
    gives `probability` `[batch, h, w, classes]`.

    Args:
        networks: `best.keras` files of a run.
        prepared: what they were trained on.
        out: a new folder.
        run: the run's name, for the metadata.

    Raises:
        ConfigError: where `out` exists.
        FileNotFoundError: where a network is not there.
    """
    if out.exists():
        raise ConfigError(f"{out} exists; choose a new folder with --out")
    if missing := [str(path) for path in networks if not path.is_file()]:
        raise FileNotFoundError(f"no network to export: {', '.join(missing)}")
    mean = MeanNetwork([keras.saving.load_model(path, compile=False) for path in networks])
    with files.replacing(out) as unfinished:
        tf.saved_model.save(mean, str(unfinished), signatures={"serving_default": mean.serve})
        metadata = json.dumps(describe(prepared, len(networks), run), indent=1)
        (unfinished / METADATA).write_text(metadata, encoding="utf-8")
    return out


def describe(prepared: Prepared, networks: int, run: str) -> dict[str, object]:
    """Return what a user of the SavedModel must know: the image it expects, step by step, and what it answers."""
    height, width, channels = prepared.image_shape
    one_class = prepared.classes == 1
    classes = list(prepared.labels.values()) if one_class else ["background", *prepared.labels.values()]
    values = list(prepared.labels) if one_class else [0, *prepared.labels]
    decision = f"foreground where the probability is at least {THRESHOLD}" if one_class else "the largest channel"
    return {
        "made_by": f"tfseg {tfseg.__version__}",
        "run": run,
        "networks": networks,
        "input": {
            "name": "image",
            "dtype": "float32",
            "shape": ["batch", height, width, channels],
            "channels": list(prepared.channels),
        },
        "output": {
            "name": "probability",
            "dtype": "float32",
            "shape": ["batch", height, width, prepared.classes],
            "activation": "sigmoid" if one_class else "softmax",
            "classes": classes,
            "label_values": values,
            "decision": decision,
        },
        "preparation": preparation_steps(prepared),
        "recipe": prepared.recipe,
    }


def preparation_steps(prepared: Prepared) -> list[str]:
    """Return the preparation of an image as sentences, in order."""
    recipe = prepared.recipe
    height, width = recipe["size"]
    over = {"volume": "the whole volume", "nonzero": "the voxels that are not 0"}[recipe["scaling_over"]]
    if recipe["skull_strip"] == "region":
        over = "the brain"
    slope = recipe["window_hu"] or f"the least and greatest value of {over}"
    scaling = {
        "zscore": f"per channel, subtract the mean and divide by the standard deviation of {over}",
        "minmax": f"per channel, map {slope} to 0 and 1, clipped",
        "none": "intensities stay as they are",
    }[recipe["scaling"]]
    first, second = {"sagittal": ("y", "z"), "coronal": ("x", "z"), "axial": ("x", "y")}[recipe["axis"]]
    steps = [
        "read the volume with its scale factors applied, as float32",
        f"clip to {recipe['window_hu']} Hounsfield units" if recipe["window_hu"] else "",
        "find the brain (tfseg.data.skull_strip)" if recipe["skull_strip"] == "region" else "",
        f"median filter of {recipe['median_kernel']}×{recipe['median_kernel']} pixels per slice, borders repeated"
        if recipe["median_kernel"]
        else "",
        scaling,
        f"outside {over}, set the least value inside" if over != "the whole volume" else "",
        "reorder the voxels to RAS+ (x to the right, y to the front, z to the top of the patient)",
        f"take {recipe['axis']} slices: rows along {first}, columns along {second}",
        f"pad to {height}×{width} pixels, centred (the odd pixel at the end), with each channel's least value",
    ]
    return [step for step in steps if step]
