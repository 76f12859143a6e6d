"""The SavedModel: the run's own predictions, in a process that cannot import tfseg."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tfseg.config import ConfigError
from tfseg.data.steps import Recipe
from tfseg.export import describe, export, preparation_steps
from tfseg.models import unet_2d
from tfseg.prediction import predict_slices
from tfseg.training.strategy import compiled_forward

WITHOUT_TFSEG = """
import sys
sys.modules["tfseg"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load("exported")
answer = model.signatures["serving_default"](tf.constant(np.load("image.npy")))
np.save("answer.npy", answer["probability"])
"""


@pytest.fixture
def networks(prepared, tmp_path):
    paths = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        paths.append(tmp_path / f"{seed}.keras")
        unet_2d(prepared.image_shape, prepared.targets.channels, filters=2, depth=2).save(paths[-1])
    return paths


@pytest.mark.parametrize("count", [1, 2])
def test_saved_model_gives_the_runs_own_predictions(networks, prepared, tmp_path, count):
    export(networks[:count], prepared, tmp_path / "exported", "run")
    image = prepared.cases_of(prepared.subjects[:1])[0].image[...]
    np.save(tmp_path / "image.npy", image)
    done = subprocess.run([sys.executable, "-c", WITHOUT_TFSEG], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    forwards = [compiled_forward(keras.saving.load_model(path)) for path in networks[:count]]
    own = np.mean([predict_slices(forward, image, 4) for forward in forwards], axis=0)
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), own, atol=1e-5)


def test_metadata_says_what_goes_in_and_what_comes_out(networks, prepared, tmp_path):
    metadata = json.loads((export(networks, prepared, tmp_path / "out", "run") / "metadata.json").read_text())
    assert metadata["input"]["shape"] == ["batch", 32, 32, 1]
    assert metadata["output"]["classes"] == ["background", "left", "right"]
    assert metadata["output"]["label_values"] == [0, 1, 2]
    assert metadata["networks"] == 2
    assert metadata["recipe"]["scaling"] == "zscore"


def test_metadata_of_one_label(prepared_one_label):
    output = describe(prepared_one_label, 1, "run")["output"]
    assert (output["activation"], output["classes"], output["label_values"]) == ("sigmoid", ["blob"], [1])
    assert output["decision"] == "foreground where the probability is at least 0.5"


def test_preparation_by_the_metadata_alone_gives_the_prepared_image(prepared, decathlon):
    """What `preparation` says in words, done here with NumPy and nibabel, is what the network was trained on."""
    import nibabel as nib

    steps = describe(prepared, 1, "run")["preparation"]
    assert [step.split()[0] for step in steps] == ["read", "per", "reorder", "take", "pad"]
    assert steps[3] == "take axial slices: rows along x, columns along y"
    image = nib.load(decathlon / "imagesTr" / "case_0.nii.gz").get_fdata(dtype=np.float32)
    image = (image - image.mean(dtype=np.float64)) / image.std(dtype=np.float64)
    slices = np.moveaxis(image, 2, 0)
    rows, columns = (32 - slices.shape[1]) // 2, (32 - slices.shape[2]) // 2
    padded = np.full((len(slices), 32, 32), image.min())
    padded[:, rows : rows + slices.shape[1], columns : columns + slices.shape[2]] = slices
    np.testing.assert_allclose(prepared.case("case_0").image[..., 0], padded, atol=1e-5)


def steps_of(recipe):
    return preparation_steps(SimpleNamespace(recipe=recipe.model_dump(mode="json"), folder=Path("prepared")))


def test_every_step_of_a_recipe_is_told():
    recipe = Recipe(
        axis="coronal", skull_strip="region", median_kernel=3, blur_mm=1.5, scaling="percentile", crop="body",
        spacing_mm=(1, None, 0.5), image_interpolation="linear", fit="stretch", size=(64, 32), slices=20,
    )  # fmt: skip
    assert steps_of(recipe) == [
        "read the volume with its scale factors applied, as float32",
        "find the brain (tfseg.data.skull_strip)",
        "median filter of 3×3 pixels per slice, borders repeated",
        "Gaussian blur of standard deviation 1.5 mm, borders repeated",
        "per channel, map percentiles 0.5 and 99.5 of the brain to 0 and 1, clipped",
        "outside the brain, set the least value inside",
        "crop to the box of the brain, 5 mm wider",
        "resample to 1 mm along x, 0.5 mm along z, by linear interpolation over the same extent, whole voxels",
        "reorder the voxels to RAS+ (x to the right, y to the front, z to the top of the patient)",
        "take coronal slices: rows along x, columns along z",
        "scale to 64×32 pixels and 20 slices, by linear interpolation over the same extent, whole voxels",
        "pad to 64×32 pixels and 20 slices, centred (the odd pixel at the end), with each channel's least value",
    ]


def test_a_window_is_told_with_its_bounds():
    steps = steps_of(Recipe(axis="axial", window_hu={"width": 300, "level": 150}, scaling="minmax", size=(16, 16)))
    assert steps[1] == "clip to [0.0, 300.0] Hounsfield units"
    assert steps[2] == "per channel, map [0.0, 300.0] to 0 and 1, clipped"


def test_an_existing_folder_is_refused(networks, prepared, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        export(networks, prepared, tmp_path / "out", "run")


def test_a_missing_network_is_named_and_nothing_is_left(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.keras"):
        export([tmp_path / "gone.keras"], prepared, tmp_path / "out", "run")
    assert list(tmp_path.iterdir()) == []
