import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.layouts import read_dataset


@pytest.fixture
def write(tmp_path, save_volume):
    """Writes a small label map, of the values 0 to 2, under each name."""

    def write(*names):
        for name in names:
            save_volume(tmp_path / name, np.arange(27, dtype=np.uint8).reshape(3, 3, 3) % 3)
        return tmp_path

    return write


def listed(folder):
    return {
        case.name: (case.subject, [str(path.relative_to(folder)) for path in (*case.images, case.label)])
        for case in read_dataset(folder).cases
    }


def test_subjects_and_sessions_are_in_the_names(write):
    folder = write(
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_dseg.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_dseg.nii.gz",
    )
    read = read_dataset(folder)
    assert (read.layout, read.channels, read.labels) == ("bids", ("T1w",), {1: "label_1", 2: "label_2"})
    assert listed(folder) == {
        f"sub-01_ses-{session}": (
            "01",
            [f"sub-01/ses-{session}/anat/sub-01_ses-{session}_{suffix}.nii.gz" for suffix in ("T1w", "dseg")],
        )
        for session in "ab"
    }


def test_images_of_raw_data_go_with_labels_of_derivatives(write):
    folder = write(
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-1/anat/sub-1_acq-3d_FLAIR.nii.gz",
        "derivatives/manual/sub-1/anat/sub-1_space-orig_label-lesion_mask.nii.gz",
    )
    assert read_dataset(folder).channels == ("T1w", "acq-3d_FLAIR")
    assert listed(folder) == {
        "sub-1": (
            "1",
            [
                "sub-1/anat/sub-1_T1w.nii.gz",
                "sub-1/anat/sub-1_acq-3d_FLAIR.nii.gz",
                "derivatives/manual/sub-1/anat/sub-1_space-orig_label-lesion_mask.nii.gz",
            ],
        )
    }


def test_images_beside_the_label_come_before_those_of_the_raw_data(write):
    folder = write(
        "sub-1/anat/sub-1_T1w.nii.gz",
        "derivatives/p/sub-1/anat/sub-1_space-MNI_desc-preproc_T1w.nii.gz",
        "derivatives/p/sub-1/anat/sub-1_space-MNI_dseg.nii.gz",
    )
    assert read_dataset(folder).channels == ("desc-preproc_T1w",)


def test_channels_are_those_of_most_cases_and_a_missing_one_is_a_missing_file(write):
    names = [f"sub-{n}/anat/sub-{n}_{kind}.nii.gz" for n in "123" for kind in ("T1w", "T2w", "dseg")]
    folder = write(*(name for name in names if name not in names[4:5]), "sub-3/anat/sub-3_PDw.nii.gz")
    read = read_dataset(folder)
    assert read.channels == ("T1w", "T2w")
    assert [case.name for case in read.cases if not all(path.is_file() for path in case.images)] == ["sub-2"]


def test_an_image_without_a_label_is_a_case(write):
    folder = write("sub-1/sub-1_T1w.nii.gz", "sub-1/sub-1_dseg.nii.gz", "sub-2/sub-2_T1w.nii.gz")
    labels = [case.label for case in read_dataset(folder).cases]
    assert [path.is_file() for path in labels] == [True, False]
    assert labels[1] == folder / "sub-2/sub-2_dseg.nii.gz"


def test_a_segmentation_comes_before_a_mask_and_a_lesion_before_the_brain(write):
    folder = write(
        "sub-1/sub-1_T1w.nii.gz", "sub-1/sub-1_desc-brain_mask.nii.gz", "sub-1/sub-1_label-lesion_mask.nii.gz"
    )
    assert read_dataset(folder).cases[0].label.name == "sub-1_label-lesion_mask.nii.gz"
    write("sub-1/sub-1_dseg.nii.gz")
    assert read_dataset(folder).cases[0].label.name == "sub-1_dseg.nii.gz"


def test_two_kinds_of_labels_are_refused(write):
    folder = write("sub-1/sub-1_T1w.nii.gz", "sub-1/sub-1_label-a_mask.nii.gz", "sub-1/sub-1_label-b_mask.nii.gz")
    with pytest.raises(DataError, match="label maps of several kinds: label-a_mask, label-b_mask; list those"):
        read_dataset(folder)


def test_of_several_spaces_that_of_the_label_is_taken(write):
    folder = write(
        "sub-1/anat/sub-1_T1w.nii.gz",
        "derivatives/p/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz",
        "derivatives/p/sub-1/anat/sub-1_space-A_desc-preproc_T1w.nii.gz",
        "derivatives/p/sub-1/anat/sub-1_space-B_desc-preproc_T1w.nii.gz",
        "derivatives/p/sub-1/anat/sub-1_space-A_dseg.nii.gz",
    )
    assert listed(folder)["sub-1"][1][0] == "derivatives/p/sub-1/anat/sub-1_space-A_desc-preproc_T1w.nii.gz"


