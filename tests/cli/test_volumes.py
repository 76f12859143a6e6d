"""From scans to a report in 3D, by a change of the configuration."""

import json
import shutil

import keras
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from tfseg.cli.datasets import Source
from tfseg.cli.train import fit
from tfseg.config.config import load_config
from tfseg.config.yaml_files import read_yaml
from tfseg.core.errors import ConfigError
from tfseg.datasets.phantoms.stand_ins import STAND_INS

CONFIG = """
loss: {name: dice_ce}
model: {name: unet_3d, filters: 2, depth: 1}
training:
  input: {kind: patches, patch: [6, 16, 24], per_case: 3}
  augmentation: {flip: {axes: [anterior_posterior]}, rotate: {}, elastic: {}, noise: {probability: 1}}
  batch_size: 2
  epochs: 1
folds: {scheme: holdout, ratio: [2, 1, 3]}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "patches.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def run(decathlon, config, tmp_path_factory):
    out = tmp_path_factory.mktemp("volumes") / "run"
    fit(load_config(config), Source(data=decathlon), out, None, None, "tfseg fit")
    return out


def test_every_test_case_is_scored_and_predicted_on_its_scans_grid(run, decathlon):
    scores = pd.read_csv(run / "scores.csv")
    assert scores["case"].nunique() == 3
    assert not scores.duplicated(["case", "label", "metric"]).any()
    for path in run.glob("fold_*/predictions/*.nii.gz"):
        scan, prediction = nib.load(decathlon / "imagesTr" / path.name), nib.load(path)
        assert prediction.shape == scan.shape
        np.testing.assert_array_equal(prediction.affine, scan.affine)
    assert "unet_3d" in (run / "report.html").read_text()
    history = pd.read_csv(run / "fold_0" / "history.csv")
    assert history["steps"].tolist() == [3]  # two of three subjects, three patches each, two in a batch
    assert history[["loss", "val_loss", "val_dice"]].notna().all(axis=None)


def test_the_recipe_is_derived_for_volumes(run):
    recipe = read_yaml(run / "prepared" / "recipe.yaml")
    assert (recipe["spacing_mm"], recipe["axis"]) == ("own", "axial")  # the spacings agree


def test_the_config_holds_the_pooling_that_suits_the_spacing(run):
    """Slices 3 mm apart and pixels of 1 mm: the coarse axis is not halved."""
    assert read_yaml(run / "config.yaml")["model"]["pooling"] == [[1, 2, 2]]


def test_a_run_of_volumes_is_exported(run, tfseg, tmp_path):
    code, _, error = tfseg("export", run, "--fold", "0", "--out", tmp_path / "model")
    assert code == 0, error
    metadata = json.loads((tmp_path / "model" / "metadata.json").read_text())
    assert metadata["input"]["shape"] == ["batch", 6, 16, 24, 1]
    assert metadata["output"]["shape"] == ["batch", 6, 16, 24, 3]
    assert metadata["windows"]["overlap"] == 0.5
    image = np.random.default_rng(0).normal(size=(1, 6, 16, 24, 1)).astype("float32")
    served = tf.saved_model.load(tmp_path / "model").signatures["serving_default"](tf.constant(image))["probability"]
    own = keras.saving.load_model(run / "fold_0" / "best.keras")(image)
    np.testing.assert_allclose(served, own, atol=1e-5)


def test_prediction_gives_the_bits_of_the_fold_and_takes_the_flips_of_the_training(run, decathlon, tfseg, tmp_path):
    code, _, error = tfseg("predict", run, "--input", decathlon / "imagesTr", "--output", tmp_path / "out")
    assert code == 0, error
    written = list(run.glob("fold_*/predictions/*.nii.gz"))
    assert len(written) == 3
    for path in written:
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    scan = decathlon / "imagesTr" / "case_0.nii.gz"
    refused = ("--input", scan, "--output", tmp_path / "flipped", "--flip", "left-right")
    code, _, error = tfseg("predict", run, *refused)
    assert (code, error.count("\n"), "they saw anterior-posterior" in error) == (2, 1, True)


def test_a_patch_that_is_too_large_is_one_clear_line_before_training(run, config, tfseg, tmp_path):
    code, _, error = tfseg(
        *("fit", "--prepared", run / "prepared", "--config", config, "--out", tmp_path / "run"),
        *("--set", "training.input.patch=[6, 64, 64]"),
    )
    assert (code, error.count("\n")) == (2, 1)
    assert "training.input.patch: expected at most [16, 32, 32]" in error
    assert not (tmp_path / "run" / "fold_0").exists()


def test_scans_prepared_for_slices_are_reported_to_a_3d_training_alone(decathlon, config, tfseg, tmp_path):
    """The slices of one scan lie 5 mm apart, those of the others 3 mm."""
    shutil.copytree(decathlon, tmp_path / "data")
    for folder in ("imagesTr", "labelsTr"):
        path = tmp_path / "data" / folder / "case_0.nii.gz"
        scan = nib.load(path)
        array, affine = np.asarray(scan.dataobj), scan.affine @ np.diag([1, 1, 5 / 3, 1])
        nib.save(nib.Nifti1Image(array, affine), path)
    assert tfseg("prep", "--data", tmp_path / "data", "--out", tmp_path / "slices")[0] == 0
    assert tfseg("prep", "--data", tmp_path / "data", "--config", config, "--out", tmp_path / "volumes")[0] == 0
    for name, more, warned in (("slices", [config], True), ("volumes", [config], False), ("slices", [], False)):
        arguments = ["--prepared", tmp_path / name, *(word for each in more for word in ("--config", each))]
        code, printed, _ = tfseg("fit", *arguments, "--folds", 99, "--out", tmp_path / "run")
        assert (code, "slices lie 3 to 5 mm apart" in printed) == (2, warned)


def test_prep_draws_augmented_images(decathlon, config, tfseg, tmp_path):
    out, sheet = tmp_path / "prepared", tmp_path / "sheet.png"
    code, _, error = tfseg("prep", "--data", decathlon, "--out", out, "--config", config, "--show-augmented", sheet)
    assert code == 0, error
    page = np.asarray(Image.open(sheet).convert("L"))
    assert page.shape[0] > 500 and page.std() > 20
    none = ("--out", tmp_path / "none", "--show-augmented", tmp_path / "none.png")
    code, _, error = tfseg("prep", "--data", decathlon, *none)
    assert (code, error.count("\n")) == (2, 1)
    assert "no step in training.augmentation" in error
    assert not (tmp_path / "none").exists(), "it is refused before scans are prepared"


def test_volumes_are_searched_over(run, config, tfseg, tmp_path):
    (tmp_path / "space.yaml").write_text("training.learning_rate: {grid: [0.003]}\n")
    arguments = ("--prepared", run / "prepared", "--config", config, "--space", tmp_path / "space.yaml")
    code, _, error = tfseg("tune", *arguments, "--out", tmp_path / "sweep")
    assert code == 0, error
    for place in (tmp_path / "sweep", tmp_path / "sweep" / "best"):
        assert read_yaml(place / "config.yaml")["training"]["input"]["patch"] == [6, 16, 24]
    network = keras.saving.load_model(tmp_path / "sweep" / "best" / "fold_0" / "best.keras")
    assert network.input_shape == (None, 6, 16, 24, 1)


def test_head_phantoms_stand_in_for_scans_in_every_command(tfseg, tmp_path):
    """It fails at the number of folds, which is checked after the phantoms are prepared."""
    (tmp_path / "space.yaml").write_text("training.learning_rate: {grid: [0.003]}\n")
    for command in (["fit"], ["compare", "--losses", "dice,ce"], ["tune", "--space", tmp_path / "space.yaml"]):
        out = tmp_path / command[0]
        code, printed, error = tfseg(*command, "--phantoms", "head", "--folds", 99, "--out", out)
        assert (code, "99 folds need at least 99 subjects" in error) == (2, True)
        assert "synthetic healthy head subjects are used instead of scans" in printed
        labels = json.loads((out / "phantoms" / "dataset.json").read_text())["labels"]
        assert list(labels.values())[1:] == ["skin", "skull", "CSF", "grey_matter", "white_matter"]


def test_phantoms_stand_in_for_scans():
    with pytest.raises(ConfigError, match="--phantoms stands in for scans: leave out --data and --prepared"):
        Source(data="scans", phantoms=STAND_INS["head"])
    assert Source(phantoms=STAND_INS["head"]).is_phantoms
