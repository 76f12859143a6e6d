"""`tfseg compare --truth`: label maps of any origin are scored, tested and reported, without networks."""

import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from PIL import Image

from tfseg import metrics
from tfseg.core.errors import ConfigError, DataError
from tfseg.evaluation.contestants import label_maps_of, parse_contestants

CASES = [f"p{number}" for number in range(8)]
LABELS = {1: "spleen", 2: "liver"}


def box(side):
    array = np.zeros((16, 12, 8), np.uint8)
    array[1 : 1 + side, 2:9, 2:7] = 1
    array[11:15, 2 : 2 + side, 2:7] = 2
    return array


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([1, 1, 2, 1])), path)


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Truths, and masks of two methods: one is off by a voxel or two, the other by one more, under other names."""
    folder = tmp_path_factory.mktemp("masks")
    for number, case in enumerate(CASES):
        save(folder / "truth" / f"{case}.nii.gz", box(9))
        save(folder / "good" / f"{case}.nii.gz", box(9 - number % 2))
        save(folder / "poor" / f"pred_{case}_seg.nii.gz", box(7 - number % 3))
    (folder / "truth" / "labels.json").write_text('{"1": "spleen", "2": "liver"}')
    shutil.copy(folder / "good" / "p0.nii.gz", folder / "good" / "another.nii.gz")
    (folder / "good" / "notes.txt").touch()
    return folder


def test_methods_are_scored_tested_and_reported_without_the_parts_about_training(masks, tfseg, tmp_path, read_page):
    predictions = f"good={masks / 'good'},poor={masks / 'poor'}"
    arguments = ("compare", "--truth", masks / "truth", "--predictions", predictions, "--out", tmp_path / "cmp")
    code, printed, error = tfseg(*arguments)
    assert (code, error) == (0, "")
    left_out = f"warning: {masks / 'good'}: 2 files are not read, no label maps of the cases compared: another.nii.gz"
    assert f"{left_out}, notes.txt" in printed
    scores = pd.read_csv(tmp_path / "cmp" / "scores.csv")
    expected = metrics.score(box(9), box(8), labels=LABELS, spacing_mm=(1, 1, 2))
    got = scores[(scores["arm"] == "good") & (scores["case"] == "p1")].reset_index(drop=True)
    pd.testing.assert_frame_equal(got[["label", "metric", "value"]], expected)

    verdicts = pd.read_csv(tmp_path / "cmp" / "verdicts.csv")
    primary = verdicts[verdicts["role"] == "primary"].iloc[0]
    assert (primary["first"], primary["second"], primary["verdict"]) == ("good", "poor", "better")
    dice = scores[scores["metric"] == "dice"].groupby(["arm", "case"])["value"].mean()
    difference = (dice["good"] - dice["poor"]).to_numpy()
    assert primary["difference"] == pytest.approx(difference.mean())
    low, high = scipy.stats.t.interval(0.95, 7, difference.mean(), scipy.stats.sem(difference))
    assert (primary["low"], primary["high"]) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))

    page = read_page((tmp_path / "cmp" / "report.html").read_text()).text
    for text in ("good is better than poor on mean Dice over labels", "these masks and new subjects"):
        assert text in page
        assert text in printed
    for word in ("Learning curves", "held equal", "new trainings", "seeds", "SD of networks"):
        assert word not in page
    assert {path.name for path in (tmp_path / "cmp" / "tables").glob("*.md")} == {
        "by_class.md",
        "by_surface.md",
        "paired_t.md",
        "by_label.md",
    }
    assert tfseg(*arguments)[0] == 0
    code, _, error = tfseg("report", tmp_path / "cmp")
    assert (code, "compares masks; run the same tfseg compare again" in error) == (2, True)
    other = f"good={masks / 'poor'},poor={masks / 'poor'}"
    code, _, error = tfseg(*arguments[:4], other, "--out", tmp_path / "cmp")
    assert (code, "holds a comparison with another masks.json" in error) == (2, True)


def test_masks_of_every_method_are_read_as_they_show(tfseg, tmp_path):
    """White on black, by palettes in either order."""
    rows = np.zeros((12, 10), np.uint8)
    rows[3:8, 2:7] = 1
    for case in CASES[:4]:
        for name in ("truth", "first", "last"):
            (tmp_path / name).mkdir(exist_ok=True)
        Image.fromarray(255 * rows).save(tmp_path / "truth" / f"{case}.png")
        for name, indices, palette in (("first", 1 - rows, [255] * 3 + [0] * 3), ("last", rows, [0] * 3 + [255] * 3)):
            image = Image.fromarray(indices, "P")
            image.putpalette(palette)
            image.save(tmp_path / name / f"{case}.png")
    predictions = f"first={tmp_path / 'first'},last={tmp_path / 'last'}"
    arguments = ("--truth", tmp_path / "truth", "--predictions", predictions, "--out", tmp_path / "cmp")
    code, _, error = tfseg("compare", *arguments)
    assert (code, error) == (0, "")
    scores = pd.read_csv(tmp_path / "cmp" / "scores.csv")
    assert scores.loc[scores["metric"] == "dice", "value"].tolist() == [1.0] * 8


def test_files_are_matched_by_name_by_list_and_in_runs(masks, tmp_path):
    assert label_maps_of(masks / "poor", CASES)["p3"].name == "pred_p3_seg.nii.gz"
    for number, case in enumerate(CASES):
        folder = tmp_path / "run" / f"fold_{number % 2}" / "predictions"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(masks / "good" / f"{case}.nii.gz", folder)
    assert label_maps_of(tmp_path / "run", CASES)["p3"].parent.parent.name == "fold_1"
    rows = "".join(f"{case},masks/{number}.nii.gz\n" for number, case in enumerate(CASES))
    (tmp_path / "list.csv").write_text("case,prediction\n" + rows)
    assert label_maps_of(tmp_path / "list.csv", ["p3"]) == {"p3": tmp_path / "masks" / "3.nii.gz"}


def test_what_cannot_be_compared_is_refused_in_one_line(masks, tfseg, tmp_path):
    with pytest.raises(DataError, match="no label map of p9"):
        label_maps_of(masks / "good", [*CASES, "p9"])
    with pytest.raises(DataError, match="the same case as p0_pred"):
        (tmp_path / "twice").mkdir()
        for name in ("p0_seg.nii.gz", "p0_pred.nii.gz"):
            shutil.copy(masks / "good" / "p0.nii.gz", tmp_path / "twice" / name)
        label_maps_of(tmp_path / "twice", ["p0"])
    with pytest.raises(DataError, match="expected the columns case and prediction"):
        (tmp_path / "list.csv").write_text("a,b\n1,2\n")
        label_maps_of(tmp_path / "list.csv", CASES)
    for wrong in ("good", "good=", "good=a,good=b", "../good=a"):
        with pytest.raises(ConfigError, match="--predictions"):
            parse_contestants(wrong)
    one = f"good={masks / 'good'}"
    for arguments, message in (
        (("--truth", masks / "truth"), "needs --predictions"),
        (("--truth", masks / "truth", "--predictions", one), "expected two methods or more"),
        (("--truth", masks / "truth", "--predictions", one, "--losses", "dice"), "trains nothing"),
    ):
        code, _, error = tfseg("compare", *arguments, "--out", tmp_path / "cmp")
        assert (code, message in error, len(error.strip().splitlines())) == (2, True, 1)
    assert not (tmp_path / "cmp").exists()
