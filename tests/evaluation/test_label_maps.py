"""`tfseg score`: label maps of any origin, what is refused, and what is printed and written."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfseg import metrics
from tfseg.cli import app as cli
from tfseg.core.errors import ConfigError, DataError
from tfseg.evaluation.label_maps import Pair, Scoring, check_out, labels_of, name_of, pair_up, score_pairs
from tfseg.runs.folder import read_scores

SPACING_MM = (0.5, 1.0, 3.0)
LABELS = {1: "spleen", 2: "liver"}


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
    """Truths and predictions of three cases: found with errors, missed liver, and no label in either."""
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
    scores, _ = score_pairs(pair_up(*folders), Scoring(LABELS, tolerance_mm=2), "net")
    assert scores["case"].unique().tolist() == ["a", "b", "c"]
    expected = metrics.score(two_boxes(5, 4), two_boxes(4, 4), labels=LABELS, spacing_mm=SPACING_MM, tolerance_mm=2)
    got = scores[scores["case"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(got[["label", "metric", "value"]], expected)
    assert (got["subject"] == "a").all()


def test_the_table_is_that_of_a_run_and_the_summary_follows_from_it(folders, tmp_path):
    scores, summary = score_pairs(pair_up(*folders), Scoring(LABELS, lesions=True), "net")
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
    one, summary = score_pairs(pairs, Scoring(LABELS), "net")
    two, same = score_pairs(pairs, Scoring(LABELS), "net", workers=2, advance=lambda: advanced.append(1))
    pd.testing.assert_frame_equal(two, one, check_exact=True)
    pd.testing.assert_frame_equal(same, summary, check_exact=True)
    assert len(advanced) == 3


def test_an_error_in_a_process_is_told_as_it_is(folders):
    save(folders[1] / "b.nii", two_boxes(3, 3, 3)[:6])
    with pytest.raises(DataError, match=r"b\.nii: its shape is \(6, 10, 8\), that of its truth \(12, 10, 8\)"):
        score_pairs(pair_up(*folders), Scoring(LABELS), "net", workers=2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float32, np.float64])
def test_labels_of_any_type_are_scored_alike(tmp_path, dtype):
    truth = save(tmp_path / "truth.nii.gz", two_boxes(5, 4), dtype=dtype)
    prediction = save(tmp_path / "prediction.nii.gz", two_boxes(5, 4), dtype=dtype)
    scores, _ = score_pairs(pair_up(truth, prediction), Scoring(LABELS), "net")
    assert (scores.loc[scores["metric"] == "dice", "value"] == [1, 1]).all()


def test_ignored_voxels_do_not_count(tmp_path):
    truth = np.where(two_boxes(5, 4) == 2, 9, two_boxes(5, 4))
    pairs = pair_up(save(tmp_path / "t.nii", truth), save(tmp_path / "p.nii", two_boxes(5, 4)))
    scores, summary = score_pairs(pairs, Scoring(LABELS, ignore_label=9), "p")
    assert scores.set_index(["label", "metric"])["value"]["spleen", "accuracy"] == 1
    assert summary.set_index(["label", "metric"])["both_empty"]["liver", "dice"] == 1


def test_real_labels_against_themselves(shared):
    folder = shared / "data" / "hippocampus"
    pairs = pair_up(folder, folder / "labelsTr")
    assert len(pairs) == 200
    labels = labels_of(None, folder, pairs)
    assert labels == {1: "Anterior", 2: "Posterior"}
    scores, _ = score_pairs(pairs[:3], Scoring(labels), "itself")
    assert (scores.loc[scores["metric"].isin(["dice", "nsd"]), "value"] == 1).all()


# --- which files, which labels


def test_files_are_matched_by_name_and_hidden_ones_left_out(folders):
    (folders[0] / "._a.nii.gz").write_bytes(b"what macOS leaves")
    (folders[0] / "notes.txt").write_text("no image")
    assert pair_up(*folders)[1] == Pair("b", folders[0] / "b.nii.gz", folders[1] / "b.nii")


def test_two_files_are_a_case_whatever_their_names(tmp_path):
    truth, prediction = (save(tmp_path / name, two_boxes(3)) for name in ("case.nii.gz", "unet.nii.gz"))
    assert pair_up(truth, prediction) == [Pair("case", truth, prediction)]
    assert name_of(prediction) == "unet"


def test_links_keep_their_names_and_a_dot_has_that_of_its_folder(folders, monkeypatch):
    (folders[1] / "a.nii").rename(folders[1].parent / "stored")
    (folders[1] / "a.nii").symlink_to(folders[1].parent / "stored")
    assert [pair.case for pair in pair_up(*folders)] == ["a", "b", "c"]
    monkeypatch.chdir(folders[1])
    assert name_of(Path(".")) == "net"
    assert name_of(Path("..") / "truth") == "truth"


def test_a_decathlon_folder_names_its_labels(decathlon):
    pairs = pair_up(decathlon, decathlon / "labelsTr")
    assert [pair.case for pair in pairs] == [f"case_{number}" for number in range(6)]
    assert labels_of(None, decathlon, pairs) == {1: "left", 2: "right"}


def test_labels_are_found_in_the_truths_and_named_by_number(folders):
    assert labels_of(None, folders[0], pair_up(*folders), workers=2) == {1: "1", 2: "2"}
    assert labels_of(None, folders[0], pair_up(*folders), ignore_label=2) == {1: "1"}


@pytest.mark.parametrize(
    "described", [{"0": "background", "2": "liver", "1": "spleen"}, {"background": 0, "spleen": 1, "liver": 2}]
)
def test_labels_of_a_dataset_json(tmp_path, described):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": described}))
    assert labels_of(str(path), tmp_path, []) == LABELS
    assert labels_of(str(path), tmp_path, [], ignore_label=2) == {1: "spleen"}


def test_labels_as_they_are_typed():
    assert labels_of("2=liver,1=spleen", None, []) == {2: "liver", 1: "spleen"}
    assert labels_of("0=background,-1=a b", None, []) == {0: "background", -1: "a b"}


@pytest.mark.parametrize("text", ["", "spleen", "1=spleen,", "1=", "1.5=spleen", "1=spleen,1=liver"])
def test_other_labels_are_refused(text):
    with pytest.raises(ConfigError, match=r"--labels: expected value=name,value=name or a dataset\.json"):
        labels_of(text, None, [])


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", '{"labels": ["a"]}', '{"labels": {"a": "b"}}'),
        *('{"labels": {"whole": [1, 2]}}', '{"labels": {"a": 1.5}}', '{"labels": {"a": true}}'),
        '{"labels": {"liver": 1, "hepar": 1}}',
    ],
)
def test_a_damaged_dataset_json_is_named(tmp_path, content):
    path = tmp_path / "dataset.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"dataset\.json: not labels"):
        labels_of(str(path), tmp_path, [])


def test_no_labels_anywhere(tmp_path):
    truth = save(tmp_path / "empty.nii", two_boxes())
    with pytest.raises(DataError, match=r"empty\.nii: no label in it; name the values with --labels"):
        labels_of(None, truth, pair_up(truth, truth))


# --- bad input


def test_predictions_without_truth_and_the_reverse(folders):
    (folders[0] / "a.nii.gz").unlink()
    (folders[1] / "b.nii").unlink()
    with pytest.raises(DataError, match=r"truth and .*net do not match: no prediction of b; no truth of a$"):
        pair_up(*folders)


def test_many_cases_without_partner_are_counted(tmp_path, folders):
    for number in range(9):
        save(folders[1] / f"x{number}.nii.gz", two_boxes())
    with pytest.raises(DataError, match=r"no truth of x0, x1, x2, x3, x4, … \(9 in all\)$"):
        pair_up(*folders)


def test_wrong_folders_and_files(folders, tmp_path):
    truth, net = folders
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        pair_up(truth, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="expected two files or two folders"):
        pair_up(truth, net / "a.nii")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no NIfTI files"):
        pair_up(truth, tmp_path / "empty")
    save(net / "a.nii.gz", two_boxes())
    with pytest.raises(DataError, match=r"a\.nii\.gz: the case is there twice, as a\.nii too"):
        pair_up(truth, net)


def test_affines_may_differ_by_a_tenth_of_a_voxel(tmp_path):
    truth = save(tmp_path / "truth.nii", two_boxes(3))
    near, far = (save(tmp_path / f"{moved}.nii", two_boxes(3), moved_mm=moved) for moved in (0.04, 0.06))
    score_pairs(pair_up(truth, near), Scoring(LABELS), "near")
    with pytest.raises(DataError, match=r"0\.06\.nii: its affine .* corners lie 0\.06 mm apart, 0\.05 mm"):
        score_pairs(pair_up(truth, far), Scoring(LABELS), "far")


def test_turned_grids_are_refused(tmp_path):
    truth = save(tmp_path / "truth.nii", two_boxes(3))
    nib.save(nib.Nifti1Image(two_boxes(3), np.diag([-0.5, 1, 3, 1])), tmp_path / "turned.nii")
    with pytest.raises(DataError, match=r"turned\.nii: its affine .* corners lie 11 mm apart"):
        score_pairs(pair_up(truth, tmp_path / "turned.nii"), Scoring(LABELS), "turned")


def test_values_that_no_label_has_are_refused_in_predictions_alone(tmp_path):
    more, fewer = save(tmp_path / "more.nii", two_boxes(3, 3)), save(tmp_path / "fewer.nii", two_boxes(3))
    score_pairs(pair_up(more, fewer), Scoring({1: "spleen"}), "fewer")
    with pytest.raises(DataError, match=r"more\.nii: values 2 are not among the labels \{1: 'spleen'\}"):
        score_pairs(pair_up(fewer, more), Scoring({1: "spleen"}), "more")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": {1: "mean"}}, "distinct names"),
        ({"tolerance_mm": -1.0}, "tolerance_mm"),
        ({"tolerance_mm": np.nan}, "tolerance_mm"),
        ({"ignore_label": 1}, "ignore_label=1"),
    ],
)
def test_settings_are_checked_before_any_file_is_read(settings, message):
    with pytest.raises(ConfigError, match=message):
        Scoring(**{"labels": LABELS, **settings})


def test_only_earlier_scores_of_the_same_predictions_are_overwritten(folders, tmp_path):
    scores, _ = score_pairs(pair_up(*folders), Scoring(LABELS), "net")
    check_out(tmp_path / "absent.csv", "net")
    scores.to_csv(tmp_path / "net.csv", index=False)
    check_out(tmp_path / "net.csv", "net")
    scores.assign(loss="other").to_csv(tmp_path / "other.csv", index=False)
    scores.assign(seed=0).to_csv(tmp_path / "run.csv", index=False)
    (tmp_path / "notes.csv").write_text("mine,\nand nobody's\n")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    for name in ("other.csv", "run.csv", "notes.csv", "empty.csv", "binary.csv", "truth"):
        with pytest.raises(ConfigError, match=f"{name} exists and does not hold scores of net"):
            check_out(tmp_path / name, "net")


# --- the command


def test_the_command_prints_the_table_and_writes_the_scores(folders, tmp_path, monkeypatch, capsys):
    out = tmp_path / "made" / "scores.csv"
    arguments = ("score", *folders, "--labels", "1=spleen,2=liver", "--tolerance-mm", 2, "--lesions", "--out", out)
    for _ in range(2):  # the second time over its own table
        code, printed, _ = tfseg(monkeypatch, capsys, *arguments)
        assert code == 0
    rows = [line.split() for line in printed.splitlines()]
    scores, summary = score_pairs(pair_up(*folders), Scoring(LABELS, tolerance_mm=2, lesions=True), "net")
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
    assert "notes.csv exists and does not hold scores of truth" in error
    assert out.read_text() == "mine\n"
