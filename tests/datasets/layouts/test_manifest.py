import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.layouts import Case, read_dataset
from tfseg.datasets.splits import Split


@pytest.fixture
def write(tmp_path, save_volume):
    """Writes a manifest, and the label maps a, b and c that it may name."""

    def write(text, name="manifest.csv"):
        for label in "abc":
            save_volume(tmp_path / "labels" / f"{label}.nii.gz", np.eye(3, dtype=np.uint8)[..., np.newaxis])
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_a_row_is_a_case(write):
    folder = write("subject,image,label\n007,x/a.nii,labels/a.nii.gz\nNA,x/b.nii,labels/b.nii.gz\n")
    read = read_dataset(folder)
    assert (read.name, read.layout, read.channels) == (folder.name, "manifest", ("image",))
    assert (read.labels, read.splits) == ({1: "foreground"}, None)
    assert read.cases == (
        Case("007", "007", (folder / "x/a.nii",), folder / "labels/a.nii.gz"),
        Case("NA", "NA", (folder / "x/b.nii",), folder / "labels/b.nii.gz"),
    )


def test_a_column_per_channel_and_a_manifest_of_another_name(write):
    folder = write("label,image_T2w,subject,image_CT\nlabels/a.nii.gz,t2.nii,1,ct.nii\n", "mine.csv")
    read = read_dataset(folder / "mine.csv")
    assert read.channels == ("T2w", "CT")
    assert read.cases[0].images == (folder / "t2.nii", folder / "ct.nii")
    with pytest.raises(DataError, match="expected a dataset in one of the layouts "):
        read_dataset(folder)


def test_2d_images_in_colour_and_volumes_of_several_channels(write, save_image_2d, save_volume):
    folder = write("subject,image,label\n1,gone.png,labels/a.nii.gz\n2,b.png,labels/b.nii.gz\n")
    save_image_2d(folder / "b.png", np.zeros((3, 4, 3), np.uint8))
    assert read_dataset(folder).channels == ("red", "green", "blue")
    save_image_2d(folder / "b.png", np.zeros((3, 4), np.uint8))
    assert read_dataset(folder).channels == ("grey",)
    save_volume(folder / "mr.nii.gz", np.zeros((3, 4, 5, 2), np.float32))
    write("subject,image,label\n1,mr.nii.gz,labels/a.nii.gz\n")
    assert read_dataset(folder).channels == ("image_0", "image_1")
    write("subject,image_MR,image_CT,label\n1,mr.nii.gz,gone.nii,labels/a.nii.gz\n")
    assert read_dataset(folder).channels == ("MR_0", "MR_1", "CT")


def test_cases_of_one_subject_are_called_by_their_image_or_by_the_column_case(write):
    rows = ["1,x/a_1.nii.gz,labels/a.nii.gz", "1,x/a_2.nii.gz,labels/b.nii.gz"]
    read = read_dataset(write("\n".join(["subject,image,label", *rows])))
    assert [(case.name, case.subject) for case in read.cases] == [("a_1", "1"), ("a_2", "1")]
    read = read_dataset(write("\n".join(["case,subject,image,label", *(f"v{i},{row}" for i, row in enumerate(rows))])))
    assert [(case.name, case.subject) for case in read.cases] == [("v0", "1"), ("v1", "1")]


def test_cases_of_one_subject_and_one_file_name_are_called_by_their_folders_too(write):
    rows = ["1,v1/T1.nii.gz,labels/a.nii.gz", "1,v2/T1.nii.gz,labels/b.nii.gz", "2,/x/v/T1.nii.gz,labels/c.nii.gz"]
    read = read_dataset(write("\n".join(["subject,image,label", *rows])))
    assert [case.name for case in read.cases] == ["v1_T1", "v2_T1", "_x_v_T1"]


def test_blanks_around_cells_are_no_part_of_them(write):
    rows = ["1 , v1,x/a_1.nii.gz ,labels/a.nii.gz ", "1,v2\t,x/a_2.nii.gz, labels/b.nii.gz"]
    folder = write("\n".join(["subject ,case, image,label ", *rows]))
    assert read_dataset(folder).cases == (
        Case("v1", "1", (folder / "x/a_1.nii.gz",), folder / "labels/a.nii.gz"),
        Case("v2", "1", (folder / "x/a_2.nii.gz",), folder / "labels/b.nii.gz"),
    )


