"""Body and brain masks: found, given, and made by another program."""

import sys

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk

from tfseg.core.errors import DataError
from tfseg.datasets.formats import read_image
from tfseg.datasets.grids import Volume
from tfseg.datasets.layouts import Case
from tfseg.datasets.volume import write_volume
from tfseg.preparation import body
from tfseg.preparation.body import count_body_in_air, find_body, find_brain, read_mask, run_command
from tfseg.preparation.case_files import beside
from tfseg.preparation.steps import Recipe

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def noise(*shape):
    return np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)


def test_the_body_is_the_large_bright_region_with_what_it_encloses():
    truth = np.zeros((40, 50, 8), bool)
    truth[disk((20, 25), 15)] = True
    image = np.where(truth, 100, -1000) + noise(*truth.shape)
    image[18:22, 20:24, 2:6] = -1000  # air inside
    image[2:5, 2:6] = 100  # a table beside
    found = find_body(image, (1, 1, 2))
    assert not found[2:5, 2:6].any()
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.97
    assert found[20, 22, 4]


def test_a_2d_image_has_its_body_in_two_dimensions():
    truth = np.zeros((40, 50, 1), bool)
    truth[disk((20, 25), 15)] = True
    image = np.where(truth, 100, 0) + noise(40, 50, 1)
    image[18:22, 20:24] = 0
    found = find_body(image, (1, 1, 1))
    assert found.shape == (40, 50, 1)
    assert found[20, 22, 0]


def test_an_image_of_one_value_has_no_body():
    with pytest.raises(DataError, match="every voxel has the value 4: there is no body to find"):
        find_body(np.full((4, 4, 4), 4.0), (1, 1, 1))


@pytest.mark.parametrize("shape", [(40, 50, 8), (300, 40, 8), (40, 50, 1)])
@pytest.mark.parametrize(("air", "tissue"), [(-1024, 40), (20, 200)])
def test_a_body_in_air_is_counted(shape, air, tissue):
    truth = np.zeros(shape, bool)
    truth[disk((20, 25), 12)] = True
    counted = count_body_in_air(np.where(truth, tissue, air) + noise(*shape), (1, 1, 2))
    assert counted == pytest.approx(truth.sum(), rel=0.1)


def test_a_body_in_air_is_counted_where_float32_knows_few_values_between_the_two():
    truth = np.zeros((40, 50, 8), bool)
    truth[disk((20, 25), 12)] = True
    image = (1e6 + np.where(truth, 4, -4) + noise(*truth.shape) / 10).astype(np.float32)
    assert count_body_in_air(image, (1, 1, 2)) == pytest.approx(truth.sum(), rel=0.1)


def test_what_differs_from_a_ground_of_one_value_is_counted_to_the_voxel():
    image = np.full((9, 9, 9), -0.3, np.float32)
    image[2:5, 2:6, 3:5] = noise(3, 4, 2)
    assert count_body_in_air(image, (1, 1, 1)) == 3 * 4 * 2


def test_a_crop_and_a_ground_of_zeros_have_no_air_around():
    smooth = ndimage.gaussian_filter(noise(40, 50, 30), 3)
    assert count_body_in_air(smooth, (1, 1, 1)) is None
    assert count_body_in_air(np.pad(smooth, 1), (1, 1, 1)) is None


@pytest.mark.parametrize(
    ("file", "litres"),
    [("ct/abdomen_3mm.nii.gz", (20, 26)), ("brats/imagesTr/brats_0001_0000.nii.gz", (1.2, 1.8)), ("hippocampus", None)],
)
def test_bodies_of_real_scans(shared, file, litres):
    path = shared / "data" / file
    image = read_image(min((path / "imagesTr").iterdir()) if path.is_dir() else path)
    counted = count_body_in_air(image.array[..., 0], image.spacing_mm)
    if litres is None:
        assert counted is None
    else:
        assert litres[0] < counted * np.prod(image.spacing_mm) / 1e6 < litres[1]


# --- masks that are given


@pytest.fixture
def scan():
    return Volume(noise(4, 5, 6, 2), AFFINE)


@pytest.fixture
def mask():
    inside = np.zeros((4, 5, 6), np.uint8)
    inside[1:3, 1:4, 2:5] = 1
    return inside


def test_a_path_counts_from_the_folder_of_the_image(tmp_path):
    case = Case("case_7", "anna", (tmp_path / "images" / "x.nii.gz",), tmp_path / "label.nii.gz")
    assert (
        beside(case, "../masks/{subject}/{case}_brain.nii.gz") == tmp_path / "images/../masks/anna/case_7_brain.nii.gz"
    )
    assert beside(case, f"{tmp_path}/{{case}}.nii") == tmp_path / "case_7.nii"


