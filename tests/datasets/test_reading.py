from dataclasses import replace

import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.layouts import Case, Dataset
from tfseg.datasets.reading import check_channels, read_case, read_case_header, read_case_image, read_case_label

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
FIRST = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
LABEL = (FIRST % 3).astype(np.uint8)


@pytest.fixture
def make(tmp_path, save_volume):
    """Makes a dataset of one case of given arrays, each with the affine or one of its own."""

    def make(*images, label=LABEL, channels=("a",), **more):
        arrays = {f"image_{index}.nii": image for index, image in enumerate(images)} | {"label.nii": label}
        for name, array in arrays.items():
            save_volume(tmp_path / name, *(array if isinstance(array, tuple) else (array, AFFINE)))
        case = Case("x", "x", tuple(tmp_path / name for name in list(arrays)[:-1]), tmp_path / "label.nii")
        return Dataset("set", channels, {1: "one", 2: "two"}, (case,), **more)

    return make


def test_channels_of_one_file_or_of_several_are_stacked_in_order(make):
    for images in ([np.stack([FIRST, -FIRST], axis=-1)], [FIRST, -FIRST]):
        dataset = make(*images)
        image = read_case_image(dataset.cases[0])
        np.testing.assert_array_equal(image.array, np.stack([FIRST, -FIRST], axis=-1))
        np.testing.assert_array_equal(image.affine, AFFINE)
        header = read_case_header(dataset.cases[0])
        assert (header.shape, header.channels) == ((3, 4, 5), 2)


def test_a_single_channel_has_an_axis_too(make):
    assert read_case_image(make(FIRST).cases[0]).array.shape == (3, 4, 5, 1)


def test_2d_images_are_one_slice_in_pixels(tmp_path, save_image_2d):
    rows = np.arange(6, dtype=np.uint8).reshape(2, 3)
    paths = save_image_2d(tmp_path / "a.png", rows), save_image_2d(tmp_path / "m.png", rows % 2)
    dataset = Dataset("set", ("grey",), {1: "one"}, (Case("a", "a", paths[:1], paths[1]),))
    image, label = read_case_image(dataset.cases[0]), read_case_label(dataset.cases[0], dataset)
    assert (image.array.shape, label.array.shape) == ((3, 2, 1, 1), (3, 2, 1))
    assert image.in_pixels and label.in_pixels
    np.testing.assert_array_equal(label.array, image.array[..., 0] % 2)


def test_a_label_is_read_in_the_order_of_its_image(make):
    turned = AFFINE @ np.array([[-1, 0, 0, 2], [0, 0, -1, 3], [0, 1, 0, 0], [0, 0, 0, 1]])
    dataset = make(FIRST, label=(LABEL[::-1, ::-1].swapaxes(1, 2), turned))
    label = read_case_label(dataset.cases[0], dataset)
    np.testing.assert_array_equal(label.array, LABEL)
    np.testing.assert_array_equal(label.affine, AFFINE)


def test_image_and_label_are_read_together(make):
    dataset = make(FIRST, -FIRST, channels=("a", "b"))
    image, label = read_case(dataset.cases[0], dataset)
    np.testing.assert_array_equal(image.array, read_case_image(dataset.cases[0]).array)
    np.testing.assert_array_equal(label.array, LABEL)
    with pytest.raises(DataError, match=r"image_0\.nii: 2 channels, but 1 are declared: a"):
        read_case(dataset.cases[0], replace(dataset, channels=("a",)))


def test_values_of_the_ignore_label_are_declared(make):
    dataset = make(FIRST, label=np.where(FIRST == 7, 9, LABEL).astype(np.uint8), ignore_label=9)
    assert read_case_label(dataset.cases[0], dataset).array[0, 1, 2] == 9
    with pytest.raises(DataError, match=r"label\.nii: label values \[9\] are not declared; \[1, 2\] are"):
        read_case_label(dataset.cases[0], replace(dataset, ignore_label=None))


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (FIRST[:2], r"image_1\.nii: its shape is \(2, 4, 5\), that of image_0\.nii \(3, 4, 5\)"),
        (
            (FIRST, AFFINE @ np.diag([1, 1, 1.1, 1])),
            r"image_1\.nii: its affine is not that of image_0\.nii: corners lie 1\.2",
        ),
    ],
)
def test_channels_that_disagree_are_named(make, second, said):
    dataset = make(FIRST, second, channels=("a", "b"))
    for read in (read_case_header, read_case_image, lambda case: read_case_label(case, dataset)):
        with pytest.raises(DataError, match=said):
            read(dataset.cases[0])


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (LABEL[:2], r"its shape is \(2, 4, 5\), that of image_0\.nii \(3, 4, 5\)"),
        ((LABEL, np.diag([1.0, 2, 4, 1])), r"its affine is not that of image_0\.nii: corners lie 4 mm apart"),
        (LABEL + 5, r"label values \[5, 6, 7\] are not declared"),
        (LABEL / np.float32(4), r"labels must be whole numbers, found 0\.25"),
        (np.stack([LABEL, LABEL], axis=-1), r"expected a 3D label map, its shape is \(3, 4, 5, 2\)"),
    ],
)
def test_labels_that_do_not_fit_are_named(make, label, said):
    dataset = make(FIRST, label=label)
    with pytest.raises(DataError, match=rf"label\.nii: {said}"):
        read_case_label(dataset.cases[0], dataset)


def test_other_channels_than_declared_are_named(make):
    dataset = make(np.stack([FIRST] * 3, axis=-1), channels=("a", "b"))
    with pytest.raises(DataError, match=r"image_0\.nii: 3 channels, but 2 are declared: a, b"):
        read_case_label(dataset.cases[0], dataset)
    check_channels(dataset.cases[0], read_case_header(dataset.cases[0]), replace(dataset, channels=("a", "b", "c")))


def test_a_real_case_is_read(shared):
    from tfseg.datasets.layouts import read_dataset

    dataset = read_dataset(shared / "data" / "brats")
    header = read_case_header(dataset.cases[0])
    assert (header.shape, header.channels, header.spacing_mm) == ((240, 240, 155), 2, (1, 1, 1))
    label = read_case_label(dataset.cases[0], dataset).array
    assert [np.count_nonzero(label == value) for value in range(5)] == [8816276, 26371, 53050, 818, 31485]
