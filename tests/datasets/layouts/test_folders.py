import json

import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.inspection import find_faults
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.layouts.folders import key_of

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURS = np.stack([GREY] * 3, axis=-1)
MASK = np.where(GREY > 5, 255, 0).astype(np.uint8)


@pytest.fixture
def write(tmp_path, save_picture):
    """Writes pictures and masks by their names."""

    def write(images, masks, folders=("images", "masks"), image=GREY, mask=MASK):
        for name in images:
            save_picture(tmp_path / folders[0] / name, image)
        for name in masks:
            save_picture(tmp_path / folders[1] / name, mask)
        return tmp_path

    return write


def pairs(folder):
    return [
        (case.name, *(str(path.relative_to(folder)) for path in (*case.images, case.label)))
        for case in read_dataset(folder).cases
    ]


@pytest.mark.parametrize("folders", [("images", "masks"), ("imgs", "labels"), ("image", "mask"), ("Img", "LABEL")])
def test_pictures_and_masks_of_the_same_name(write, folders):
    folder = write(["b.jpg", "a.png"], ["a.png", "b.png"], folders)
    read = read_dataset(folder)
    assert (read.name, read.layout, read.channels) == (folder.name, "pictures", ("grey",))
    assert pairs(folder) == [
        ("a", f"{folders[0]}/a.png", f"{folders[1]}/a.png"),
        ("b", f"{folders[0]}/b.jpg", f"{folders[1]}/b.png"),
    ]
    assert [case.subject for case in read.cases] == ["a", "b"]


def test_pictures_in_colour_have_three_channels(write):
    assert read_dataset(write(["a.png"], ["a.png"], image=COLOURS)).channels == ("red", "green", "blue")