def test_a_mask_is_what_is_above_zero(scan, mask, tmp_path):
    write_volume(tmp_path / "mask.nii.gz", 2.5 * mask - 1, AFFINE)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.nii.gz", scan), mask > 0)


def test_a_mask_may_be_stored_in_another_order_of_its_axes(scan, mask, tmp_path):
    flipped = AFFINE @ np.array([[-1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    write_volume(tmp_path / "mask.nii.gz", mask[::-1], flipped)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.nii.gz", scan), mask > 0)


@pytest.mark.parametrize(
    ("change", "affine", "said"),
    [
        (lambda mask: mask[:3], AFFINE, r"the mask's grid, \(3, 5, 6\), is not that of its image, \(4, 5, 6\)"),
        (lambda mask: mask, AFFINE + np.diag([1, 0, 0, 0]), "is not that of its image"),
        (lambda mask: 0 * mask, AFFINE, "the mask is empty"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_by_its_name(scan, mask, tmp_path, change, affine, said):
    path = tmp_path / "case_7.nii.gz"
    write_volume(path, change(mask), affine)
    with pytest.raises(DataError, match=said) as refused:
        read_mask(path, scan)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_mask_that_is_not_there_is_named(scan, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.nii: no such file"):
        read_mask(tmp_path / "nowhere.nii", scan)


# --- masks that another program makes

STRIP = """
import sys
import nibabel as nib
image = nib.load(sys.argv[1])
assert image.shape == (4, 5, 6), image.shape
nib.save(nib.Nifti1Image((image.get_fdata() > 1).astype("uint8"), image.affine), sys.argv[2])
"""


@pytest.fixture
def program(tmp_path):
    """Writes a Python program whose path has a space in it, and returns the command line that runs it."""

    def program(source):
        path = tmp_path / "a program.py"
        path.write_text(source)
        return f"{sys.executable} '{path}' {{image}} {{mask}}"

    return program


def test_a_command_gets_the_channel_and_writes_the_mask(scan, program):
    recipe = Recipe(skull_strip="command", skull_strip_command=program(STRIP), skull_strip_channel=1)
    np.testing.assert_array_equal(find_brain(scan, recipe), scan.array[..., 1] > 1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sys; print('working'); sys.exit('the licence\\nhas expired')", "failed with exit code 1: has expired"),
        ("import sys; print('no GPU'); sys.exit(3)", "failed with exit code 3: no GPU"),
        ("import sys; sys.exit(3)", "failed with exit code 3: it printed nothing"),
        ("", r"wrote no file at \{mask\}"),
        (STRIP.replace("> 1", "> 1e9"), r"wrote no mask at \{mask\}: the mask is empty"),
        ("import sys; open(sys.argv[2], 'w').write('x')", r"wrote no mask at \{mask\}: not a readable NIfTI"),
    ],
)
def test_a_command_that_fails_is_reported_in_one_line(scan, program, source, said):
    with pytest.raises(DataError, match=said) as refused:
        run_command(program(source), Volume(scan.array[..., 0], scan.affine))
    assert str(refused.value).startswith("skull_strip_command: ")
    assert "\n" not in str(refused.value)


def test_a_command_that_does_not_exist_is_reported(scan):
    with pytest.raises(DataError, match="no-such-program cannot be run: No such file or directory"):
        run_command("no-such-program {image} {mask}", Volume(scan.array[..., 0], scan.affine))


def test_no_shell_reads_a_command(scan, program, tmp_path):
    with pytest.raises(DataError, match="wrote no file"):
        run_command(program("") + f" ; touch {tmp_path / 'touched'} $HOME", Volume(scan.array[..., 0], scan.affine))
    assert not (tmp_path / "touched").exists()


def test_the_region_of_a_2d_image_is_found_in_two_dimensions(monkeypatch):
    seen = {}

    def strip(image, spacing_mm):
        seen.update(image=image, spacing_mm=spacing_mm)
        return image > 0

    monkeypatch.setattr(body, "skull_strip", strip)
    image = Volume(noise(4, 1, 6, 1), np.diag([0.5, 7, 2, 1]))
    found = find_brain(image, Recipe(skull_strip="region"))
    np.testing.assert_array_equal(found, image.array[..., 0] > 0)
    assert (seen["image"].shape, seen["spacing_mm"]) == ((4, 6), [0.5, 2])