@pytest.mark.parametrize(
    ("others", "first"),
    [
        (
            ["sub-1/sub-1_space-A_T1w.nii.gz", "sub-1/sub-1_res-2_T1w.nii.gz", "sub-1/sub-1_space-B_dseg.nii.gz"],
            "res-2",
        ),
        (["sub-1/sub-1_T1w.nii.gz", "sub-1/sub-1_space-A_dseg.nii.gz", "sub-1/sub-1_space-B_dseg.nii.gz"], "space-A"),
        (["sub-1/sub-1_T1w.nii.gz", "sub-1/sub-1_T1w.nii", "sub-1/sub-1_dseg.nii.gz"], "T1w.nii"),
    ],
)
def test_two_files_of_one_kind_are_refused(write, others, first):
    with pytest.raises(DataError, match=rf"sub-1_{first}\S* and sub-1/\S* are of one kind; list those to use in a man"):
        read_dataset(write(*others))


def test_a_map_of_probabilities_is_no_channel(write):
    folder = write("sub-1/sub-1_T1w.nii.gz", "sub-1/sub-1_label-GM_probseg.nii.gz", "sub-1/sub-1_dseg.nii.gz")
    assert read_dataset(folder).channels == ("T1w",)


def test_a_mask_of_the_face_is_no_channel(write):
    folder = write("sub-1/sub-1_T1w.nii.gz", "sub-1/sub-1_mod-T1w_defacemask.nii.gz", "sub-1/sub-1_dseg.nii.gz")
    assert read_dataset(folder).channels == ("T1w",)


RAW = ("anat/sub-{}_T1w", "anat/sub-{}_FLAIR", "func/sub-{}_task-rest_bold", "dwi/sub-{}_dwi", "fmap/sub-{}_magnitude1")


@pytest.mark.parametrize(
    ("place", "channels"),
    [
        ("anat/", ("FLAIR", "T1w")),
        ("dwi/", ("dwi",)),
        ("", ("FLAIR", "T1w", "dwi", "magnitude1", "task-rest_bold")),
    ],
)
def test_images_are_those_of_the_labels_datatype_where_there_are_any(write, place, channels):
    images = [f"sub-{n}/{name.format(n)}.nii.gz" for n in "123" for name in RAW]
    read = read_dataset(write(*images, *(f"derivatives/l/sub-{n}/{place}sub-{n}_dseg.nii.gz" for n in "12")))
    assert read.channels == channels
    assert [case.label.is_file() for case in read.cases] == [True, True, False]
    assert all(path.is_file() for case in read.cases for path in case.images)


def test_two_files_of_another_datatype_do_not_matter(write):
    bold = [f"sub-{n}/func/sub-{n}_task-rest_bold.nii{end}" for n in "12" for end in ("", ".gz")]
    images = [f"sub-{n}/anat/sub-{n}_T1w.nii.gz" for n in "12"]
    read = read_dataset(write(*bold, *images, "derivatives/l/sub-1/anat/sub-1_dseg.nii.gz"))
    assert (read.channels, len(read.cases)) == (("T1w",), 2)


def test_a_table_names_the_labels(write):
    folder = write("sub-1/sub-1_T1w.nii.gz", "sub-1/sub-1_dseg.nii.gz")
    (folder / "desc-x_dseg.tsv").write_text("index\tname\tcolor\n0\tair\t#000\n2\tthalamus\t#fff\n1\tcaudate\t#eee\n")
    assert read_dataset(folder).labels == {1: "caudate", 2: "thalamus"}
    (folder / "desc-x_dseg.tsv").write_text("id\tname\n1\tcaudate\n")
    with pytest.raises(DataError, match=r"desc-x_dseg\.tsv: expected the columns index and name"):
        read_dataset(folder)
    (folder / "desc-x_dseg.tsv").write_text("index\tname\n1\tcaudate\n1\tputamen\n")
    with pytest.raises(DataError, match=r"desc-x_dseg\.tsv: .*1 has two names, 'caudate' and 'putamen'"):
        read_dataset(folder)
    (folder / "desc-x_dseg.tsv").write_text("index\tname\n1\tcaudate\n2\n")
    with pytest.raises(DataError, match=r"desc-x_dseg\.tsv: .*2 has no name"):
        read_dataset(folder)


PAIRS = [f"sub-{n}/anat/sub-{n}_{suffix}.nii.gz" for n in "123" for suffix in ("T1w", "dseg")]


def test_each_label_map_has_the_nearest_table(write):
    folder = write(*PAIRS)
    table = "index\tname\n{}\tleft\n{}\tright\n"
    (folder / "dseg.tsv").write_text(table.format(2, 1))  # counts for none, since each has its own
    for n in "123":
        (folder / f"sub-{n}/anat/sub-{n}_dseg.tsv").write_text(table.format(1, 2), encoding="utf-8-sig")
    assert read_dataset(folder).labels == {1: "left", 2: "right"}
    (folder / "sub-2/anat/sub-2_dseg.tsv").write_text("index\tname\n2\tright\n")  # names fewer
    assert read_dataset(folder).labels == {1: "left", 2: "right"}
    (folder / "sub-2/anat/sub-2_dseg.tsv").unlink()
    with pytest.raises(DataError, match=r"dseg\.tsv: 1 is left, in .*dseg\.tsv right|sub-\d_dseg\.tsv: 1 is left"):
        read_dataset(folder)


