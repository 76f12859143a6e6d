"""Regions that overlap, from the recipe through training and scores to the SavedModel's metadata."""

import json

import keras
import nibabel as nib
import numpy as np
import pytest

from tfseg.cli.datasets import Source
from tfseg.cli.train import fit
from tfseg.config.config import ScoringConfig, load_config
from tfseg.config.training import TrainingConfig
from tfseg.datasets.layouts import read_dataset
from tfseg.evaluation.networks import evaluate
from tfseg.prediction.description import describe, to_json
from tfseg.prediction.slices import SlicePredictor
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared
from tfseg.runs.folder import read_scores

REGIONS = {"both": ("left", "right"), "right": ("right",)}
SMALL = [
    *("model.filters=8", "model.depth=1", "model.dropout=[0.0,0.0]", "model.norm=instance"),
    *("training.batch_size=6", "folds={scheme: holdout, ratio: [3, 1, 2]}"),
]


@pytest.fixture(scope="module")
def prepared_regions(decathlon, tmp_path_factory):
    dataset, out = read_dataset(decathlon), tmp_path_factory.mktemp("prepared") / "regions"
    prepare_dataset(dataset, resolve(Recipe(regions=REGIONS), dataset), out)
    return Prepared(out)


@pytest.fixture(scope="module")
def run(prepared_regions, tmp_path_factory):
    """A run of one network, trained for 60 steps."""
    out = tmp_path_factory.mktemp("runs") / "regions"
    budget = ["training.epochs=3", "training.steps_per_epoch=20", "training.learning_rate=0.01"]
    config = load_config(None, [*SMALL, *budget, "loss=dice_bce"])
    fit(config, Source(prepared=prepared_regions.folder), out, None, None, "tfseg fit")
    return out


def test_a_network_has_a_sigmoid_for_each_region(run):
    model = keras.saving.load_model(run / "fold_0" / "best.keras", compile=False)
    assert model.output_shape[-1] == 2
    assert model.layers[-1].activation is keras.activations.sigmoid


def test_regions_are_scored_in_place_of_labels_and_learnt(run):
    scores = read_scores(run / "scores.csv")
    assert list(scores["label"].unique()) == ["both", "right"]
    dice = scores[scores["metric"] == "dice"].groupby("label")["value"].mean()
    # All taken for foreground, both would have 0.34 and right 0.19.
    assert dice.min() > 0.6


def test_what_is_written_are_labels_again(run, prepared_regions):
    paths = sorted(run.glob("fold_*/predictions/*.nii.gz"))
    (split,) = json.loads((run / "splits.json").read_text())
    tested = prepared_regions.index["subject"].isin(split["test"])
    assert [path.name.removesuffix(".nii.gz") for path in paths] == sorted(prepared_regions.index["case"][tested])
    found = [set(np.unique(np.asarray(nib.load(path).dataobj)).tolist()) for path in paths]
    assert set.union(*found) == {0, 1, 2}


def test_the_report_names_the_regions_in_its_tables_and_the_labels_beside_the_images(run, read_page):
    page = read_page((run / "report.html").read_text())
    rows = [row[0] for row in page.tables[0]]
    assert {"both", "right", "Mean"} <= set(rows)
    assert "left" not in rows
    assert "left" in " ".join(page.words)


def test_the_metadata_say_what_each_channel_is(prepared_regions):
    output = json.loads(to_json(describe(prepared_regions, TrainingConfig()), "run", 1))["output"]
    assert (output["shape"][-1], output["activation"]) == (2, "sigmoid")
    assert (output["regions"], output["region_values"]) == (["both", "right"], [[1, 2], [2]])


def test_a_network_that_knows_the_truth_scores_one_in_every_region(prepared_regions, tmp_path):
    (case,) = prepared_regions.cases_of(prepared_regions.subjects[:1])
    truth = prepared_regions.targets.encode(case.label).astype("float32")
    scores = evaluate(
        SlicePredictor(lambda image: truth, len(truth)), prepared_regions, [case], ScoringConfig(), tmp_path
    )
    values = scores.set_index(["label", "metric"])["value"]
    assert values["both", "dice"] == values["right", "dice"] == values["both", "nsd"] == 1
    voxels = np.bincount(np.asarray(case.label).ravel())
    assert values["both", "volume_truth_ml"] == pytest.approx((voxels[1] + voxels[2]) * 0.003)


def test_what_is_ignored_is_in_no_region(decathlon, tmp_path):
    """With `left` ignored, the region of both is `right` alone."""
    dataset = read_dataset(decathlon)
    recipe = Recipe(ignore=("left",), regions={"all": ("right",)})
    prepare_dataset(dataset, resolve(recipe, dataset), tmp_path / "prepared")
    prepared = Prepared(tmp_path / "prepared")
    (case,) = prepared.cases_of(prepared.subjects[:1])
    everywhere = np.ones((*case.label.shape, 1), "float32")
    scores = evaluate(
        SlicePredictor(lambda image: everywhere, len(everywhere)), prepared, [case], ScoringConfig(), tmp_path / "found"
    )
    values = scores.set_index(["label", "metric"])["value"]
    on_grid = case.grid.unpad(case.label)
    counted, right = int((on_grid != 255).sum()), int((on_grid == 1).sum())
    assert 0 < counted < on_grid.size
    assert values["all", "precision"] == pytest.approx(right / counted)
