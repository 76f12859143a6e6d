"""Scores on the scan's own grid."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest

from tfseg.config.config import ScoringConfig
from tfseg.core.errors import ConfigError
from tfseg.datasets.layouts import read_dataset
from tfseg.evaluation.networks import diagonals_mm, evaluate
from tfseg.evaluation.scored import scored_labels
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared


class Known:
    """Predicts known probabilities of these cases."""

    def __init__(self, answers):
        self.answers = {case.image[...].tobytes(): probabilities for case, probabilities in answers}

    def blocks(self, image):
        yield self.answers[image[...].tobytes()]


def truthful(cases, classes):
    """A network that knows the truth of these cases."""
    return Known([(case, np.eye(classes, dtype="float32")[case.label]) for case in cases])


def test_a_perfect_network_scores_one_everywhere(prepared, decathlon, tmp_path):
    cases = prepared.cases_of(prepared.subjects[:2])
    scores = evaluate(truthful(cases, 3), prepared, cases, ScoringConfig(), predictions=tmp_path)
    assert scores.groupby("case").ngroups == 2
    assert (scores.loc[scores["metric"].isin(["dice", "iou", "nsd"]), "value"] == 1).all()
    assert (scores.loc[scores["metric"].isin(["hd", "hd95", "assd"]), "value"] == 0).all()
    for source in read_dataset(decathlon).cases[:2]:
        written, truth = nib.load(tmp_path / f"{source.name}.nii.gz"), nib.load(source.label)
        np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(truth.dataobj))
        np.testing.assert_allclose(written.affine, truth.affine)


def test_the_background_is_scored_if_asked_for(prepared, tmp_path):
    """The share of right voxels agrees with the accuracies of all classes."""
    case = prepared.case(prepared.index["case"].iloc[0])
    wrong = np.array(case.label)
    wrong[tuple(np.argwhere(wrong > 0)[::7].T)] = 0
    answer = np.eye(3, dtype="float32")[wrong]
    scores = evaluate(Known([(case, answer)]), prepared, [case], ScoringConfig(background=True), predictions=tmp_path)
    values = scores.set_index(["label", "metric"])["value"]
    names = scored_labels(prepared, ScoringConfig(background=True))
    assert names == ["background", *prepared.labels.values()]
    wrong_voxels = 1 - values["all voxels", "global_accuracy"]
    assert wrong_voxels > 0
    # Every wrong voxel is a false negative of one class and a false positive of another.
    assert sum(1 - values[name, "accuracy"] for name in names) == pytest.approx(2 * wrong_voxels)


def test_a_background_beside_a_label_of_this_name_is_refused(prepared):
    prepared = Prepared(prepared.folder)
    prepared.labels = {1: "background", 2: "liver"}
    with pytest.raises(ConfigError, match=r"scoring\.background: expected labels without one; .* a label called"):
        scored_labels(prepared, ScoringConfig(background=True))


def test_volumes_are_those_of_the_file(prepared, decathlon, tmp_path):
    source = read_dataset(decathlon).cases[0]
    case = prepared.case(source.name)
    scores = evaluate(truthful([case], 3), prepared, [case], ScoringConfig(), predictions=tmp_path)
    truth = nib.load(source.label)
    voxel_ml = abs(np.linalg.det(truth.affine[:3, :3])) / 1000
    for value, name in prepared.labels.items():
        row = scores[(scores["label"] == name) & (scores["metric"] == "volume_truth_ml")]
        assert row["value"].item() == pytest.approx((np.asarray(truth.dataobj) == value).sum() * voxel_ml)


def test_a_network_on_2d_images_is_scored_in_the_plane(tmp_path, save_image_2d):
    """Two discs of radius 20, 4 pixels apart."""
    x, y = np.mgrid[:64, :64]
    truth, shifted = (((x - 30 - shift) ** 2 + (y - 32) ** 2 <= 20**2).astype(np.uint8) for shift in (0, 4))
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    save_image_2d(tmp_path / "data" / "images" / "a.png", pixels)
    save_image_2d(tmp_path / "data" / "masks" / "a.png", truth)
    dataset = read_dataset(tmp_path / "data")
    prepare_dataset(dataset, resolve(Recipe(), dataset), tmp_path / "prepared")
    prepared = Prepared(tmp_path / "prepared")
    case = prepared.case("a")
    answer = case.grid.to_slices(shifted.T[..., np.newaxis].astype(np.float32))[..., np.newaxis]
    scores = evaluate(Known([(case, answer)]), prepared, [case], ScoringConfig(), predictions=tmp_path / "predictions")
    values = scores.set_index("metric")["value"]
    assert (values["hd95"], round(values["assd"], 2), round(values["nsd"], 2)) == (4, 2.39, 0.23)
    assert diagonals_mm([case])["a"] == pytest.approx(64 * 2**0.5)


def test_resampled_scans_are_scored_against_the_label_as_it_was(decathlon, tmp_path):
    dataset = read_dataset(decathlon)
    dataset = dataclasses.replace(dataset, cases=dataset.cases[:1])
    prepare_dataset(dataset, resolve(Recipe(spacing_mm=(2, 1.5, 2)), dataset), tmp_path / "prepared")
    prepared = Prepared(tmp_path / "prepared")
    cases = prepared.cases_of(prepared.subjects)
    scores = evaluate(truthful(cases, 3), prepared, cases, ScoringConfig(), predictions=tmp_path / "predictions")
    label = nib.load(dataset.cases[0].label)
    voxels = np.bincount(np.asarray(label.dataobj).ravel())
    values = scores.set_index(["label", "metric"])["value"]
    for value, name in prepared.labels.items():
        assert values[name, "volume_truth_ml"] == pytest.approx(voxels[value] * 0.003)
        assert 0.9 < values[name, "dice"] < 1
        assert values[name, "hd"] <= 3.01
    assert nib.load(tmp_path / "predictions" / f"{cases[0].name}.nii.gz").shape == label.shape


def test_scores_on_the_prepared_grid_stand_beside_those_on_the_scans_own(decathlon, tmp_path):
    """A network that is wrong by one column of the prepared slices."""
    dataset = read_dataset(decathlon)
    dataset = dataclasses.replace(dataset, cases=dataset.cases[:1])
    prepare_dataset(dataset, resolve(Recipe(spacing_mm=(2, 1.5, 2)), dataset), tmp_path / "prepared")
    prepared = Prepared(tmp_path / "prepared")
    case = prepared.cases_of(prepared.subjects)[0]
    wrong = np.roll(np.asarray(case.label), 1, axis=2)
    network = Known([(case, np.eye(3, dtype="float32")[wrong])])
    scores = evaluate(network, prepared, [case], ScoringConfig(prepared_grid=True), predictions=tmp_path / "masks")
    values = scores.set_index(["label", "metric"])["value"]
    _, rows_mm, columns_mm = case.grid.slice_spacing_mm
    assert (rows_mm, columns_mm) != tuple(np.asarray(case.grid.spacing_mm)[1:])
    for index, name in enumerate(prepared.labels.values(), start=1):
        truth, found = np.asarray(case.label) == index, wrong == index
        assert values[name, "dice_prepared"] == pytest.approx(2 * (truth & found).sum() / (truth.sum() + found.sum()))
        assert values[name, "hd_prepared"] == pytest.approx(columns_mm)
        assert values[name, "dice_prepared"] != values[name, "dice"]
    assert {name.removesuffix("_prepared") for _, name in values.index if name.endswith("_prepared")} == {
        *("dice", "iou", "precision", "recall", "specificity", "accuracy", "hd", "hd95", "assd", "masd", "nsd")
    }


def test_diagonals(prepared):
    case = prepared.cases_of(prepared.subjects[:1])[0]
    sides = np.multiply(case.grid.shape, case.grid.spacing_mm)
    assert diagonals_mm([case])[case.name] == pytest.approx(np.sqrt((sides**2).sum()))


def test_2d_images_are_scored_in_pixels_and_have_no_volume(prepared, tmp_path):
    case = dataclasses.replace(prepared.cases_of(prepared.subjects[:1])[0], in_pixels=True)
    shifted = np.eye(3, dtype="float32")[np.roll(case.label, 2, axis=1)]
    scores = evaluate(Known([(case, shifted)]), prepared, [case], ScoringConfig(), tmp_path)
    values = scores.set_index(["label", "metric"])["value"]
    assert values["left", "hd"] == 2  # of voxels of 1×1×3 mm
    assert np.isnan(values["left", "volume_truth_ml"])
    case = dataclasses.replace(case, in_pixels=False)
    shifted = np.eye(3, dtype="float32")[np.roll(case.label, 1, axis=0)]
    scores = evaluate(Known([(case, shifted)]), prepared, [case], ScoringConfig(), tmp_path)
    millimetres = scores.set_index(["label", "metric"])["value"]
    assert millimetres["left", "hd"] == 3
