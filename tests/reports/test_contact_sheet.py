import numpy as np
import pytest
from matplotlib.image import imread

from tfseg.datasets.layouts import Case, Dataset, read_dataset
from tfseg.reports.contact_sheet import choose_slice, spread, write_contact_sheet


@pytest.fixture
def one_case(tmp_path, save_volume):
    """A scan of 4×5×6 voxels of 1×2×3 mm stored as LPS, with labels 1 and 2 in slice 4 and fewer in slice 1."""
    image = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    label = np.zeros((4, 5, 6), np.uint8)
    label[1, 1, 1] = 1
    label[0, 1, 4], label[3, 2:4, 4] = 1, 2
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    paths = save_volume(tmp_path / "a.nii", image, affine), save_volume(tmp_path / "l.nii", label, affine)
    case = Case("a", "a", paths[:1], paths[1])
    return Dataset("set", ("MRI",), {1: "core", 2: "rim"}, (case,)), image, label


def test_the_slice_with_the_most_label_is_chosen_and_stands_upright(one_case):
    dataset, _, label = one_case
    shown = choose_slice(dataset.cases[0], dataset, "axial")
    # Stored from right to left and from front to back: rows run down the 2D image as y, columns to the right as x.
    np.testing.assert_array_equal(shown.label, label[:, :, 4].T)
    assert (shown.number, shown.aspect, shown.is_2d) == (5, 2, False)
    assert np.all(np.diff(shown.image, axis=1) >= 0) and np.all(np.diff(shown.image, axis=0) >= 0)
    assert (shown.image.min(), shown.image.max()) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))


def test_across_another_axis(one_case):
    dataset, _, label = one_case
    shown = choose_slice(dataset.cases[0], dataset, "sagittal")
    assert shown.number == 1  # the slice of x = 3, the first from the left
    np.testing.assert_array_equal(np.unique(shown.label), [0, 2])
    assert shown.label.shape == (6, 5)
    assert shown.aspect == 3 / 2
    # The front is on the left and the head above.
    np.testing.assert_array_equal(shown.label, label[3].T[::-1])


def test_the_middle_is_shown_where_nothing_is_labelled(one_case, tmp_path, save_volume):
    dataset, image, _ = one_case
    save_volume(tmp_path / "l.nii", np.zeros(image.shape, np.uint8), np.diag([-1.0, -2.0, 3.0, 1.0]))
    assert choose_slice(dataset.cases[0], dataset, "axial").number == 4


def test_ct_is_shown_over_soft_tissue(tmp_path, save_volume):
    image = np.full((3, 4, 2), -1000, np.float32)
    image[0, 0, 0], image[1, :, 0] = -1024, [-160, 40, 240, 1500]
    paths = save_volume(tmp_path / "a.nii", image), save_volume(tmp_path / "l.nii", (image > 0).astype(np.uint8))
    dataset = Dataset("set", ("CT",), {1: "bone"}, (Case("a", "a", paths[:1], paths[1]),))
    shown = choose_slice(dataset.cases[0], dataset, "axial")
    np.testing.assert_allclose(np.sort(np.unique(shown.image)), [0, 0.5, 1])


def test_2d_images_stand_as_they_are(tmp_path, save_image_2d):
    rows = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    for folder in ("images", "masks"):
        save_image_2d(tmp_path / folder / "a.png", rows if folder == "images" else rows[..., 0] // 120 * 255)
    dataset = read_dataset(tmp_path)
    shown = choose_slice(dataset.cases[0], dataset, "axial")
    assert shown.image.shape == (2, 4, 3)
    assert shown.is_2d
    np.testing.assert_array_equal(shown.label, rows[..., 0] // 120 * 255)
    order = np.argsort(shown.image.sum(axis=2).ravel(), kind="stable")
    np.testing.assert_array_equal(order, np.arange(8))


def test_a_few_cases_stand_for_many():
    cases = [Case(f"{n}", f"{n}", (), None) for n in range(101)]
    assert [case.name for case in spread(cases, 5)] == ["0", "25", "50", "75", "100"]
    assert spread(cases[:3], 5) == cases[:3]


def test_the_sheet_is_an_image(decathlon, tmp_path):
    dataset = read_dataset(decathlon)
    drawn = []
    write_contact_sheet(dataset, "axial", tmp_path / "out" / "sheet.png", lambda: drawn.append(1))
    sheet = imread(tmp_path / "out" / "sheet.png")
    assert len(drawn) == len(dataset.cases) == 6
    assert sheet.shape[1] == 6 * 1.7 * 150
    pixels = np.rint(sheet[..., :3] * 255)
    for color in ((0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)):  # of the first two labels
        assert (pixels == color).all(axis=2).any()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sheet.png"]
