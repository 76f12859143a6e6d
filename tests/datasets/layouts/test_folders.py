import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from tfseg.core.errors import DataError
from tfseg.datasets.inspection import find_faults
from tfseg.datasets.layouts import read_dataset
from tfseg.datasets.layouts.folders import key_of
from tfseg.datasets.reading import read_case

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURS = np.stack([GREY] * 3, axis=-1)
MASK = np.where(GREY > 5, 255, 0).astype(np.uint8)


@pytest.fixture
def write(tmp_path, save_image_2d):
    """Writes 2D images and masks by their names."""

    def write(images, masks, folders=("images", "masks"), image=GREY, mask=MASK):
        for name in images:  # each its own image
            save_image_2d(tmp_path / folders[0] / name, (image + ord(name[0])).astype(np.uint8))
        for name in masks:
            save_image_2d(tmp_path / folders[1] / name, mask)
        return tmp_path

    return write


def pairs(folder):
    return [
        (case.name, *(str(path.relative_to(folder)) for path in (*case.images, case.label)))
        for case in read_dataset(folder).cases
    ]


def test_2d_images_and_masks_of_the_same_name(write):
    for folders in (("images", "masks"), ("imgs", "labels"), ("image", "mask"), ("Img", "LABEL"), ("images", "gt")):
        folder = write(["b.jpg", "a.png"], ["a.png", "b.png"], folders)
        read = read_dataset(folder)
        assert (read.name, read.layout, read.channels) == (folder.name, "2D images", ("grey",))
        assert pairs(folder) == [
            ("a", f"{folders[0]}/a.png", f"{folders[1]}/a.png"),
            ("b", f"{folders[0]}/b.jpg", f"{folders[1]}/b.png"),
        ]
        assert [case.subject for case in read.cases] == ["a", "b"]
        for each in folders:
            shutil.rmtree(folder / each)


@pytest.mark.parametrize(
    "second", [("images", "labels"), ("images", "Masks"), ("imgs", "masks"), ("images", "Segmentations")]
)
def test_two_folders_for_one_role_are_refused_unless_one_is_empty(write, second):
    folder = write(["a.png"], ["a.png"])
    differing = next(name for name in second if name not in ("images", "masks"))
    (folder / differing / ".cache").mkdir(parents=True)
    (folder / differing / ".cache" / "a.png").touch()
    assert len(read_dataset(folder).cases) == 1
    (folder / differing / "a.png").touch()
    with pytest.raises(DataError, match=rf"{differing}/.* may both hold the|may both hold the") as refused:
        read_dataset(folder)
    assert f"{differing}/" in str(refused.value) and "manifest.csv" in str(refused.value)


def test_a_folder_in_place_of_a_file_is_reported(write):
    folder = write(["a.png", "b.png"], ["a.png", "b.png"])
    for name in ("images/c.nii.gz", "masks/d.png"):
        (folder / name).mkdir()
    assert read_dataset(folder).warnings == (
        f"{folder}: 2 files are not read, not of an image format: images/c.nii.gz, masks/d.png",
    )
    (folder / "masks" / "b.png").unlink()
    (folder / "masks" / "b.png").mkdir()
    (fault,) = find_faults(read_dataset(folder))
    assert fault.message == f"{folder}/masks/b.png: a folder, where the file of a label map is expected"