def test_tables_that_number_structures_differently_are_refused(write):
    folder = write(*PAIRS)
    for n, rows in (("1", "1\tleft\n2\tright\n"), ("2", "2\tleft\n1\tright\n"), ("3", "1\tleft\n")):
        (folder / f"sub-{n}/anat/sub-{n}_dseg.tsv").write_text(f"index\tname\n{rows}")
    with pytest.raises(DataError, match=r"sub-2_dseg\.tsv: 1 is right, in .*sub-1_dseg\.tsv left"):
        read_dataset(folder)
    (folder / "sub-2/anat/sub-2_dseg.tsv").write_text("index\tname\n3\tleft\n")
    with pytest.raises(DataError, match=r"sub-2_dseg\.tsv: left is 3, in .*sub-1_dseg\.tsv 1"):
        read_dataset(folder)
    (folder / "labels.json").write_text('{"1": "a", "2": "b"}')
    assert read_dataset(folder).labels == {1: "a", 2: "b"}


def test_a_label_map_without_a_session_belongs_to_the_only_one(write):
    images = [f"sub-{n}/ses-1/anat/sub-{n}_ses-1_run-1_T1w.nii.gz" for n in "12"]
    folder = write(*images, *(f"derivatives/x/sub-{n}/anat/sub-{n}_dseg.nii.gz" for n in "12"))
    assert listed(folder) == {
        f"sub-{n}_ses-1_run-1": (n, [images[int(n) - 1], f"derivatives/x/sub-{n}/anat/sub-{n}_dseg.nii.gz"])
        for n in "12"
    }
    write("sub-2/ses-2/anat/sub-2_ses-2_T1w.nii.gz")
    said = r"sub-2_dseg\.nii\.gz may belong to sub-2_ses-1_run-1, sub-2_ses-2; name its session and run"
    with pytest.raises(DataError, match=said):
        read_dataset(folder)


def test_an_image_without_a_session_may_have_a_label_map_with_one(write):
    folder = write("sub-1/anat/sub-1_T1w.nii.gz", "derivatives/x/sub-1/ses-a/anat/sub-1_ses-a_dseg.nii.gz")
    assert list(listed(folder)) == ["sub-1"]


def test_files_that_are_left_out_are_reported(write):
    folder = write(*PAIRS, "sub-1/anat/sub-1_label-x_mask.nii.gz", "sub-1/anat/sub-1_PDw.nii.gz")
    assert read_dataset(folder).warnings == (
        f"{folder}: 1 file is not read, label maps of another kind than those used: "
        "sub-1/anat/sub-1_label-x_mask.nii.gz",
        f"{folder}: 1 file is not read, images of a kind that most label maps do not have: sub-1/anat/sub-1_PDw.nii.gz",
    )


def test_capitals_and_other_formats_are_read_and_hidden_folders_skipped(write):
    folder = write(*PAIRS, "sub-4/anat/sub-4_T1w.nii.gz", "sub-4/anat/sub-4_dseg.nii.gz")
    for name in ("T1w", "dseg"):
        path = folder / f"sub-4/anat/sub-4_{name}.nii.gz"
        path.rename(path.with_name(f"sub-4_{name}.NII.GZ"))
    write(".heudiconv/sub-5/anat/sub-5_T1w.nii.gz", "sub-1/.cache/sub-1_ses-9_dseg.nii.gz")
    assert list(listed(folder)) == ["sub-1", "sub-2", "sub-3", "sub-4"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["sub-1/sub-1_T1w.nii.gz"], "no label maps, whose names end in _dseg, _seg, _roi, _mask"),
        (["sub-1/sub-1_dseg.nii.gz"], "no kind of image exists for most label maps; found none"),
    ],
)
def test_a_dataset_without_labels_or_images_is_refused(write, names, said):
    with pytest.raises(DataError, match=said):
        read_dataset(write(*names))


def test_volumes_that_are_not_named_as_bids_files_are_reported(write):
    folder = write(
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-1/anat/sub-1_T1w_defaced.nii.gz",
        "derivatives/x/sub-1/anat/sub-1_dseg.nii.gz",
        "derivatives/x/sub-2/lesion.nii.gz",
    )
    (warning,) = read_dataset(folder).warnings
    assert warning == (
        f"{folder}: 2 files are not read, not named as BIDS files, such as sub-01_T1w: "
        "derivatives/x/sub-2/lesion.nii.gz, sub-1/anat/sub-1_T1w_defaced.nii.gz"
    )


def test_a_table_without_the_columns_is_refused(write):
    folder = write("sub-1/anat/sub-1_T1w.nii.gz", "derivatives/x/sub-1/anat/sub-1_dseg.nii.gz")
    for text, found in (("1\tliver\n", "1, liver"), ("", "nothing"), ("index;name\n1;liver\n", "index;name")):
        (folder / "derivatives/x/dseg.tsv").write_text(text)
        with pytest.raises(DataError, match=f"dseg.tsv: expected the columns index and name: found {found}$"):
            read_dataset(folder)