@pytest.mark.parametrize(
    ("mask", "labels"),
    [
        (MASK, {255: "foreground"}),
        (MASK // 255, {1: "foreground"}),
        (GREY % 3, {1: "label_1", 2: "label_2"}),
    ],
)
def test_labels_are_the_values_found(write, mask, labels):
    assert read_dataset(write(["a.png"], ["a.png"], mask=mask)).labels == labels


@pytest.mark.parametrize("declared", [{"1": "liver", "2": "tumour"}, {"tumour": 2, "liver": 1, "background": 0}])
def test_declared_labels_come_before_those_found(write, declared):
    folder = write(["a.png"], ["a.png"])
    (folder / "labels.json").write_text(json.dumps(declared))
    assert list(read_dataset(folder).labels.items()) == [(1, "liver"), (2, "tumour")]


def test_too_many_values_are_no_labels(write):
    folder = write(["a.png"], ["a.png"], mask=np.arange(100, dtype=np.uint8).reshape(10, 10))
    said = r"99 label values found \(1 to 99\), most of them in .*masks/a\.png; declare those that are labels"
    with pytest.raises(DataError, match=said):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("mask", "other", "whites"),
    [
        (MASK, MASK // 255, ("masks/a.png marks its foreground with 255", "masks/c.png with 1")),
        (MASK, MASK.astype(np.uint16) * 257, ("masks/c.png marks its foreground with 65535", "masks/a.png with 255")),
    ],
)
def test_masks_of_white_beside_masks_of_another_value_are_refused(write, mask, other, whites):
    write(["a.png", "b.png", "c.png"], ["a.png"], mask=mask)
    write([], ["b.png"], mask=mask * 0)
    folder = write([], ["c.png"], mask=other)
    told = "write all masks alike if they mean the same, else declare the values as labels in labels.json"
    with pytest.raises(DataError) as refused:
        read_dataset(folder)
    assert str(refused.value) == f"{folder}: {', '.join(f'{folder}/{white}' for white in whites)}; {told}"
    (folder / "labels.json").write_text('{"1": "liver", "255": "spleen"}')
    assert read_dataset(folder).labels == {1: "liver", 255: "spleen"}


@pytest.mark.parametrize(("first", "second"), [(MASK // 255, MASK // 255 * 2), (MASK, np.maximum(MASK, 1))])
def test_other_masks_of_several_values_are_labels(write, first, second):
    write(["a.png", "b.png"], ["a.png"], mask=first)
    assert set(read_dataset(write([], ["b.png"], mask=second)).labels) == {*np.unique([first, second])} - {0}


# As resizing a mask leaves it.
BLURRED = np.array([[0, 17, 90, 128], [60, 200, 230, 255], [0, 0, 17, 255]], np.uint8)


def test_a_blurred_mask_is_a_fault_and_declares_no_labels(write):
    folder = write(["a.png", "b.png", "c.png"], ["a.png", "b.png"])
    write([], ["c.png"], mask=BLURRED)
    read = read_dataset(folder)
    assert read.labels == {255: "foreground"}
    (fault,) = find_faults(read)
    told = "label values [17, 60, 90, 128, 200, 230] are not declared; [255] are"
    assert fault.message == f"{folder / 'masks' / 'c.png'}: {told}"


@pytest.mark.parametrize(("first", "second"), [(BLURRED, GREY), (GREY, GREY // 9), (BLURRED, BLURRED // 2)])
def test_many_values_of_one_map_are_labels_where_they_may_well_be(write, first, second):
    folder = write(["a.png", "b.png"], [])
    write([], ["a.png"], mask=first)
    write([], ["b.png"], mask=second)
    assert set(read_dataset(folder).labels) == {*first[first > 0].tolist(), *second[second > 0].tolist()}


def test_an_image_in_place_of_a_mask_is_a_fault(write):
    folder = write(["a.png", "b.png", "c.png"], ["a.png", "b.png"], mask=GREY % 3, image=GREY)
    many = np.arange(100, dtype=np.uint8).reshape(10, 10)
    write(["c.png"], ["c.png"], mask=many, image=many)
    read = read_dataset(folder)
    assert read.labels == {1: "label_1", 2: "label_2"}
    assert [fault.file.name for fault in find_faults(read)] == ["c.png"]


def test_a_negative_value_is_a_fault_of_its_file(tmp_path, save_volume):
    label = np.zeros((3, 4, 5), np.int16)
    label[1, 2, 3] = 4
    for name in "ab":
        save_volume(tmp_path / "images" / f"{name}.nii.gz", np.arange(60, dtype=np.float32).reshape(3, 4, 5))
        save_volume(tmp_path / "labels" / f"{name}.nii.gz", label)
        label[0, 0, 0] = -1
    read = read_dataset(tmp_path)
    assert read.labels == {4: "foreground"}
    (fault,) = find_faults(read)
    assert fault.message == f"{tmp_path}/labels/b.nii.gz: label values [-1] are not declared; [4] are"


def test_damaged_declarations_are_named(write):
    folder = write(["a.png"], ["a.png"])
    (folder / "labels.json").write_text('{"liver": "one"}')
    with pytest.raises(DataError, match=r"labels\.json: not labels"):
        read_dataset(folder)


@pytest.mark.parametrize(("value", "said"), [("1.5", "1.5"), ("true", "True"), ("Infinity", "inf"), ("NaN", "nan")])
def test_a_declared_value_that_is_not_whole_is_refused(write, value, said):
    folder = write(["a.png"], ["a.png"])
    (folder / "labels.json").write_text(f'{{"liver": {value}}}')
    with pytest.raises(DataError, match=rf"labels\.json: not labels.*{said} is not a whole number"):
        read_dataset(folder)
    (folder / "labels.json").write_text('{"liver": 1.0}')
    assert read_dataset(folder).labels == {1: "liver"}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ('{"liver": 1, "spleen": 2, "hepar": 1}', "1 has two names, 'hepar' and 'liver'"),
        ('{"1": "liver", "2": "spleen", "1": "hepar"}', "'1' is there twice"),
        ('{"1": "liver", "2": null}', "2 has no name"),
        ('{"1": "liver", "2": " "}', "2 has no name"),
    ],
)
def test_a_value_has_one_name(write, declared, said):
    folder = write(["a.png"], ["a.png"])
    (folder / "labels.json").write_text(declared)
    with pytest.raises(DataError, match=rf"labels\.json: not labels.*{said}"):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("case_1", "case_1_mask"),
        ("case_1_image", "case_1_label"),
        ("case-1", "case-1-seg"),
        ("1", "mask_1"),
        ("img_1", "gt_1"),
        ("x.y", "x.y_Segmentation"),
    ],
)
def test_words_that_tell_a_mask_from_its_image_are_no_part_of_the_name(image, mask):
    assert key_of(image) == key_of(mask)


def test_other_words_are_part_of_the_name():
    assert key_of("masked_1") != key_of("1")
    assert key_of("mask") == "mask"


def test_subfolders_are_part_of_the_name(write):
    folder = write(["p1/1.png", "p2/1.png"], ["p1/1_mask.png", "p2/1_mask.png"])
    assert pairs(folder) == [
        ("p1_1", "images/p1/1.png", "masks/p1/1_mask.png"),
        ("p2_1", "images/p2/1.png", "masks/p2/1_mask.png"),
    ]
    assert [case.subject for case in read_dataset(folder, "^[^_]+").cases] == ["p1", "p2"]


def test_an_image_or_a_mask_alone_is_a_case_with_a_missing_file(write):
    folder = write(["a.png", "b.png"], ["b.png", "c.png"])
    assert [name for name, *paths in pairs(folder) if not all((folder / path).is_file() for path in paths)] == [
        "a",
        "c",
    ]


def test_two_images_of_one_name_are_two_cases(write):
    assert [name for name, *_ in pairs(write(["a.png", "a.jpg"], ["a.png"]))] == ["a", "a"]


def test_an_unreadable_mask_is_skipped(write):
    folder = write(["a.png", "b.png"], ["a.png", "b.png"])
    (folder / "masks" / "a.png").write_bytes(b"")
    assert read_dataset(folder).labels == {255: "foreground"}
    (folder / "masks" / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png: not a readable 2D image"):
        read_dataset(folder)


def test_volumes_in_folders_are_read_alike(tmp_path, save_volume):
    label = np.zeros((3, 4, 5), np.uint8)
    label[1, 2, 3] = 4
    save_volume(tmp_path / "images" / "a.nii.gz", np.zeros((3, 4, 5, 2), np.float32))
    save_volume(tmp_path / "labels" / "a.nii.gz", label)
    read = read_dataset(tmp_path)
    assert (read.layout, read.channels, read.labels) == ("volumes", ("image_0", "image_1"), {4: "foreground"})
