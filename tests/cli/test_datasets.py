"""The commands that look at scans and prepare them, as a user calls them, in this process."""

import shutil
from collections import Counter

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from tfseg.core.claims import locked
from tfseg.datasets import formats
from tfseg.prepared.prepared import Prepared


@pytest.fixture
def damaged(decathlon, tmp_path):
    """Six cases, the third with an image that is cut short."""
    shutil.copytree(decathlon, tmp_path / "data")
    image = tmp_path / "data" / "imagesTr" / "case_2.nii.gz"
    image.write_bytes(image.read_bytes()[:-2000])
    return tmp_path / "data"


@pytest.fixture
def manifest(decathlon, tmp_path):
    """Writes a manifest of the six cases with further columns."""

    def write(**columns):
        cases = [f"case_{number}" for number in range(6)]
        table = {"subject": cases}
        for column, folder in (("image", "imagesTr"), ("label", "labelsTr")):
            table[column] = [decathlon / folder / f"{case}.nii.gz" for case in cases]
        pd.DataFrame({**table, **columns}).to_csv(tmp_path / "manifest.csv", index=False)
        return tmp_path / "manifest.csv"

    return write


def test_inspect_prints_the_fingerprint(tfseg, decathlon, tmp_path):
    code, out, err = tfseg("inspect", decathlon, "--sheet", tmp_path / "sheet.png")
    assert (code, err) == (0, "")
    assert "- layout: decathlon" in out and "- cases: 6" in out and "- slices: 36 axial" in out
    assert "| left | 1 | 6 |" in out
    sheet = imread(tmp_path / "sheet.png")
    assert min(sheet.shape[:2]) > 100 and np.ptp(sheet) > 0.5


def test_inspect_names_the_faults_and_describes_the_rest(tfseg, damaged):
    code, out, err = tfseg("inspect", damaged)
    assert code == 1
    assert "- cases: 5" in out
    assert f"{damaged / 'imagesTr' / 'case_2.nii.gz'}: not a readable NIfTI file: " in out
    assert err == f"tfseg: {damaged}: 1 of 6 cases have a fault; --skip-bad leaves them out\n"


def test_prep_writes_a_prepared_folder_by_a_recipe(tfseg, decathlon, tmp_path):
    (tmp_path / "recipe.yaml").write_text("scaling: minmax\nsize: [48, 32]\n")
    arguments = ["prep", "--data", decathlon, "--recipe", tmp_path / "recipe.yaml", "--out", tmp_path / "out"]
    code, out, err = tfseg(*arguments)
    assert (code, err) == (0, "")
    assert out.endswith(f"6 cases, 36 slices of 48×32, 1 channel in {tmp_path / 'out'}\n")
    image = np.asarray(Prepared(tmp_path / "out").case("case_0").image)
    assert (image.shape, image.min(), image.max()) == ((6, 48, 32, 1), 0, 1)


def test_two_preparations_never_share_a_folder(tfseg, decathlon, tmp_path):
    with locked(tmp_path / "prepared"):
        code, _, err = tfseg("prep", "--data", decathlon, "--out", tmp_path / "prepared")
    assert code == 1 and "in use by process" in err
    assert not (tmp_path / "prepared").exists()


def test_prep_leaves_out_bad_cases_on_request(tfseg, damaged, tmp_path):
    out = tmp_path / "out"
    code, _, err = tfseg("prep", "--data", damaged, "--out", out)
    assert (code, err.count("\n")) == (1, 1)
    assert "case_2.nii.gz: not a readable NIfTI file" in err
    assert not (out / "index.csv").exists()
    code, said, err = tfseg("prep", "--data", damaged, "--out", out, "--skip-bad")
    assert (code, err) == (0, "")
    assert "left out: case_2: " in said
    index = pd.read_csv(out / "index.csv", keep_default_na=False)
    assert index["case"].tolist() == [f"case_{number}" for number in (0, 1, 3, 4, 5, 2)]
    assert index["skipped"].iloc[-1].startswith(f"{damaged / 'imagesTr' / 'case_2.nii.gz'}: not a readable NIfTI file")
    assert not (out / "cases" / "case_2").exists()


def test_a_case_that_only_preparation_finds_bad_is_reported_too(tfseg, decathlon, tmp_path):
    (tmp_path / "recipe.yaml").write_text("window_hu: [-5, 50]\nscaling: minmax\n")
    shutil.copytree(decathlon, tmp_path / "data")
    path = tmp_path / "data" / "imagesTr" / "case_4.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 9999, image.affine), path)
    arguments = ["--data", tmp_path / "data", "--recipe", tmp_path / "recipe.yaml", "--workers", 2]
    code, out, err = tfseg("prep", *arguments, "--out", tmp_path / "out", "--skip-bad")
    assert (code, err) == (0, "")
    assert out.count("left out: ") == 1
    assert f"left out: case_4: {path}: every voxel lies on one side of window_hu" in out


