"""`tfseg score`: label maps of any origin, what is refused, and what is printed and written."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tfseg import metrics
from tfseg.cli import app as cli
from tfseg.core.errors import ConfigError, DataError
from tfseg.evaluation.label_maps import Scoring, check_out, score_pairs
from tfseg.evaluation.pairs import Structures, pair_up, structures_of
from tfseg.runs.folder import read_scores

SPACING_MM = (0.5, 1.0, 3.0)
LABELS = {1: "spleen", 2: "liver"}
STRUCTURES = Structures(LABELS)


def two_boxes(*sides, dtype=np.uint8):
    """Label i+1 in a box with the given side, of a volume of 12×10×8."""
    array = np.zeros((12, 10, 8), dtype)
    for label, side in enumerate(sides):
        array[1 + 6 * label : 1 + 6 * label + side, 2 : 2 + side, 2 : 2 + side] = label + 1
    return array


def save(path, array, moved_mm=0.0, dtype=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*SPACING_MM, 1])
    affine[0, 3] = moved_mm
    array = array.astype(dtype or array.dtype)
    nib.save(nib.Nifti1Image(array, affine, dtype=array.dtype), path)
    return path


@pytest.fixture
def folders(tmp_path):
    """Truths and predictions of three cases: segmented with errors, without the liver, and no label in either."""
    cases = {
        "a": (two_boxes(5, 4), two_boxes(4, 4)),
        "b": (two_boxes(3, 3), two_boxes(3)),
        "c": (two_boxes(), two_boxes()),
    }
    for name, (truth, prediction) in cases.items():
        save(tmp_path / "truth" / f"{name}.nii.gz", truth)
        save(tmp_path / "net" / f"{name}.nii", prediction)
    return tmp_path / "truth", tmp_path / "net"


def truncate(path):
    """A label map of which half is lost."""
    save(path, np.random.default_rng(0).integers(0, 200, (16, 16, 16)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:2000])


def tfseg(monkeypatch, capsys, *arguments):
    """Run the command in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["tfseg", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return (stop.value.code or 0, *capsys.readouterr())


# --- scores


def test_scores_are_those_of_the_arrays_at_the_spacing_of_the_truth(folders):
    scores, *_ = score_pairs(pair_up(*folders), Scoring(STRUCTURES, tolerance_mm=2), "net")
    assert scores["case"].unique().tolist() == ["a", "b", "c"]
    expected = metrics.score(two_boxes(5, 4), two_boxes(4, 4), labels=LABELS, spacing_mm=SPACING_MM, tolerance_mm=2)
    got = scores[scores["case"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(got[["label", "metric", "value"]], expected)
    assert (got["subject"] == "a").all()


def test_the_table_is_that_of_a_run_and_the_summary_follows_from_it(folders, tmp_path):
    scores, summary, *_ = score_pairs(pair_up(*folders), Scoring(STRUCTURES, lesions=True), "net")
    assert list(scores.columns) == ["loss", "seed", "fold", "subject", "case", "label", "metric", "value"]
    assert scores["metric"].nunique() == 13 + 5
    assert set(scores["loss"]) == {"net"}
    scores.to_csv(tmp_path / "scores.csv", index=False)
    diagonal_mm = float(np.linalg.norm(np.multiply((12, 10, 8), SPACING_MM)))
    again = metrics.summarise(read_scores(tmp_path / "scores.csv"), dict.fromkeys("abc", diagonal_mm))
    pd.testing.assert_frame_equal(again, summary)
    liver = summary[(summary["label"] == "liver") & (summary["metric"] == "hd")].iloc[0]
    assert (liver["n"], liver["missed"], liver["both_empty"], liver["false_alarm"]) == (2, 1, 1, 0)
    assert liver["penalised_mean"] == pytest.approx(diagonal_mm / 2)


def test_processes_change_nothing(folders):
    pairs, advanced = pair_up(*folders), []
    one, summary, *_ = score_pairs(pairs, Scoring(STRUCTURES), "net")
    two, same, *_ = score_pairs(pairs, Scoring(STRUCTURES), "net", workers=2, advance=lambda: advanced.append(1))
    pd.testing.assert_frame_equal(two, one, check_exact=True)
    pd.testing.assert_frame_equal(same, summary, check_exact=True)
    assert len(advanced) == 3


def test_an_error_in_a_process_is_reported_unchanged(folders):
    save(folders[1] / "b.nii", two_boxes(3, 3, 3)[:6])
    with pytest.raises(DataError, match=r"b\.nii: its shape is \(6, 10, 8\), that of its truth \(12, 10, 8\)"):
        score_pairs(pair_up(*folders), Scoring(STRUCTURES), "net", workers=2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float32, np.float64])
def test_labels_of_any_type_are_scored_alike(tmp_path, dtype):
    truth = save(tmp_path / "truth.nii.gz", two_boxes(5, 4), dtype=dtype)
    prediction = save(tmp_path / "prediction.nii.gz", two_boxes(5, 4), dtype=dtype)
    scores, *_ = score_pairs(pair_up(truth, prediction), Scoring(STRUCTURES), "net")
    assert (scores.loc[scores["metric"] == "dice", "value"] == [1, 1]).all()


def test_ignored_voxels_do_not_count(tmp_path):
    truth = np.where(two_boxes(5, 4) == 2, 9, two_boxes(5, 4))
    pairs = pair_up(save(tmp_path / "t.nii", truth), save(tmp_path / "p.nii", two_boxes(5, 4)))
    scores, summary, *_ = score_pairs(pairs, Scoring(Structures(LABELS, ignore_label=9)), "p")
    assert scores.set_index(["label", "metric"])["value"]["spleen", "accuracy"] == 1
    assert summary.set_index(["label", "metric"])["both_empty"]["liver", "dice"] == 1


def test_real_labels_against_themselves(shared):
    folder = shared / "data" / "hippocampus"
    pairs = pair_up(folder, folder / "labelsTr")
    assert len(pairs) == 200
    structures = structures_of(None, folder, pairs)
    assert structures.labels == {1: "Anterior", 2: "Posterior"}
    scores, *_ = score_pairs(pairs[:3], Scoring(structures), "itself")
    assert (scores.loc[scores["metric"].isin(["dice", "nsd"]), "value"] == 1).all()


# --- bad input


def test_affines_may_differ_by_a_tenth_of_a_voxel(tmp_path):
    truth = save(tmp_path / "truth.nii", two_boxes(3))
    near, far = (save(tmp_path / f"{moved}.nii", two_boxes(3), moved_mm=moved) for moved in (0.04, 0.06))
    score_pairs(pair_up(truth, near), Scoring(STRUCTURES), "near")
    with pytest.raises(DataError, match=r"0\.06\.nii: its affine .* corners lie 0\.06 mm apart, 0\.05 mm"):
        score_pairs(pair_up(truth, far), Scoring(STRUCTURES), "far")


def test_a_prediction_stored_in_another_order_is_turned(tmp_path):
    """Mirrored, and with its axes in another order: the same voxels in space."""
    array = two_boxes(5, 4)
    truth = save(tmp_path / "truth.nii", array)
    affine = np.diag([*SPACING_MM, 1])
    mirror = np.array([[-1, 0, 0, 11], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    order = np.eye(4)[:, [2, 0, 1, 3]]
    nib.save(nib.Nifti1Image(array[::-1], affine @ mirror), tmp_path / "mirrored.nii")
    nib.save(nib.Nifti1Image(array.transpose(2, 0, 1), affine @ order), tmp_path / "turned.nii")
    expected, *_ = score_pairs(pair_up(truth, truth), Scoring(STRUCTURES), "net")
    for name in ("mirrored", "turned"):
        scores, *_ = score_pairs(pair_up(truth, tmp_path / f"{name}.nii"), Scoring(STRUCTURES), "net")
        pd.testing.assert_frame_equal(scores, expected)
    nib.save(nib.Nifti1Image(array[::-1], np.diag([-0.5, 1, 3, 1])), tmp_path / "elsewhere.nii")
    with pytest.raises(DataError, match=r"elsewhere\.nii: its affine .* corners lie 5\.5 mm apart"):
        score_pairs(pair_up(truth, tmp_path / "elsewhere.nii"), Scoring(STRUCTURES), "net")


def discs():
    """Two discs of radius 20, the second 4 pixels further along the first axis."""
    x, y = np.mgrid[:64, :64]
    return [((x - 30 - shift) ** 2 + (y - 32) ** 2 <= 20**2).astype(np.uint8) for shift in (0, 4)]


def values(scores):
    return scores.table.set_index(["label", "metric"])["value"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_has_its_surface_in_the_plane(tmp_path, axis):
    spacing_mm = np.insert([1.0, 1.0], axis, 5.0)
    paths = []
    for number, disc in enumerate(discs()):
        path = tmp_path / f"{number}.nii.gz"
        nib.save(nib.Nifti1Image(np.expand_dims(disc, axis), np.diag([*spacing_mm, 1])), path)
        paths.append(path)
    scores = score_pairs(pair_up(*paths), Scoring(Structures({1: "disc"})), "net")
    got = values(scores)["disc"]
    assert got["hd95"] == 4
    assert round(got["assd"], 2) == 2.39
    assert round(got["nsd"], 2) == 0.23
    assert got["volume_truth_ml"] == pytest.approx(discs()[0].sum() * 5 / 1000)
    assert scores.unit == "mm"


def test_2d_images_are_scored_in_pixels(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, disc in zip(paths, discs(), strict=True):
        Image.fromarray(disc).save(path)
    scores = score_pairs(pair_up(*paths), Scoring(Structures({1: "disc"})), "net")
    got = values(scores)["disc"]
    assert (got["hd95"], round(got["assd"], 2), round(got["nsd"], 2)) == (4, 2.39, 0.23)
    assert np.isnan(got["volume_truth_ml"])
    assert scores.unit == "px"


def test_pixels_and_millimetres_are_not_mixed(tmp_path):
    for folder in ("truth", "net"):
        save(tmp_path / folder / "a.nii", two_boxes(3))
        Image.fromarray(two_boxes(3)[:, :, 3]).save(tmp_path / folder / "b.png")
    with pytest.raises(DataError, match=r"b\.png: has no millimetres, a\.nii has; score 2D images and volumes apart"):
        score_pairs(pair_up(tmp_path / "truth", tmp_path / "net"), Scoring(STRUCTURES), "net")


def test_big_endian_label_maps_are_scored(tmp_path):
    truth = save(tmp_path / "truth.nii", two_boxes(5, 4))
    expected, *_ = score_pairs(pair_up(truth, truth), Scoring(STRUCTURES), "net")
    for dtype in (">i2", ">u2", ">i4", ">f4", ">f8"):
        image = nib.Nifti1Image(two_boxes(5, 4).astype(dtype), np.diag([*SPACING_MM, 1]))
        nib.Nifti1Image(image.dataobj, image.affine, image.header.as_byteswapped(">")).to_filename(tmp_path / "big.nii")
        assert (tmp_path / "big.nii").read_bytes()[:4] == b"\0\0\1\x5c"
        pairs = pair_up(truth, tmp_path / "big.nii")
        pd.testing.assert_frame_equal(score_pairs(pairs, Scoring(STRUCTURES), "net").table, expected)
        assert structures_of(None, tmp_path / "big.nii", pair_up(tmp_path / "big.nii", truth)).labels == {
            1: "1",
            2: "2",
        }


@pytest.mark.parametrize("inside", [True, False], ids=["dataset", "its labelsTr"])
def test_an_ignore_label_and_regions_are_read_as_training_reads_them(tmp_path, inside):
    truth, prediction = np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 4), np.uint8)
    truth[1:4, 1:4, 1:3], truth[4:7, 1:4, 1:3], truth[:, 6:] = 1, 2, 3
    prediction[1:4, 1:4, 1:3], prediction[4:7, 1:4, 1:3], prediction[0, 7] = 2, 2, 1
    save(tmp_path / "data" / "labelsTr" / "a.nii.gz", truth)
    save(tmp_path / "net" / "a.nii.gz", prediction)
    for labels, ignore_label, dice in (
        ({"background": 0, "oedema": 1, "core": 2, "ignore": 3}, 3, {"oedema": 0, "core": 2 / 3}),
        ({"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}, 3, {"whole": 1, "core": 2 / 3}),
    ):
        description = {"channel_names": {"0": "T1w"}, "labels": labels, "file_ending": ".nii.gz"}
        (tmp_path / "data" / "dataset.json").write_text(json.dumps(description))
        folder = tmp_path / "data" if inside else tmp_path / "data" / "labelsTr"
        pairs = pair_up(folder, tmp_path / "net")
        structures = structures_of(None, folder, pairs)
        assert structures.ignore_label == ignore_label
        got = values(score_pairs(pairs, Scoring(structures, lesions=True), "net"))
        assert {name: got[name, "dice"] for name in dice} == pytest.approx(dice)
        assert got["core", "lesions_detected"] == 1


def scored_images(tmp_path, truths, predictions):
    """Scores of 2D images by case, read as the command reads them; white on black is a structure."""
    for folder, images in (("truth", truths), ("net", predictions)):
        (tmp_path / folder).mkdir(exist_ok=True)
        for number, image in enumerate(images):
            image.save(tmp_path / folder / f"{number}.png")
    pairs = pair_up(tmp_path / "truth", tmp_path / "net")
    structures = structures_of(None, tmp_path / "truth", pairs)
    table = score_pairs(pairs, Scoring(structures), "net").table
    return structures, table[table["metric"] == "dice"].set_index("case")["value"].to_dict()


def indexed(shape, *palette):
    """A 2D image with a palette of grey levels that shows `shape` in white on black."""
    image = Image.fromarray(np.where(shape, palette.index(255), palette.index(0)).astype(np.uint8))
    image = image.convert("L")
    image.putpalette([level for grey in palette for level in (grey, grey, grey)])
    return image


def test_palettes_are_read_by_one_rule_over_truths_and_predictions(tmp_path):
    """Index 1 is white in some files and black in others: the indices would score the background."""
    first, second = (disc.astype(bool) for disc in discs())
    dice = 2 * (first & second).sum() / (first.sum() + second.sum())
    white_is_one, white_is_zero = (indexed(first, *palette) for palette in ((0, 255), (255, 0)))
    structures, scores = scored_images(
        tmp_path, [white_is_one, white_is_zero], [indexed(second, 255, 0), indexed(second, 255, 0)]
    )
    assert (structures.labels, structures.masks_as_shown) == ({255: "255"}, True)
    assert scores == pytest.approx({"0": dice, "1": dice})
    structures, scores = scored_images(tmp_path, [white_is_one] * 2, [indexed(second, 0, 255)] * 2)
    assert (structures.labels, structures.masks_as_shown) == ({1: "1"}, False)
    assert scores == pytest.approx({"0": dice, "1": dice})


def test_palettes_in_colours_that_contradict_each_other_are_refused(tmp_path):
    first = indexed(discs()[0].astype(bool), 0, 255)
    second = first.copy()
    first.putpalette([0, 0, 0, 255, 0, 0])
    second.putpalette([255, 0, 0, 0, 0, 0])
    with pytest.raises(
        DataError, match=r"0\.png: index 0 shows \(255, 0, 0\), in .*palettes of these masks contradict"
    ):
        scored_images(tmp_path, [first], [second])


def test_255_beside_classes_is_unknown_as_in_training(tmp_path):
    truth, prediction = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)
    truth[2:6, 2:6], truth[2:6, 8:12], truth[10:14, 2:6] = 1, 2, 255
    prediction[2:6, 2:6], prediction[2:6, 8:12], prediction[10:14, 2:6] = 1, 2, 1
    structures, scores = scored_images(tmp_path, [Image.fromarray(truth)], [Image.fromarray(prediction)])
    assert (structures.labels, structures.ignore_label) == ({1: "1", 2: "2"}, 255)
    assert "255 beside the values 1 to 2" in structures.warnings[0]
    assert scores == {"0": 1}
    pairs = pair_up(tmp_path / "truth", tmp_path / "net")
    asked = structures_of(None, tmp_path / "truth", pairs, ignore_label=2)
    assert (asked.labels, asked.ignore_label, asked.warnings) == ({1: "1", 255: "255"}, 2, ())


def test_truths_with_values_that_their_declaration_lacks_are_refused(tmp_path):
    for folder in ("masks", "net"):
        save(tmp_path / folder / "a.nii", two_boxes(3, 3))
    (tmp_path / "labels.json").write_text('{"1": "spleen"}')  # above the folder of masks
    pairs = pair_up(tmp_path / "masks", tmp_path / "masks")
    structures = structures_of(None, tmp_path / "masks", pairs)
    assert structures == Structures({1: "spleen"}, is_complete=True)
    with pytest.raises(DataError, match=r"masks/a\.nii: values 2 are not among the labels \{1: 'spleen'\}"):
        score_pairs(pairs, Scoring(structures), "masks")


def test_a_prediction_without_an_orientation_is_reported(tmp_path):
    """nibabel's default reverses left and right about the centre: such a prediction may be mirrored."""
    array, spacing = two_boxes(5, 4), np.diag([*SPACING_MM, 1.0])
    centred = spacing.copy()
    centred[:3, 3] = -np.array(SPACING_MM) * (np.array(array.shape) - 1) / 2
    nib.save(nib.Nifti1Image(array, centred), tmp_path / "truth.nii")
    image = nib.Nifti1Image(array, None)
    image.header.set_zooms(SPACING_MM)
    nib.save(image, tmp_path / "net.nii")
    pairs = pair_up(tmp_path / "truth.nii", tmp_path / "net.nii")
    (warning,) = score_pairs(pairs, Scoring(STRUCTURES), "net").warnings
    assert "net.nii: its header states no orientation" in warning
    assert score_pairs([pairs[0]._replace(prediction=pairs[0].truth)], Scoring(STRUCTURES), "net").warnings == ()


def test_files_by_upper_case_suffix_are_scored_too(shared):
    data = shared / "cases" / "upper_case_suffix" / "data"
    assert [pair.case for pair in pair_up(data / "labels", data / "pred")] == ["c0", "c1", "c2", "c3"]


def test_axes_that_are_not_orthogonal_are_refused_with_the_angle(tmp_path):
    """A gantry tilted by 25°: column lengths would give the wrong volume and wrong distances."""
    sheared = np.diag([1.0, 1.0, 2.0, 1.0])
    sheared[1, 2] = 2 * np.tan(np.deg2rad(25))
    nib.save(nib.Nifti1Image(two_boxes(3), sheared), tmp_path / "tilted.nii")
    with pytest.raises(DataError, match=r"tilted\.nii: its axes miss a right angle by 25°"):
        score_pairs(pair_up(tmp_path / "tilted.nii", tmp_path / "tilted.nii"), Scoring(STRUCTURES), "net")


def test_values_that_no_label_has_are_refused_in_predictions_alone(tmp_path):
    more, fewer = save(tmp_path / "more.nii", two_boxes(3, 3)), save(tmp_path / "fewer.nii", two_boxes(3))
    score_pairs(pair_up(more, fewer), Scoring(Structures({1: "spleen"})), "fewer")
    with pytest.raises(DataError, match=r"more\.nii: values 2 are not among the labels \{1: 'spleen'\}"):
        score_pairs(pair_up(fewer, more), Scoring(Structures({1: "spleen"})), "more")


def test_settings_are_checked_before_any_file_is_read():
    for structures, tolerance_mm, message in (
        (Structures({1: "mean"}), 1.0, "distinct names"),
        (STRUCTURES, -1.0, "tolerance_mm"),
        (STRUCTURES, np.nan, "tolerance_mm"),
        (Structures(LABELS, ignore_label=1), 1.0, "ignore_label=1"),
    ):
        with pytest.raises(ConfigError, match=message):
            Scoring(structures, tolerance_mm)


def test_only_earlier_scores_of_the_same_predictions_are_overwritten(folders, tmp_path):
    scores, *_ = score_pairs(pair_up(*folders), Scoring(STRUCTURES), "net")
    check_out(tmp_path / "absent.csv", "net")
    scores.to_csv(tmp_path / "net.csv", index=False)
    check_out(tmp_path / "net.csv", "net")
    scores.assign(loss="other").to_csv(tmp_path / "other.csv", index=False)
    scores.assign(seed=0).to_csv(tmp_path / "run.csv", index=False)
    (tmp_path / "notes.csv").write_text("mine,\nand nobody's\n")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    for name in ("other.csv", "run.csv", "notes.csv", "empty.csv", "binary.csv", "truth"):
        with pytest.raises(ConfigError, match=f"{name}: exists and does not hold scores of net"):
            check_out(tmp_path / name, "net")


# --- the command


def test_the_command_prints_the_table_and_writes_the_scores(folders, tmp_path, monkeypatch, capsys):
    out = tmp_path / "made" / "scores.csv"
    arguments = ("score", *folders, "--labels", "1=spleen,2=liver", "--tolerance-mm", 2, "--lesions", "--out", out)
    for _ in range(2):  # the second time over its own table
        code, printed, _ = tfseg(monkeypatch, capsys, *arguments)
        assert code == 0
    rows = [line.split() for line in printed.splitlines()]
    scores, summary, *_ = score_pairs(pair_up(*folders), Scoring(STRUCTURES, tolerance_mm=2, lesions=True), "net")
    dice = summary.set_index(["label", "metric"]).loc[("liver", "dice")]
    assert ["liver", "2", f"{dice['mean_finite']:.3f}±{dice['sd_finite']:.3f}"] in [row[:3] for row in rows]
    assert next(row[-3:] for row in rows if row[:1] == ["liver"]) == ["1", "0", "1"]  # missed, false, empty
    assert ["liver", "2", "1", "1", "0", "0.500±0.707"] in rows  # lesions
    pd.testing.assert_frame_equal(read_scores(out), scores)


def test_the_command_loads_no_tensorflow(folders):
    code = (
        "import atexit, sys; from tfseg.cli.app import main\n"
        "atexit.register(lambda: print({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "score", folders[0] / "a.nii.gz", folders[1] / "a.nii"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "±" not in done.stdout.split("Mean ±")[0]  # one case has no spread


@pytest.mark.parametrize(
    ("damage", "arguments", "code", "message"),
    [
        (truncate, [], 1, "prediction.nii.gz: not a readable NIfTI file: Compressed file ended"),
        (lambda path: path.write_bytes(b"text"), [], 1, "prediction.nii.gz: not a readable NIfTI file"),
        (lambda path: save(path, two_boxes(3) / 2), [], 1, "labels must be whole numbers, found 0.5"),
        (lambda path: save(path, two_boxes(3, 3, 3)[:, :5]), [], 1, "its shape is (12, 5, 8)"),
        (lambda path: save(path, two_boxes(3), moved_mm=1), [], 1, "its affine is not that of its truth"),
        (lambda path: save(path, two_boxes(3, 3)), [], 1, "values 2 are not among the labels {1: '1'}"),
        (lambda path: path.unlink(), [], 1, "prediction.nii.gz: no such file"),
        (lambda path: None, ["--labels", "spleen"], 2, "--labels: expected"),
        (lambda path: None, ["--tolerance-mm", "-1"], 2, "tolerance_mm: expected"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, damage, arguments, code, message):
    truth, prediction = (save(tmp_path / f"{name}.nii.gz", two_boxes(3)) for name in ("truth", "prediction"))
    damage(prediction)
    before = {path.name for path in tmp_path.iterdir()}
    out = tmp_path / "scores.csv"
    got, _, error = tfseg(monkeypatch, capsys, "score", truth, prediction, *arguments, "--out", out)
    assert (got, len(error.splitlines())) == (code, 1)
    assert message in error
    assert {path.name for path in tmp_path.iterdir()} == before


def test_what_is_not_ours_is_left_alone(tmp_path, monkeypatch, capsys):
    truth, out = save(tmp_path / "truth.nii", two_boxes(3)), tmp_path / "notes.csv"
    out.write_text("mine\n")
    code, _, error = tfseg(monkeypatch, capsys, "score", truth, truth, "--out", out)
    assert code == 2
    assert "notes.csv: exists and does not hold scores of truth" in error
    assert out.read_text() == "mine\n"
