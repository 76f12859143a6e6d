"""Files are paired by name, and their label values are named."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.names import stem
from tfseg.evaluation.pairs import Pair, Structures, other_files, pair_up, structures_of

LABELS = {1: "spleen", 2: "liver"}


def save(path, *values):
    """Write a label map of 4×4×4 with one voxel of each value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros((4, 4, 4), np.uint8)
    array.flat[: len(values)] = values
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return path


@pytest.fixture
def folders(tmp_path):
    """Truths and predictions of three cases, with different suffixes."""
    for name, values in (("a", (1, 2)), ("b", (1,)), ("c", ())):
        save(tmp_path / "truth" / f"{name}.nii.gz", *values)
        save(tmp_path / "net" / f"{name}.nii", *values)
    return tmp_path / "truth", tmp_path / "net"


def test_files_are_matched_by_name_and_hidden_ones_left_out(folders):
    (folders[0] / "._a.nii.gz").write_bytes(b"what macOS leaves")
    (folders[0] / "notes.txt").write_text("no image")
    assert pair_up(*folders)[1] == Pair("b", folders[0] / "b.nii.gz", folders[1] / "b.nii")


def test_two_files_are_a_case_whatever_their_names(tmp_path):
    truth, prediction = (save(tmp_path / name, 1) for name in ("case.nii.gz", "unet.nii.gz"))
    assert pair_up(truth, prediction) == [Pair("case", truth, prediction)]
    assert stem(prediction) == "unet"


def test_links_keep_their_names_and_a_dot_has_that_of_its_folder(folders, monkeypatch):
    (folders[1] / "a.nii").rename(folders[1].parent / "stored")
    (folders[1] / "a.nii").symlink_to(folders[1].parent / "stored")
    assert [pair.case for pair in pair_up(*folders)] == ["a", "b", "c"]
    monkeypatch.chdir(folders[1])
    assert stem(Path(".")) == "net"
    assert stem(Path("..") / "truth") == "truth"


def test_a_decathlon_folder_names_its_labels(decathlon):
    pairs = pair_up(decathlon, decathlon / "labelsTr")
    assert [pair.case for pair in pairs] == [f"case_{number}" for number in range(6)]
    assert structures_of(None, decathlon, pairs).labels == {1: "left", 2: "right"}


def test_labels_are_found_in_the_truths_and_named_by_number(folders):
    assert structures_of(None, folders[0], pair_up(*folders)).labels == {1: "1", 2: "2"}
    assert structures_of(None, folders[0], pair_up(*folders), ignore_label=2).labels == {1: "1"}


@pytest.mark.parametrize(
    "described", [{"0": "background", "2": "liver", "1": "spleen"}, {"background": 0, "spleen": 1, "liver": 2}]
)
def test_labels_of_a_dataset_json(tmp_path, described):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": described}))
    assert structures_of(str(path), tmp_path, []).labels == LABELS
    assert structures_of(str(path), tmp_path, [], ignore_label=2).labels == {1: "spleen"}


def test_labels_as_they_are_typed():
    assert structures_of("2=liver,1=spleen", None, []).labels == {2: "liver", 1: "spleen"}
    assert structures_of("0=background,-1=a b", None, []).labels == {0: "background", -1: "a b"}


@pytest.mark.parametrize("text", ["", "spleen", "1=spleen,", "1=", "1.5=spleen", "1=spleen,1=liver"])
def test_other_labels_are_refused(text):
    with pytest.raises(ConfigError, match=r"--labels: expected value=name,value=name or a dataset\.json"):
        structures_of(text, None, [])


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", '{"labels": ["a"]}', '{"labels": {"a": "b"}}'),
        *('{"labels": {"a": 1.5}}', '{"labels": {"a": true}}', '{"labels": {"whole": [1, "b"]}}'),
        '{"labels": {"liver": 1, "hepar": 1}}',
    ],
)
def test_a_damaged_dataset_json_is_named(tmp_path, content):
    path = tmp_path / "dataset.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"dataset\.json: not labels"):
        structures_of(str(path), tmp_path, [])


def test_no_labels_anywhere(tmp_path):
    truth = save(tmp_path / "empty.nii")
    with pytest.raises(DataError, match=r"empty\.nii: no label in it; name the values with --labels"):
        structures_of(None, truth, pair_up(truth, truth))


def test_predictions_without_truth_and_the_reverse(folders):
    (folders[0] / "a.nii.gz").unlink()
    (folders[1] / "b.nii").unlink()
    with pytest.raises(DataError, match=r"truth and .*net do not match: no prediction of b; no truth of a$"):
        pair_up(*folders)


def test_many_cases_without_partner_are_counted(tmp_path, folders):
    for number in range(9):
        save(folders[1] / f"x{number}.nii.gz")
    with pytest.raises(DataError, match=r"no truth of x0, x1, x2, x3, x4, … \(9 in all\)$"):
        pair_up(*folders)


def test_wrong_folders_and_files(folders, tmp_path):
    truth, net = folders
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        pair_up(truth, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="expected two files or two folders"):
        pair_up(truth, net / "a.nii")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no label maps in it .* it holds nothing"):
        pair_up(truth, tmp_path / "empty")
    save(net / "a.nii.gz")
    with pytest.raises(DataError, match=r"a\.nii\.gz: the same case as a\.nii"):
        pair_up(truth, net)


def test_a_name_that_is_not_utf_8_is_refused(folders):
    truth, _ = folders
    (truth / "p\udce9.nii.gz").touch()
    with pytest.raises(DataError, match=r"p\\xe9\.nii\.gz: its name is not UTF-8; rename it"):
        pair_up(*folders)


def test_suffixes_count_in_any_case(tmp_path):
    for name in ("a.nii.gz", "b.NII.GZ", "c.Nii"):
        save(tmp_path / "made.nii.gz" if name.endswith("GZ") else tmp_path / "made.nii", 1).rename(tmp_path / name)
    assert [pair.case for pair in pair_up(tmp_path, tmp_path)] == ["a", "b", "c"]


def test_a_header_with_its_voxels_is_one_case(tmp_path):
    for name in ("a.hdr", "a.img", "b.img", "b.hdr"):
        (tmp_path / name).touch()
    assert [pair.truth.name for pair in pair_up(tmp_path, tmp_path)] == ["a.hdr", "b.hdr"]


def test_files_that_are_no_label_maps_are_listed(folders):
    for name in ("dataset.json", "notes.txt", "a.npz", ".hidden"):
        (folders[0] / name).touch()
    assert [path.name for path in other_files(folders[0])] == ["a.npz", "notes.txt"]


def test_a_declaration_counts_beside_the_truths_and_above_their_folder(tmp_path):
    truth = save(tmp_path / "labelsTr" / "a.nii.gz", 1, 2, 9)
    (tmp_path / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "spleen": 1, "liver": 2, "ignore": 9}})
    )
    expected = Structures(LABELS, 9, is_complete=True)
    for given in (tmp_path, tmp_path / "labelsTr", truth):
        assert structures_of(None, given, pair_up(truth, truth)) == expected
    assert structures_of(None, truth, [], ignore_label=2).labels == {1: "spleen"}
    (tmp_path / "labelsTr" / "labels.json").write_text('{"1": "milt"}')
    assert structures_of(None, truth, pair_up(truth, truth)).labels == {1: "milt"}
    elsewhere = save(tmp_path / "truths" / "a.nii.gz", 1, 2, 9)
    assert structures_of(None, elsewhere, pair_up(elsewhere, elsewhere)).labels == {1: "1", 2: "2", 9: "9"}
