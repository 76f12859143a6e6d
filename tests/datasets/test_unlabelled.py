"""Scans without label maps are listed: which files belong to one scan, and what is refused."""

import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.unlabelled import find_scans


def listed(source, channels):
    return {case.name: [path.name for path in case.images] for case in find_scans(source, channels).cases}


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_channels_are_known_by_number_or_name(tmp_path):
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
    cases, warnings = find_scans(decathlon, ["MRI"])
    assert warnings == ()
    assert [case.name for case in cases] == [f"case_{number}" for number in range(6)]
    assert all(case.label is None for case in cases)


def test_what_cannot_be_listed_is_refused_in_one_line(tmp_path):
    touch(tmp_path, "bad.nii.gz", "bad.txt")
    for name, message in (
        ("gone", "gone: no such file or folder$"),
        ("bad.nii", "file or folder; there is bad.nii.gz$"),
    ):
        with pytest.raises(DataError, match=message):
            find_scans(tmp_path / name, ["CT"])
    latin = touch(tmp_path / "latin", "p\udce9.nii.gz")
    with pytest.raises(DataError, match=r"latin/p\\xe9.nii.gz: its name is not UTF-8; rename it"):
        find_scans(latin, ["CT"])
    twice = touch(tmp_path / "twice", "p.nii.gz", "p.nrrd")
    with pytest.raises(DataError, match=r"2 files or series are of the case p: p.nii.gz and p.nrrd"):
        find_scans(twice, ["CT"])
    (tmp_path / "empty").mkdir()
    touch(tmp_path / "empty", "notes.txt")
    with pytest.raises(DataError, match=r"empty: no scan in it; expected NIfTI, .*, found notes\.txt"):
        find_scans(tmp_path / "empty", ["CT"])


def test_numbered_files_of_more_channels_than_the_networks_take_are_refused(tmp_path):
    """Whether or not every scan has all of them."""
    names = [f"{case}_{number:04d}.nii.gz" for case in "pq" for number in range(3)]
    folder = touch(tmp_path / "three", *names, "r_0000.nii.gz")
    for channels in (["T1"], ["T1", "T2"]):
        message = f"p_0000.nii.gz to p_0002.nii.gz are numbered as 3 channels of one scan; .* {', '.join(channels)}; "
        with pytest.raises(DataError, match=message):
            find_scans(folder, channels)
    assert list(listed(folder, ["T1", "T2", "T3"])) == ["p", "q", "r"]


def test_one_name_with_numbers_is_several_scans_of_one_channel_which_is_reported(tmp_path):
    folder = touch(tmp_path / "one", "p_0000.nii.gz", "p_0001.nii.gz")
    cases, (warning,) = find_scans(folder, ["T1"])
    assert [case.name for case in cases] == ["p_0000", "p_0001"]
    assert warning.startswith(f"{folder}: p_0000.nii.gz and p_0001.nii.gz are predicted as 2 scans: the networks take")
    assert find_scans(folder, ["T1", "T2"]).warnings == ()
    assert find_scans(touch(tmp_path / "patients", "p_0001.nii.gz", "p_0002.nii.gz"), ["T1"]).warnings == ()
    touch(folder, "p_0002.nii.gz")
    with pytest.raises(DataError, match="numbered as 3 channels of one scan"):
        find_scans(folder, ["T1", "T2"])


def test_a_list_without_scans_and_names_that_lead_out_of_the_folder_are_refused(tmp_path):
    touch(tmp_path, "x.nii.gz")
    for row, message in (
        ("", "no scan is listed below the header"),
        ("../../elsewhere,x.nii.gz\n", "the case name '../../elsewhere' cannot name a folder"),
        ("sub/x,x.nii.gz\n", "the case name 'sub/x' cannot name a folder"),
        ("a,x.nii.gz\na,x.nii.gz\n", "2 files or series are of the case a"),
    ):
        (tmp_path / "scans.csv").write_text(f"case,image\n{row}")
        with pytest.raises(DataError, match=message):
            find_scans(tmp_path / "scans.csv", ["T1"])


def test_what_is_no_scan_is_reported(tmp_path):
    touch(tmp_path / "in", "p.nii.gz", "q.hdr", "q.img", "notes.txt", ".hidden")
    touch(tmp_path / "in" / "more", "r.nii.gz")
    cases, warnings = find_scans(tmp_path / "in", ["CT"])
    assert [case.name for case in cases] == ["p", "q"]
    (warning,) = warnings
    assert warning.endswith("in: 2 files are not read, not among the scans of this folder: more/r.nii.gz, notes.txt")


def test_a_link_to_a_missing_volume_is_one_scan_of_several(tmp_path):
    """It fails when it is read; the folder is no damaged DICOM series."""
    touch(tmp_path, "a.nii.gz")
    (tmp_path / "b.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    assert list(listed(tmp_path, ["CT"])) == ["a", "b"]
    assert find_scans(tmp_path, ["CT"]).warnings == ()
