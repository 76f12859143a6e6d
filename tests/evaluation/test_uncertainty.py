"""Calibration of networks that are known, for classes, one channel and regions, on the scan's own grid."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest

from tfseg.datasets.layouts import read_dataset
from tfseg.evaluation.temperature import validation_temperature
from tfseg.evaluation.uncertainty import CURVE_COLUMNS, Probabilities, measure_uncertainty
from tfseg.metrics import METRICS
from tfseg.prediction.temperature import Temperature
from tfseg.preparation.label_maps import IGNORED
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared


class Known:
    """Predicts known probabilities of these cases."""

    def __init__(self, answers):
        self.answers = {case.image[...].tobytes(): probabilities for case, probabilities in answers}

    def blocks(self, image):
        yield from np.array_split(self.answers[image[...].tobytes()], 2)


def hesitant(cases, targets, certainty):
    """A network that gives the truth this probability, and shares the rest among the other classes."""
    answers = []
    for case in cases:
        label = np.asarray(case.label)
        if targets.activation == "softmax":
            rest = (1 - certainty) / (targets.channels - 1)
            probabilities = np.where(label[..., np.newaxis] == np.arange(targets.channels), certainty, rest)
        else:
            probabilities = np.where(targets.encode(label) == 1, certainty, 1 - certainty)
        answers.append((case, probabilities.astype(np.float32)))
    return Known(answers)


@pytest.fixture(scope="module")
def prepared_regions(decathlon, tmp_path_factory):
    dataset = read_dataset(decathlon)
    recipe = Recipe(regions={"both": ("left", "right"), "right": ("right",)})
    out = tmp_path_factory.mktemp("prepared") / "regions"
    prepare_dataset(dataset, resolve(recipe, dataset), out)
    return Prepared(out)


@pytest.mark.parametrize("kind", ["prepared", "prepared_one_label", "prepared_regions"])
def test_a_network_that_is_right_and_hesitates_is_off_by_its_hesitation(kind, request, tmp_path):
    prepared = request.getfixturevalue(kind)
    targets, cases = prepared.targets, prepared.cases_of(prepared.subjects[:2])
    measured = measure_uncertainty(Probabilities(hesitant(cases, targets, 0.9)), prepared, cases, 3.0, maps=tmp_path)
    scores = measured.scores.set_index(["case", "label", "metric"])["value"].unstack()
    assert set(scores.index.get_level_values("label")) == set(targets.scored)
    assert set(scores.columns) <= set(METRICS)
    np.testing.assert_allclose(scores["ece_foreground"], 0.1, atol=1e-6)
    np.testing.assert_allclose(scores["nll_foreground"], -np.log(0.9), rtol=1e-5)
    np.testing.assert_allclose(scores["brier_foreground"], 0.01, rtol=1e-5)
    assert (scores["retention_dice"] == 1).all() and scores["error_auroc"].isna().all()
    written = nib.load(tmp_path / f"{cases[0].name}.nii.gz")
    assert written.shape == cases[0].grid.shape
    p = np.array([0.9, *[0.1 / (targets.channels - 1)] * (targets.channels - 1)]) if kind == "prepared" else None
    expected = targets.channels * (-0.9 * np.log(0.9) - 0.1 * np.log(0.1)) if p is None else -(p * np.log(p)).sum()
    assert written.get_fdata() == pytest.approx(expected, abs=0.006)


def test_the_mean_over_passes_and_the_scaled_network_stand_beside_the_plain_one(prepared, tmp_path):
    targets, cases = prepared.targets, prepared.cases_of(prepared.subjects[:2])
    sure, unsure = (hesitant(cases, targets, certainty) for certainty in (0.99, 0.8))
    sources = Probabilities(sure, lambda case: unsure, Temperature((2.0,), "softmax"))
    measured = measure_uncertainty(sources, prepared, cases, 3.0, tmp_path)
    ece = measured.scores.groupby("metric")["value"].mean()
    assert ece["ece_foreground"] < ece["ece_foreground_calibrated"] < ece["ece_foreground_dropout"]
    assert ece["ece_foreground_dropout"] == pytest.approx(0.2, abs=1e-6)
    assert "error_auroc_calibrated" not in ece.index
    curves = measured.curves
    assert list(curves.columns) == list(CURVE_COLUMNS)
    assert set(curves["source"]) == {"plain", "dropout", "calibrated"}
    assert set(curves.loc[curves["source"] == "calibrated", "curve"]) == {"reliability"}
    voxels = curves[(curves["label"] == "left") & (curves["case"] == cases[0].name)].groupby(["source", "curve"])
    assert voxels["voxels"].sum()["plain", "reliability"] == voxels["voxels"].sum()["dropout", "entropy"] > 0


def test_unknown_voxels_are_not_measured(prepared_one_label, tmp_path):
    case = prepared_one_label.cases_of(prepared_one_label.subjects[:1])[0]
    label = np.asarray(case.label).copy()
    wrong = np.full((*label.shape, 1), 0.9, np.float32)
    wrong[label == 1] = 0.8
    label[label == 0] = IGNORED
    marked = dataclasses.replace(case, label=label)
    measured = measure_uncertainty(Probabilities(Known([(marked, wrong)])), prepared_one_label, [marked], 3.0, tmp_path)
    scores = measured.scores.set_index("metric")["value"]
    assert scores["ece_volume"] == pytest.approx(0.2, abs=1e-6), "background is unknown here"


def test_a_temperature_is_that_of_the_validation_voxels(prepared, prepared_one_label):
    for each in (prepared, prepared_one_label):
        cases = each.cases_of(each.subjects[:1])
        hidden = [dataclasses.replace(case, label=np.array(case.label)) for case in cases]
        rng = np.random.default_rng(0)
        for case in hidden:  # a fifth of the labels is not what the network says with 99 %
            drawn = rng.random(case.label.shape) < 0.2
            case.label[drawn] = rng.integers(0, 1 + len(each.labels), drawn.sum())
        network = hesitant(cases, each.targets, 0.99)
        fitted = validation_temperature(network, each.targets, hidden, per_class=False)
        right = np.mean([(np.asarray(a.label) == b.label).mean() for a, b in zip(cases, hidden, strict=True)])
        scaled = fitted.apply(next(network.blocks(cases[0].image))[:1])
        assert scaled.max() == pytest.approx(right, abs=0.02)
