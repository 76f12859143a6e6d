"""Handing a run over as a SavedModel, with a page that says how to prepare an image for it."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

import tfseg
from tfseg import files
from tfseg.config import ConfigError, validate
from tfseg.data.prepared import Prepared
from tfseg.data.steps import Recipe
from tfseg.data.targets import THRESHOLD, Targets

METADATA = "metadata.json"
WHERE = {"volume": "the whole volume", "nonzero": "the voxels that are not 0", "body": "the body"}


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
    targets = prepared.targets
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
            "shape": ["batch", height, width, targets.channels],
            "activation": targets.activation,
            **_channels_of(targets),
        },
        "preparation": preparation_steps(prepared),
        "recipe": prepared.recipe,
    }


def _channels_of(targets: Targets) -> dict[str, object]:
    """What the channels are, and how label values are decided from them."""
    if targets.regions:
        return {
            "regions": list(targets.regions),
            "label_values": [list(values) for values in targets.regions.values()],
            "decision": "of 0 and the label values, the one whose regions have the largest sum of log(p / (1 - p))",
        }
    if targets.channels == 1:
        decision = f"foreground where the probability is at least {THRESHOLD}"
        return {"classes": list(targets.labels.values()), "label_values": list(targets.labels), "decision": decision}
    return {
        "classes": ["background", *targets.labels.values()],
        "label_values": [0, *targets.labels],
        "decision": "the largest channel",
    }


def preparation_steps(prepared: Prepared) -> list[str]:
    """Return the preparation of an image as sentences, in order."""
    recipe = validate(Recipe, prepared.recipe, str(prepared.folder / "recipe.yaml"))
    return [*_intensity_steps(recipe), *_geometry_steps(recipe)]


def _intensity_steps(recipe: Recipe) -> list[str]:
    over = {"volume": "the whole volume", "nonzero": "the voxels that are not 0", "body": "the body"}[
        recipe.scaling_over
    ]
    if recipe.skull_strip != "none":
        over = "the brain"
    window = list(recipe.window_hu or ())
    low, high = recipe.scaling_percentiles
    kernel = recipe.median_kernel
    scaling = {
        "zscore": f"per channel, subtract the mean and divide by the standard deviation of {over}",
        "minmax": f"per channel, map {window or f'the least and greatest value of {over}'} to 0 and 1, clipped",
        "percentile": f"per channel, map percentiles {low:g} and {high:g} of {over} to 0 and 1, clipped",
    }
    brain = {
        "region": "find the brain (tfseg.data.skull_strip)",
        "mask": f"take the brain mask {recipe.skull_strip_mask}",
        "command": f"find the brain by: {recipe.skull_strip_command}",
    }
    steps = [
        "read the volume with its scale factors applied, as float32",
        f"clip to {window} Hounsfield units" if window else "",
        brain.get(recipe.skull_strip, "find the body (tfseg.data.body)" if recipe.needs_body else ""),
        f"median filter of {kernel}×{kernel} pixels per slice, borders repeated" if kernel else "",
        f"Gaussian blur of standard deviation {recipe.blur_mm:g} mm, borders repeated" if recipe.blur_mm else "",
        scaling.get(str(recipe.scaling), "intensities stay as they are"),
        f"outside {over}, set the least value inside" if over != "the whole volume" else "",
    ]
    return [step for step in steps if step]


def _geometry_steps(recipe: Recipe) -> list[str]:
    height, width = recipe.size or (0, 0)
    first, second = {"sagittal": ("y", "z"), "coronal": ("x", "z"), "axial": ("x", "y")}[str(recipe.axis)]
    box = (
        "the voxels that are not 0"
        if recipe.crop == "nonzero"
        else "the brain"
        if recipe.skull_strip != "none"
        else "the body"
    )
    spacings = zip("xyz", [] if isinstance(recipe.spacing_mm, str) else recipe.spacing_mm, strict=False)
    spacing = ", ".join(f"{step:g} mm along {name}" for name, step in spacings if step)
    how = f"by {recipe.image_interpolation} interpolation over the same extent, whole voxels"
    slices = f" and {recipe.slices} slices" if recipe.slices else ""
    fits = {
        "resize": f"scale rows and columns alike until they fit {height}×{width} pixels, {how}",
        "stretch": f"scale to {height}×{width} pixels{slices}, {how}",
    }
    steps = [
        f"crop to the box of {box}, {recipe.crop_margin_mm:g} mm wider" if recipe.crop != "none" else "",
        f"resample to {spacing}, {how}" if spacing else "",
        "reorder the voxels to RAS+ (x to the right, y to the front, z to the top of the patient)",
        f"take {recipe.axis} slices: rows along {first}, columns along {second}",
        fits.get(recipe.fit, ""),
        f"pad to {height}×{width} pixels{slices}, centred (the odd pixel at the end), with each channel's least value",
    ]
    return [step for step in steps if step]