def test_a_mended_case_joins_those_that_were_prepared_without_it(tfseg, damaged, decathlon, tmp_path):
    arguments = ["prep", "--data", damaged, "--out", tmp_path / "out", "--skip-bad"]
    assert tfseg(*arguments)[0] == 0
    shutil.copy(decathlon / "imagesTr" / "case_2.nii.gz", damaged / "imagesTr")
    code, out, err = tfseg(*arguments)
    assert (code, err) == (0, "")
    assert "6 cases, 36 slices" in out
    assert Prepared(tmp_path / "out").skipped == {}


def test_a_split_that_loses_all_of_a_part_is_refused_before_training(tfseg, manifest, tmp_path):
    images = pd.read_csv(manifest())["image"].tolist()
    images[4] = tmp_path / "gone.nii.gz"
    splits = ["train"] * 4 + ["val", "test"]
    arguments = ["--skip-bad", "--out", tmp_path / "run"]
    code, _, err = tfseg("fit", "--data", manifest(image=images, split=splits), *arguments)
    assert code == 2
    assert err.endswith("prepared: the split of the dataset: no subject in val\n")


def test_a_subject_pattern_is_refused_beside_a_split(tfseg, manifest, tmp_path):
    splits = ["train"] * 4 + ["val", "test"]
    arguments = ["--subject-pattern", "case", "--out", tmp_path / "run"]
    code, _, err = tfseg("fit", "--data", manifest(split=splits), *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert "brings splits of its own subjects" in err


def test_a_recipe_whose_command_cannot_be_parsed_is_refused(tfseg, decathlon, tmp_path):
    (tmp_path / "recipe.yaml").write_text("skull_strip: command\nskull_strip_command: 'bet \"{image} {mask}'\n")
    code, _, err = tfseg("prep", "--data", decathlon, "--recipe", tmp_path / "recipe.yaml", "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "skull_strip_command: No closing quotation" in err


def test_folds_are_balanced_by_the_strata_of_a_manifest(manifest, tmp_path):
    from tfseg.cli.datasets import Source, prepare
    from tfseg.cli.terminal import Terminal
    from tfseg.config.config import Config
    from tfseg.prepared.prepared import split_subjects

    data = manifest(strata=["a", "b", "b", "a", "b", "a"])
    prepared = prepare(data, Source(data), tmp_path / "out", Terminal())
    groups = dict(zip(prepared.index["subject"], prepared.index["strata"], strict=True))
    for split in split_subjects(Config(folds=3, seed=1), prepared, None):
        assert sorted(groups[subject] for subject in split.test) == ["a", "b"]


def test_what_is_unusual_is_reported_by_inspect_and_prep(tfseg, decathlon, tmp_path):
    shutil.copytree(decathlon, tmp_path / "data")
    shutil.copy(decathlon / "imagesTr" / "case_0.nii.gz", tmp_path / "data" / "imagesTr" / "extra.nii.gz")
    warning = f"warning: {tmp_path / 'data'}: 1 file is not read, not listed in dataset.json: imagesTr/extra.nii.gz\n"
    code, out, err = tfseg("inspect", tmp_path / "data")
    assert (code, err, out.count(warning)) == (0, "", 1)
    code, out, err = tfseg("prep", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert (code, err, out.count(warning)) == (0, "", 1)


def test_one_scan_under_two_subjects_is_refused_by_inspect_and_prep(tfseg, decathlon, tmp_path):
    shutil.copytree(decathlon, tmp_path / "data")
    image = tmp_path / "data" / "imagesTr" / "case_5.nii.gz"
    shutil.copy(decathlon / "imagesTr" / "case_1.nii.gz", image)
    code, out, err = tfseg("inspect", tmp_path / "data")
    assert code == 1 and f"{image}: the same voxels as " in out and "1 of 6 cases have a fault" in err
    code, out, err = tfseg("prep", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (1, 1) and f"{image}: the same voxels as " in err
    assert not (tmp_path / "out" / "index.csv").exists()


@pytest.mark.parametrize(("recipe", "times"), [("{}", 3), ("scaling: zscore", 2)], ids=["measured", "known"])
def test_a_scan_is_opened_once_in_every_pass(tfseg, decathlon, tmp_path, monkeypatch, recipe, times):
    """To check its header, to measure it if the recipe leaves something open, and to prepare it; later, to check it."""
    opened, open_image = Counter(), formats.open_image

    def counted(path):
        opened[path.name] += 1
        return open_image(path)

    monkeypatch.setattr(formats, "open_image", counted)
    (tmp_path / "recipe.yaml").write_text(recipe)
    for each in (times, 1):
        opened.clear()
        code, _, errors = tfseg(
            *("prep", "--data", decathlon, "--recipe", tmp_path / "recipe.yaml", "--out", tmp_path / "out")
        )
        assert code == 0, errors
        assert opened == {f"case_{number}.nii.gz": each for number in range(6)}
