"""Scans without label maps are listed: which files belong to one scan, and what is refused."""

import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.unlabelled import find_scans


def listed(source, channels):
    return {case.name: [path.name for path in case.images] for case in find_scans(source, channels)}


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_channels_are_told_apart_by_number_or_name(tmp_path):
    numbered = touch(tmp_path / "a", "p_0001.nii.gz", "p_0000.nii.gz", "q_1_0000.nii.gz", "q_1_0001.nii.gz", "r.nrrd")
    expected = {"r": ["r.nrrd"], "p": ["p_0000.nii.gz", "p_0001.nii.gz"], "q_1": ["q_1_0000.nii.gz", "q_1_0001.nii.gz"]}
    assert listed(numbered, ["T1", "T2"]) == expected
    named = touch(tmp_path / "b", "p_t2.nii.gz", "p_T1.nii.gz")
    assert listed(named, ["T1", "T2"]) == {"p": ["p_T1.nii.gz", "p_t2.nii.gz"]}
    assert listed(named / "p_t2.nii.gz", ["T1", "T2"]) == {"p": ["p_T1.nii.gz", "p_t2.nii.gz"]}


def test_with_one_channel_a_number_is_a_suffix_only_if_every_file_has_it(tmp_path):
    nnunet = touch(tmp_path / "a", "p_0000.nii.gz", "q_0000.nii.gz")
    assert listed(nnunet, ["CT"]) == {"p": ["p_0000.nii.gz"], "q": ["q_0000.nii.gz"]}
    mixed = touch(tmp_path / "b", "p_0000.nii.gz", "q.nii.gz")
    assert listed(mixed, ["CT"]) == {"p_0000": ["p_0000.nii.gz"], "q": ["q.nii.gz"]}


def test_a_list_says_which_file_is_which(tmp_path):
    touch(tmp_path, "x.nii.gz", "y.nii.gz")
    (tmp_path / "scans.csv").write_text("case,image_T2,image_T1\nanna,y.nii.gz,x.nii.gz\n")
    assert listed(tmp_path / "scans.csv", ["T1", "T2"]) == {"anna": ["x.nii.gz", "y.nii.gz"]}
    (tmp_path / "scans.csv").write_text("image\nx.nii.gz\n")
    assert listed(tmp_path / "scans.csv", ["T1"]) == {"x": ["x.nii.gz"]}
    (tmp_path / "scans.csv").write_text("case;image\nanna;\n")
    with pytest.raises(DataError, match="line 2: image is empty"):
        find_scans(tmp_path / "scans.csv", ["T1"])


def test_a_dataset_in_a_known_layout_gives_its_cases_without_labels(decathlon):
    cases = find_scans(decathlon, ["MRI"])
    assert [case.name for case in cases] == [f"case_{number}" for number in range(6)]
    assert all(case.label is None for case in cases)


def test_what_cannot_be_listed_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        find_scans(tmp_path / "gone", ["CT"])
    twice = touch(tmp_path / "twice", "p.nii.gz", "p.nrrd")
    with pytest.raises(DataError, match=r"2 files or series are of the case p: p.nii.gz and p.nrrd"):
        find_scans(twice, ["CT"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected a dataset"):
        find_scans(tmp_path / "empty", ["CT"])
