"""`tfseg predict` with a run and what was exported from it: same answers, no leak, resumed, refused."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfseg.cli.datasets import Source
from tfseg.cli.train import fit
from tfseg.config.config import load_config
from tfseg.prediction.temperature import Temperature
from tfseg.training.strategy import threads_used

SMALL = [
    *("model.filters=2", "model.depth=1", "folds=2", "training.epochs=1", "training.batch_size=8"),
    "training.class_prior=false",  # after one epoch, a network that starts at the shares decides for background
]
SMALL += ["training.picture_every=null", "model.dropout=[0.2,0.2]", "scoring.postprocess=auto"]


@pytest.fixture(scope="module")
def run(decathlon, tmp_path_factory):
    """Two tiny networks, and a final one."""
    out = tmp_path_factory.mktemp("predict") / "run"
    config = load_config(None, [*SMALL, f"training.threads={threads_used()}"])
    fit(config, Source(data=decathlon), out, None, None, "tfseg fit", final=True)
    return out


def values(path):
    return np.asarray(nib.load(path).dataobj)


def fold_by_case(run):
    """Fold of each case, which are the subjects."""
    splits = json.loads((run / "splits.json").read_text())
    return {subject: fold for fold, split in enumerate(splits) for subject in split["test"]}


def test_a_training_scan_gives_the_bits_of_the_fold_that_tested_it(run, decathlon, tfseg, tmp_path):
    """By default, too, since only that fold has not seen it; a renamed and re-oriented scan counts as the same."""
    code, printed, error = tfseg("predict", run, "--input", decathlon / "imagesTr", "--output", tmp_path / "out")
    assert (code, error) == (0, "")
    table = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index("case")
    for case, fold in fold_by_case(run).items():
        written = run / f"fold_{fold}" / "predictions" / f"{case}.nii.gz"
        assert (tmp_path / "out" / written.name).read_bytes() == written.read_bytes()
        assert (table["networks"][case], table["out_of_sample"][case]) == (f"fold {fold}", "yes")
        assert f"{case}: the training scan of {case}, predicted by fold {fold}, which did not see it" in printed

    image = nib.load(decathlon / "imagesTr" / "case_3.nii.gz")
    turn = np.array([[2, 1], [0, -1], [1, 1]])
    (tmp_path / "in").mkdir()
    nib.save(image.as_reoriented(turn), tmp_path / "in" / "patient.nii.gz")
    code, printed, _ = tfseg("predict", run, "--input", tmp_path / "in", "--output", tmp_path / "turned")
    fold = fold_by_case(run)["case_3"]
    assert f"patient: the training scan of case_3, predicted by fold {fold}" in printed
    assert "unlike the training scans: stored as" in printed
    expected = nib.load(run / f"fold_{fold}" / "predictions" / "case_3.nii.gz").as_reoriented(turn)
    np.testing.assert_array_equal(values(tmp_path / "turned" / "patient.nii.gz"), np.asarray(expected.dataobj))

    other = 1 - fold
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "other", "--fold", other)
    assert "this result is not out of sample" in tfseg("predict", run, *arguments)[1]
    assert pd.read_csv(tmp_path / "other" / "predictions.csv")["out_of_sample"].tolist() == ["no"]


def test_a_command_that_finds_the_brain_runs_only_if_it_is_named(run, decathlon, tfseg, tmp_path):
    """A received recipe could name any program; this one copies the image, whose voxels above 0 are the brain."""
    command = "cp {image} {mask}"
    assert tfseg("export", run, "--out", tmp_path / "received")[0] == 0
    metadata = tmp_path / "received" / "metadata.json"
    about = json.loads(metadata.read_text())
    about["recipe"] |= {"skull_strip": "command", "skull_strip_command": command}
    metadata.write_text(json.dumps(about))
    scan = decathlon / "imagesTr" / "case_0.nii.gz"
    arguments = ("predict", tmp_path / "received", "--input", scan, "--output", tmp_path / "out")
    for trusted in ([], ["--trust", "cp"]):
        code, _, error = tfseg(*arguments, *trusted)
        assert (code, error.count("\n")) == (2, 1)
        assert f"its scans are prepared with the command '{command}'" in error and f"--trust '{command}'" in error
        assert not (tmp_path / "out").exists()
    code, _, error = tfseg(*arguments, "--trust", command)
    assert code == 0, error


@pytest.fixture(scope="module")
def new(decathlon, tmp_path_factory):
    """Two scans that no network has seen, and a third file that is no scan."""
    folder = tmp_path_factory.mktemp("new")
    for name, noise in (("a", 1), ("b", 2)):
        image = nib.load(decathlon / "imagesTr" / "case_0.nii.gz")
        array = image.get_fdata() + np.random.default_rng(noise).normal(0, 2, image.shape)
        nib.save(nib.Nifti1Image(array.astype(np.float32), image.affine), folder / f"{name}.nii.gz")
    (folder / "broken.nii.gz").write_bytes(b"nothing")
    return folder


def test_a_scan_that_fails_is_reported_and_the_others_are_done(run, new, tfseg, tmp_path):
    arguments = ("predict", run, "--input", new, "--output", tmp_path / "out")
    code, printed, error = tfseg(*arguments)
    assert code == 1
    assert error.startswith("tfseg: 1 of 3 scans failed: broken: ")
    assert len(error.strip().splitlines()) == 1
    assert "the largest scan, a (24×28×6), needs about" in printed
    assert pd.read_csv(tmp_path / "out" / "predictions.csv")["networks"].unique() == ["fold 0; fold 1"]

    before = (tmp_path / "out" / "a.nii.gz").stat().st_mtime_ns
    (tmp_path / "out" / "b.nii.gz").unlink()
    code, printed, _ = tfseg(*arguments)
    assert (code, "1 of 3 scans are predicted already" in printed) == (1, True)
    assert (tmp_path / "out" / "a.nii.gz").stat().st_mtime_ns == before
    assert (tmp_path / "out" / "b.nii.gz").is_file()


def test_a_folder_of_which_no_scan_can_be_predicted_is_left_as_it_was(run, new, tfseg, tmp_path):
    code, _, error = tfseg("predict", run, "--input", new / "broken.nii.gz", "--output", tmp_path / "out")
    assert (code, error.startswith("tfseg: 1 of 1 scans failed: broken: ")) == (1, True)
    assert not (tmp_path / "out").exists()


def test_what_is_unusual_in_files_is_reported_before_the_prediction(run, new, tfseg, tmp_path):
    scans = tmp_path / "in"
    scans.mkdir()
    scan = nib.load(new / "a.nii.gz")
    nib.save(scan, scans / "placed.nii.gz")
    scan.set_sform(None, 0)
    scan.set_qform(None, 0)
    nib.save(scan, scans / "lost.nii.gz")
    (scans / "notes.txt").touch()
    code, printed, _ = tfseg("predict", run, "--input", scans, "--output", tmp_path / "out")
    assert code == 0
    assert f"warning: {scans / 'lost.nii.gz'}: its header states no orientation" in printed
    assert f"warning: {scans}: 1 file is not read, not among the scans of this folder: notes.txt" in printed


def test_a_saved_model_gives_the_runs_probabilities(run, new, tfseg, tmp_path):
    assert tfseg("export", run, "--out", tmp_path / "model")[0] == 0
    for model, out in ((run, "run"), (tmp_path / "model", "saved")):
        arguments = ("--input", new / "a.nii.gz", "--output", tmp_path / out, "--probabilities", "float32")
        assert tfseg("predict", model, *arguments)[0] == 0
    own, saved = (values(tmp_path / out / "a_probability.nii.gz") for out in ("run", "saved"))
    np.testing.assert_allclose(saved, own, atol=1e-6)
    assert own.shape == (24, 28, 6, 3)
    masks = [values(tmp_path / out / "a.nii.gz") for out in ("run", "saved")]
    np.testing.assert_array_equal(*masks)

    metadata = tmp_path / "model" / "metadata.json"
    text = metadata.read_text()
    label = np.bincount(masks[0][masks[0] > 0]).argmax()
    rule = f"min:{json.loads(text)['output']['labels'][str(label)]}=1000000"
    metadata.write_text(json.dumps({**json.loads(text), "clean_up": rule}))
    assert tfseg("predict", tmp_path / "model", "--input", new / "a.nii.gz", "--output", tmp_path / "cleaned")[0] == 0
    np.testing.assert_array_equal(values(tmp_path / "cleaned" / "a.nii.gz"), np.where(masks[0] == label, 0, masks[0]))

    for change, message in (
        (lambda: metadata.write_text(text.replace('"version": 1', '"version": 9')), "expected version 1, received 9"),
        (metadata.unlink, "no metadata.json in it"),
    ):
        change()
        code, _, error = tfseg("predict", tmp_path / "model", "--input", new, "--output", tmp_path / "refused")
        assert (code, message in error) == (2, True)
    assert not (tmp_path / "refused").exists()


def test_a_run_that_lacks_a_fold_predicts_with_the_others_and_says_so(run, new, tfseg, tmp_path):
    part = shutil.copytree(run, tmp_path / "part")
    shutil.rmtree(part / "fold_1")
    for out, *fold in (("all",), ("one", "--fold", 0)):
        call = ("predict", part, "--input", new / "a.nii.gz", "--output", tmp_path / out, *fold)
        code, printed, error = tfseg(*call)
        assert (code, error) == (0, "")
        assert ("part: 1 of 2 folds are finished; only their networks predict" in printed) == (not fold)
    table = pd.read_csv(tmp_path / "all" / "predictions.csv")
    assert table["networks"].tolist() == ["fold 0"]


def test_a_damaged_saved_model_is_refused_in_one_line_before_anything_is_written(run, new, tfseg, tmp_path):
    whole = tmp_path / "whole"
    assert tfseg("export", run, "--out", whole, "--fold", 0)[0] == 0
    other = json.loads((whole / "metadata.json").read_text())
    other["output"]["labels"].popitem()
    for change, message in (
        (lambda model: (model / "saved_model.pb").write_bytes(b"damaged"), "not a readable SavedModel: Cannot parse"),
        (lambda model: shutil.rmtree(model / "variables"), "not a readable SavedModel: Unsuccessful"),
        (lambda model: (model / "metadata.json").write_text("[]"), "metadata.json: cannot be read"),
        (lambda model: (model / "metadata.json").write_text(json.dumps(other)), "as metadata.json says; found one"),
    ):
        model = shutil.copytree(whole, tmp_path / "model")
        change(model)
        code, printed, error = tfseg("predict", model, "--input", new, "--output", tmp_path / "out")
        assert (code, printed, message in error, len(error.strip().splitlines())) == (1, "", True, 1), error
        shutil.rmtree(model)
    assert not (tmp_path / "out").exists()


def test_flips_are_recorded_and_change_the_probabilities(run, new, tfseg, tmp_path):
    cells = [json.loads((run / f"fold_{fold}" / "fold.json").read_text()) for fold in range(2)]
    assert any(cell["clean_up"] for cell in cells)  # rules of one epoch of training; `fold_N/predictions` follow them
    written = []
    for out, flips in (("plain", ()), ("flipped", ("--flip", "left-right", "--force"))):
        arguments = ("--input", new / "a.nii.gz", "--output", tmp_path / out, "--probabilities", "float32", *flips)
        assert tfseg("predict", run, *arguments)[0] == 0
        written.append(values(tmp_path / out / "a_probability.nii.gz"))
    assert json.loads((tmp_path / "flipped" / "prediction.json").read_text())["flips"] == ["left-right"]
    assert np.abs(written[0] - written[1]).max() > 1e-4
    code, _, error = tfseg("predict", run, *arguments[:-3])
    assert (code, "holds a prediction with another prediction.json" in error) == (2, True)


def test_the_final_network_has_seen_all_subjects_and_has_no_score(run, decathlon, tfseg, tmp_path, read_page):
    assert json.loads((run / "final" / "final.json").read_text()) == {"epochs": 1, "subjects": 6}
    assert {path.name for path in (run / "final").iterdir()} >= {"best.keras", "history.csv", "final.json"}
    assert "it has no score of its own" in read_page((run / "report.html").read_text()).text
    assert "final" not in (run / "scores.csv").read_text()
    arguments = ("--input", decathlon / "imagesTr" / "case_0.nii.gz", "--output", tmp_path / "out", "--final")
    code, printed, _ = tfseg("predict", run, *arguments)
    assert (code, "not out of sample" in printed) == (0, True)
    assert tfseg("predict", run, *arguments, "--fold", 0)[0] == 2


def test_wrong_calls_are_refused_in_one_line(run, new, tfseg, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").touch()
    shutil.copy(new / "a.nii.gz", tmp_path / "full" / "a.nii")
    for code, message, *arguments in (
        (2, "holds files that are not a prediction's", run, "--input", new, "--output", tmp_path / "full"),
        (2, "expected labels of left, right, received liver", run, "--input", new, "--clean", "largest:liver"),
        (2, "--fold: expected one of 0, 1, received 7", run, "--input", new, "--fold", 7),
        (2, "never saw images mirrored left-right", run, "--input", new, "--flip", "left-right"),
        (2, "not a comparison", run, "--input", new, "--arm", "dice"),
        (2, "expected a run folder, a comparison or a SavedModel", new, "--input", new),
        (1, "no such file or folder", run, "--input", tmp_path / "gone"),
    ):
        out = [] if "--output" in arguments else ["--output", tmp_path / "out"]
        received, _, error = tfseg("predict", *arguments, *out)
        assert (received, message in error, len(error.strip().splitlines())) == (code, True, 1), error
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def plain_run(decathlon, tmp_path_factory):
    """Networks of another seed, without dropout."""
    out = tmp_path_factory.mktemp("plain") / "plain"
    settings = [*SMALL, f"training.threads={threads_used()}", "seed=1", "model.dropout=[0,0]"]
    fit(load_config(None, settings), Source(data=decathlon), out, None, None, "tfseg fit")
    return out


MAPS = ("entropy", "std", "mutual_information")


def maps(folder, case):
    images = [nib.load(folder / f"{case}_{name}.nii.gz") for name in MAPS]
    return np.stack([np.asarray(image.dataobj) for image in images])


def test_dropout_passes_give_maps_and_only_of_networks_that_have_not_seen_the_scan(run, decathlon, tfseg, tmp_path):
    """For a training scan the maps are those of its fold alone."""
    fold = fold_by_case(run)["case_3"]
    call = ("predict", run, "--input", decathlon / "imagesTr" / "case_3.nii.gz", "--mc-samples", 3)
    written = {}
    for name, *more in (("all",), ("again", "--class-std"), ("own", "--fold", fold), ("seed", "--seed", 1)):
        assert tfseg(*call, "--output", tmp_path / name, *more)[0] == 0
        written[name] = maps(tmp_path / name, "case_3")
    np.testing.assert_array_equal(written["own"], written["all"])
    np.testing.assert_array_equal(written["again"], written["all"])
    assert np.abs(written["seed"] - written["all"])[1].mean() > 1e-5
    assert written["all"][1].max() > 1e-3
    image, scan = (nib.load(path) for path in (tmp_path / "all" / "case_3_std.nii.gz", call[3]))
    assert (image.shape, image.get_data_dtype()) == (scan.shape, np.float32)
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-4)
    assert nib.load(tmp_path / "again" / "case_3_class_std.nii.gz").shape == (*scan.shape, 3)
    record = json.loads((tmp_path / "again" / "prediction.json").read_text())
    assert record["sampling"] == {"passes": 3, "seed": 0, "per_class": True}
    assert pd.read_csv(tmp_path / "all" / "predictions.csv")["networks"].tolist() == [f"fold {fold}"]


def test_mc_of_a_saved_model_gives_the_same_maps(run, new, tfseg, tmp_path):
    assert tfseg("export", run, "--out", tmp_path / "model", "--fold", 0)[0] == 0
    for out, *model in (("run", run, "--fold", 0), ("saved", tmp_path / "model")):
        arguments = ("--input", new / "a.nii.gz", "--output", tmp_path / out, "--mc-samples", 3)
        assert tfseg("predict", *model, *arguments)[::2] == (0, "")
    np.testing.assert_allclose(maps(tmp_path / "saved", "a"), maps(tmp_path / "run", "a"), atol=2e-5)


def test_several_seeds_are_an_ensemble_of_networks_that_have_not_seen_the_scan(
    run, plain_run, decathlon, tfseg, tmp_path
):
    """For a training scan the network of each run that had it as a test subject; half their difference is the SD."""
    scan = decathlon / "imagesTr" / "case_3.nii.gz"
    probabilities = []
    for each in (run, plain_run):
        arguments = ("--input", scan, "--output", tmp_path / each.name, "--probabilities", "float32")
        assert tfseg("predict", each, *arguments)[0] == 0
        probabilities.append(values(tmp_path / each.name / "case_3_probability.nii.gz"))
    arguments = ("--input", scan, "--output", tmp_path / "both", "--uncertainty")
    code, printed, error = tfseg("predict", run, plain_run, *arguments)
    assert (code, error) == (0, "")
    names = [f"{each.name}, fold {fold_by_case(each)['case_3']}" for each in (run, plain_run)]
    assert f"predicted by {', '.join(names)}, which did not see it" in printed
    spread = np.abs(probabilities[0][..., 0] - probabilities[1][..., 0]) / 2
    np.testing.assert_allclose(maps(tmp_path / "both", "case_3")[1], spread, atol=1e-6)


def test_what_cannot_be_drawn_is_refused_in_one_line(run, plain_run, new, decathlon, tfseg, tmp_path):
    assert tfseg("export", plain_run, "--out", tmp_path / "model")[0] == 0
    scan = decathlon / "imagesTr" / "case_3.nii.gz"
    for code, message, *arguments in (
        (2, "--mc-samples: expected 2 passes or more, received 1", run, "--mc-samples", 1),
        (2, "--class-std: expected --mc-samples or --uncertainty", run, "--class-std"),
        (2, "has no dropout, so all of its passes are the same", plain_run, "--mc-samples", 2),
        (2, "networks of several seeds: tfseg predict CMP --arm NAME --uncertainty", plain_run, "--mc-samples", 2),
        (2, "no signature mc", tmp_path / "model", "--mc-samples", 2),
        (2, "--uncertainty: expected several networks, received one, fold 0", run, "--fold", 0, "--uncertainty"),
        (2, "a SavedModel cannot be joined with other models", run, tmp_path / "model", "--uncertainty"),
        (1, "one network is no ensemble; use --mc-samples", run, "--uncertainty", "--input", scan),
    ):
        source = [] if "--input" in arguments else ["--input", new / "a.nii.gz"]
        received, _, error = tfseg("predict", *arguments, *source, "--output", tmp_path / "out")
        assert (received, message in error, len(error.strip().splitlines())) == (code, True, 1), error


def test_calibrated_probabilities_are_those_of_the_fold_scaled_by_its_temperature(run, decathlon, tfseg, tmp_path):
    """In a run and in an export of one network, which keeps the temperature; decisions stay as they are."""
    copied = shutil.copytree(run, tmp_path / "run")
    scan = decathlon / "imagesTr" / "case_3.nii.gz"
    fold = fold_by_case(run)["case_3"]
    call = ("--input", scan, "--probabilities", "float32", "--calibrated", "--output")
    code, _, error = tfseg("predict", copied, *call, tmp_path / "none")
    assert code == 2 and "--calibrated: no temperature of fold 0, fold 1" in error
    for number, temperature in enumerate((2.0, 3.0)):
        path = copied / f"fold_{number}" / "fold.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": [temperature]}))
    assert tfseg("export", copied, "--out", tmp_path / "model", "--fold", fold)[0] == 0
    assert tfseg("predict", run, *call[:4], "--output", tmp_path / "plain", "--fold", fold)[0] == 0
    plain = values(tmp_path / "plain" / "case_3_probability.nii.gz")
    expected = Temperature(((2.0, 3.0)[fold],), "softmax").apply(plain)
    for name, model in (("scaled", copied), ("saved", tmp_path / "model")):
        assert tfseg("predict", model, *call, tmp_path / name)[0] == 0, name
        found = values(tmp_path / name / "case_3_probability.nii.gz")
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)
    assert np.abs(expected - plain).max() > 0.01