def test_hidden_files_and_folders_are_skipped_and_other_files_reported(write):
    folder = write(["a.png"], ["a.png"])
    for name in ("images/.ipynb_checkpoints/a-checkpoint.png", "masks/.git/x/a.png", "images/._a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert (len(read_dataset(folder).cases), read_dataset(folder).warnings) == (1, ())
    for name in ("images/b.gif", "images/c.npy", "masks/notes.txt"):
        (folder / name).touch()
    assert read_dataset(folder).warnings == (
        f"{folder}: 3 files are not read, not of an image format: images/b.gif, images/c.npy, masks/notes.txt",
    )


def test_2d_images_in_colour_have_three_channels(write):
    assert read_dataset(write(["a.png"], ["a.png"], image=COLOURS)).channels == ("red", "green", "blue")


def test_labels_are_the_values_found(write):
    for mask, labels in (
        (MASK, {255: "foreground"}),
        (MASK // 255, {1: "foreground"}),
        (GREY % 3, {1: "label_1", 2: "label_2"}),
    ):
        assert read_dataset(write(["a.png"], ["a.png"], mask=mask)).labels == labels


def test_declared_labels_come_before_those_found(write):
    folder = write(["a.png"], ["a.png"])
    for declared in ({"1": "liver", "2": "tumour"}, {"tumour": 2, "liver": 1, "background": 0}):
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            (folder / "labels.json").write_text(json.dumps(declared), encoding=encoding)
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
    message = "write all masks alike if they mean the same, else declare the values as labels in labels.json"
    with pytest.raises(DataError) as refused:
        read_dataset(folder)
    assert str(refused.value) == f"{folder}: {', '.join(f'{folder}/{white}' for white in whites)}; {message}"
    (folder / "labels.json").write_text('{"1": "liver", "255": "spleen"}')
    assert read_dataset(folder).labels == {1: "liver", 255: "spleen"}


def test_masks_of_several_values_are_labels(write):
    levels = (GREY // 3 * 85).astype(np.uint8)
    for first, second in ((MASK // 255, MASK // 255 * 2), (levels, MASK), (MASK // 3, levels)):
        write(["a.png", "b.png"], ["a.png"], mask=first)
        read = read_dataset(write([], ["b.png"], mask=second))
        assert set(read.labels) == {*np.unique([first, second]).tolist()} - {0}
        assert (read.ignore_label, read.warnings) == (None, ())


def test_white_beside_numbers_of_classes_is_unknown(write):
    classes = (GREY % 3).astype(np.uint8)
    write(["a.png", "b.png"], ["a.png"], mask=classes)
    folder = write([], ["b.png"], mask=np.where(GREY > 9, 255, classes).astype(np.uint8))
    read = read_dataset(folder)
    assert (read.labels, read.ignore_label) == ({1: "label_1", 2: "label_2"}, 255)
    (warning,) = read.warnings
    assert warning.startswith(f"{folder}: 255 beside the values 1 to 2, in 1 of 2 label maps, is read as unknown")
    assert find_faults(read) == []
    (folder / "labels.json").write_text('{"1": "a", "2": "b", "255": "c"}')
    assert (read_dataset(folder).labels[255], read_dataset(folder).ignore_label) == ("c", None)
    for declared in ('{"1": "a", "2": "b", "255": "ignore"}', '{"a": 1, "b": 2, "ignore": 255}'):
        (folder / "labels.json").write_text(declared)
        assert (read_dataset(folder).labels, read_dataset(folder).ignore_label) == ({1: "a", 2: "b"}, 255)


def test_masks_without_a_background_or_black_on_white_are_reported(write):
    folder = write(["a.png", "b.png"], ["a.png", "b.png"], mask=MASK // 255 + 1)
    said = f"{folder.name}: no label map has a voxel of 0, the background; 1 is read as a structure"
    assert read_dataset(folder).warnings == (said,)
    black_on_white = np.pad(np.zeros((3, 3), np.uint8), 3, constant_values=255)
    write(["a.png", "b.png"], ["a.png", "b.png"], mask=black_on_white, image=np.arange(81).reshape(9, 9))
    (warning,) = read_dataset(folder).warnings
    assert warning.startswith(f"{folder}: white covers most of the border of every mask: if the structures are black")
    write([], ["b.png"], mask=255 - black_on_white)
    assert read_dataset(folder).warnings == ()


# As resizing a mask leaves it.
BLURRED = np.array([[0, 17, 90, 128], [60, 200, 230, 255], [0, 0, 17, 255]], np.uint8)


def test_a_blurred_mask_is_a_fault_and_declares_no_labels(write):
    folder = write(["a.png", "b.png", "c.png"], ["a.png", "b.png"])
    write([], ["c.png"], mask=BLURRED)
    read = read_dataset(folder)
    assert read.labels == {255: "foreground"}
    (fault,) = find_faults(read)
    message = "label values [17, 60, 90, 128, 200, 230] are not declared; [255] are"
    assert fault.message == f"{folder / 'masks' / 'c.png'}: {message}"


def test_many_values_of_one_map_are_labels_if_they_may_well_be(write):
    folder = write(["a.png", "b.png"], [])
    for first, second in ((BLURRED, GREY), (GREY, GREY // 9), (BLURRED, BLURRED // 2)):
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


def test_a_declared_value_that_is_not_whole_is_refused(write):
    folder = write(["a.png"], ["a.png"])
    for value, said in (("1.5", "1.5"), ("true", "True"), ("Infinity", "inf"), ("NaN", "nan")):
        (folder / "labels.json").write_text(f'{{"liver": {value}}}')
        with pytest.raises(DataError, match=rf"labels\.json: not labels.*{said} is not a whole number"):
            read_dataset(folder)
    (folder / "labels.json").write_text('{"liver": 1.0}')
    assert read_dataset(folder).labels == {1: "liver"}


def test_a_value_has_one_name(write):
    folder = write(["a.png"], ["a.png"])
    for declared, said in (
        ('{"liver": 1, "spleen": 2, "hepar": 1}', "1 has two names, 'hepar' and 'liver'"),
        ('{"1": "liver", "2": "spleen", "1": "hepar"}', "'1' occurs twice"),
        ('{"1": "liver", "2": null}', "2 has no name"),
        ('{"1": "liver", "2": " "}', "2 has no name"),
    ):
        (folder / "labels.json").write_text(declared)
        with pytest.raises(DataError, match=rf"labels\.json: not labels.*{said}"):
            read_dataset(folder)


def test_words_that_distinguish_a_mask_from_its_image_are_no_part_of_the_name():
    for image, mask in (
        ("case_1", "case_1_mask"),
        ("case_1_image", "case_1_label"),
        ("case-1", "case-1-seg"),
        ("1", "mask_1"),
        ("img_1", "gt_1"),
        ("x.y", "x.y_Segmentation"),
    ):
        assert key_of(image) == key_of(mask)
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


def test_volumes_of_every_format_are_read_alike(tmp_path, save_volume):
    values = np.arange(60).reshape(3, 4, 5)
    formats = {"a": ".nii.gz", "b": ".NII", "c": ".hdr", "d": ".nrrd", "e": ".mha", "f": ".mhd", "g": ".NII.GZ"}
    for number, (name, ending) in enumerate(formats.items()):
        for place, array in (("images", values + number), ("labels", values % 3)):
            (tmp_path / place).mkdir(exist_ok=True)
            if ending in (".nrrd", ".mha", ".mhd"):
                image = sitk.GetImageFromArray(array.astype(np.int16).T)
                image.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
                sitk.WriteImage(image, str(tmp_path / place / f"{name}{ending}"))
                continue
            kind = nib.Nifti1Pair if ending == ".hdr" else nib.Nifti1Image
            lower = tmp_path / place / f"{name}{ending.lower()}"
            nib.save(kind(array.astype(np.int16), np.eye(4)), lower)
            lower.rename(tmp_path / place / f"{name}{ending}")
    read = read_dataset(tmp_path)
    assert (read.layout, [case.name for case in read.cases], read.warnings) == ("volumes", list(formats), ())
    assert find_faults(read) == []
    for number, case in enumerate(read.cases):
        image, label = read_case(case, read)
        np.testing.assert_array_equal(image.array[..., 0], values + number)
        np.testing.assert_array_equal(label.array, values % 3)


def test_volumes_may_have_channels(tmp_path, save_volume):
    label = np.zeros((3, 4, 5), np.uint8)
    label[1, 2, 3] = 4
    save_volume(tmp_path / "images" / "a.nii.gz", np.zeros((3, 4, 5, 2), np.float32))
    save_volume(tmp_path / "labels" / "a.nii.gz", label)
    read = read_dataset(tmp_path)
    assert (read.layout, read.channels, read.labels) == ("volumes", ("image_0", "image_1"), {4: "foreground"})


# --- what masks show


def indexed(indices, colours):
    mask = Image.fromarray(indices.astype(np.uint8)).convert("P")
    mask.putdata(indices.ravel().tolist())
    mask.putpalette([part for colour in colours for part in colour])
    return mask


BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0)
SHAPE = (GREY > 5).astype(np.uint8)


def labels_shown(folder):
    """Whether every mask is read as white where `SHAPE` is 1."""
    read = read_dataset(folder)
    assert read.labels == {255: "foreground"}
    return all(np.array_equal(read_case(case, read)[1].array[..., 0].T, SHAPE * 255) for case in read.cases)


def test_palettes_in_another_order_are_read_as_they_show(write):
    folder = write(["a.png", "b.png", "c.png"], ["c.png"])
    indexed(SHAPE, [BLACK, WHITE]).save(folder / "masks" / "a.png")
    indexed(1 - SHAPE, [WHITE, BLACK]).save(folder / "masks" / "b.png")
    assert labels_shown(folder)
    indexed(SHAPE * 7, [BLACK, *[RED] * 6, WHITE]).save(folder / "masks" / "b.png")  # another number of white
    assert labels_shown(folder)


def test_palettes_that_agree_are_read_as_indices(write):
    folder = write(["a.png", "b.png"], ["a.png"])
    indexed(SHAPE, [BLACK, WHITE]).save(folder / "masks" / "a.png")
    indexed(SHAPE * 2, [BLACK, WHITE, RED]).save(folder / "masks" / "b.png")
    read = read_dataset(folder)
    assert (read.labels, read.masks_as_shown) == ({1: "label_1", 2: "label_2"}, False)


def test_palettes_in_colour_that_contradict_each_other_are_refused(write):
    folder = write(["a.png", "b.png"], ["a.png"])
    indexed(SHAPE, [BLACK, RED]).save(folder / "masks" / "a.png")
    for other, said in (([BLACK, GREEN], r"index 1 shows \(0, 255, 0\)"), ([BLACK, BLACK, RED], "index 2")):
        indexed(SHAPE * (len(other) - 1), other).save(folder / "masks" / "b.png")
        for declared in (False, True):
            if declared:
                (folder / "labels.json").write_text('{"1": "a", "2": "b"}')
            with pytest.raises(DataError, match=rf"masks/b\.png: .*{said}.*: the palettes .* contradict each other"):
                read_dataset(folder)
        (folder / "labels.json").unlink()


def test_a_mask_in_the_transparency_of_a_palette_is_read(write):
    """White everywhere, and where it is opaque is the structure; which index is opaque may differ."""
    folder = write(["a.png", "b.png"], ["a.png", "b.png"])
    for name in "ab":
        indexed(SHAPE, [WHITE, WHITE]).save(folder / "masks" / f"{name}.png", transparency=bytes([0, 255]))
    read = read_dataset(folder)
    assert (read.labels, read.masks_as_shown, read.warnings) == ({1: "foreground"}, False, ())
    np.testing.assert_array_equal(read_case(read.cases[0], read)[1].array[..., 0].T, SHAPE)
    indexed(1 - SHAPE, [WHITE, WHITE]).save(folder / "masks" / "b.png", transparency=bytes([255, 0]))
    assert labels_shown(folder)