def test_the_same_manifest_in_other_spellings(write):
    plain = "subject,image,label\n1,a.nii,labels/a.nii.gz\n2,b.nii,labels/b.nii.gz\n"
    for text in (
        plain,
        # empty lines, and columns without a name
        "subject,image,label\n\n1,a.nii,labels/a.nii.gz\n , ,\n2,b.nii,labels/b.nii.gz\n\n",
        "subject,image,label\n1,a.nii,labels/a.nii.gz,\n2,b.nii,labels/b.nii.gz,\n",
        "subject,image,label,\n1,a.nii,labels/a.nii.gz,\n2,b.nii,labels/b.nii.gz,\n",
        ",subject,image,label\n0,1,a.nii,labels/a.nii.gz\n1,2,b.nii,labels/b.nii.gz\n",
        # as other programs and systems write it
        plain.replace(",", ";"),
        plain.replace(",", "\t"),
        plain.replace("\n", "\r"),
        plain.replace("subject,image,label", "Subject,IMAGE,Label"),
        plain.replace("subject", '"subject"').replace(",", "; "),
        plain.replace("\n", "\r\n"),
        plain.replace("labels/", "labels\\"),
    ):
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            folder = write("")
            (folder / "manifest.csv").write_bytes(text.encode(encoding))
            read = read_dataset(folder)
            assert [(case.subject, *case.images, case.label) for case in read.cases] == [
                ("1", folder / "a.nii", folder / "labels/a.nii.gz"),
                ("2", folder / "b.nii", folder / "labels/b.nii.gz"),
            ]


def test_capitals_in_the_name_of_a_channel_stay(write):
    read = read_dataset(write("Subject;Image_T1w;IMAGE_flair;Label\n1;a.nii;b.nii;labels/a.nii.gz\n"))
    assert read.channels == ("T1w", "flair")


def test_cells_that_a_row_lacks_are_empty(write):
    read = read_dataset(write("subject,image,label,strata\n1,a.nii,labels/a.nii.gz\n2,b.nii,labels/b.nii.gz,x\n"))
    assert [case.strata for case in read.cases] == ["", "x"]


def test_splits_and_strata(write):
    rows = [
        f"{n},{n}.nii,labels/a.nii.gz,{part},site {n % 2}" for n, part in enumerate(("test", "val", "train", "train"))
    ]
    read = read_dataset(write("\n".join(["subject,image,label,split,strata", *rows])))
    assert read.splits == (Split(train=("2", "3"), val=("1",), test=("0",)),)
    assert [case.strata for case in read.cases] == ["site 0", "site 1", "site 0", "site 1"]


def test_what_is_missing_is_said(write):
    for text, said in (
        ("", "not a readable CSV file"),
        ("subject,image\n1,a.nii", "no column label; there are subject, image"),
        ("subject,scan,label\n1,a.nii,b.nii", "no column image; there are"),
        ("subject,image,label\n1,a.nii,labels/a.nii.gz\n2,,labels/a.nii.gz", "line 3: image is empty"),
        ("subject,image,label\n\n1,a.nii,b.nii\n\n2,c.nii,", "line 5: label is empty"),
        ("subject,image,label\n1,a.nii,b.nii,c.nii", "line 2: 4 cells, but there are 3 columns"),
        ("subject,image, image,label\n1,a.nii,c.nii,b.nii", "2 columns are called image; each needs a name of its own"),
        ('subject,image,label\n1,a.nii,"b.nii\n', "line 2: not readable as CSV: unexpected end"),
        ("subject,image,label,split\n1,a,labels/a.nii.gz,train", "split expects train, val and test"),
        (
            "subject,image,label,split\n"
            + "\n".join(f"{n % 3},a,labels/a.nii.gz,{part}" for n, part in enumerate(("train", "val", "test", "test"))),
            "the subject 0 is on two sides of the split",
        ),
        ("subject,image,label\n", "no cases"),
        ("subject|image|label\n1|a|b", "no column subject and no label and no image; there are subject|image|label"),
        ("subject,image,label\n1,a.nii\0,labels/a.nii.gz", "a.nii\\x00' holds a zero byte"),
        ("subject,image,label\n../1,a.nii,labels/a.nii.gz", "the case name '../1' cannot name a folder"),
        ("case,subject,image,label\n,1,a.nii,labels/a.nii.gz", "the case name '' cannot name a folder"),
    ):
        with pytest.raises(DataError) as refused:
            read_dataset(write(text))
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
