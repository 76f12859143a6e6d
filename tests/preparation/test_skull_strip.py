"""Skull stripping: the brain and nothing else, on phantoms with a known answer and on a real head."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfseg.core.geometry import closing, fill_holes, largest_component
from tfseg.datasets.phantoms.dataset import make_phantom
from tfseg.preparation.skull_strip import skull_strip

HEAD = Path(__file__).resolve().parents[3] / "shared" / "data" / "head"


def spacing_of(affine):
    return tuple(np.diag(affine)[:3])


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def head():
    phantom = make_phantom("head", seed=0, subject=1, size=64)
    return phantom.image[..., 0], phantom.label, spacing_of(phantom.affine)


@pytest.mark.parametrize(("subject", "size"), [(0, 64), (1, 64), (2, 64), (3, 64), (4, 64), (2, 96)])
def test_finds_the_brain_and_leaves_skull_and_skin(subject, size):
    phantom = make_phantom("head", 0, subject, size)
    spacing_mm = spacing_of(phantom.affine)
    # What a brain mask means: its tissue, and the fluid inside its ventricles and folds.
    brain = fill_holes(closing(phantom.label >= 4, 10, spacing_mm))
    mask = skull_strip(phantom.image[..., 0], spacing_mm)
    assert dice(mask, brain) > 0.9
    assert (phantom.label[mask] == 1).mean() < 0.02
    assert (phantom.label[mask] == 2).mean() < 0.02
    assert mask[phantom.label == 5].mean() > 0.94


def test_the_mask_is_one_region_inside_the_head_without_holes(head):
    image, label, spacing_mm = head
    mask = skull_strip(image, spacing_mm)
    assert mask.dtype == bool
    assert mask.shape == image.shape
    assert np.array_equal(mask, largest_component(mask))
    assert (label[mask] == 0).sum() == 0


def test_scale_and_offset_of_the_intensities_do_not_matter(head):
    image, _, spacing_mm = head
    mask = skull_strip(image, spacing_mm)
    assert np.array_equal(mask, skull_strip(image * 4, spacing_mm))
    assert dice(mask, skull_strip((image - image.mean()) / image.std(), spacing_mm)) > 0.995


def test_a_mirrored_head_has_the_mirrored_mask(head):
    image, _, spacing_mm = head
    assert dice(skull_strip(image, spacing_mm), skull_strip(image[::-1], spacing_mm)[::-1]) > 0.995


def test_the_order_of_the_axes_does_not_matter(head):
    image, _, spacing_mm = head
    turned = skull_strip(image.transpose(2, 0, 1), (spacing_mm[2], *spacing_mm[:2]))
    assert dice(skull_strip(image, spacing_mm), turned.transpose(1, 2, 0)) > 0.995


def test_a_head_with_suppressed_fat_keeps_its_white_matter(head):
    image, label, spacing_mm = head
    suppressed = np.where(label == 1, 0.15 * image, image)
    assert skull_strip(suppressed, spacing_mm)[label == 5].mean() > 0.9


def test_a_2d_image_is_stripped_in_two_dimensions(head):
    image, label, spacing_mm = head
    middle = image.shape[2] // 2
    mask = skull_strip(image[:, :, middle], spacing_mm[:2])
    assert dice(mask, fill_holes(closing(label[:, :, middle] >= 4, 10, spacing_mm[:2]))) > 0.9


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.full((8, 8, 8), 3.0), {}, "one value everywhere"),
        (np.full((8, 8, 8), np.nan), {}, "NaN"),
        (np.zeros((8, 8, 8, 2)), {}, "2 or 3 axes"),
        (np.eye(8), {"spacing_mm": (1, 1, 1)}, "spacing_mm"),
        (np.eye(8), {"spacing_mm": (1, 1), "erosion_mm": -1}, "erosion_mm"),
        (np.eye(8), {"spacing_mm": (1, 1), "closing_mm": np.nan}, "closing_mm"),
        (np.eye(8), {"spacing_mm": (1, 1)}, "outlives"),
    ],
)
def test_wrong_input_is_refused(image, options, message):
    with pytest.raises(ValueError, match=message):
        skull_strip(image, **({"spacing_mm": (1, 1, 1)} | options))


@pytest.mark.skipif(not HEAD.is_dir(), reason="the real head scans are not beside this checkout")
@pytest.mark.parametrize("name", ["tumour_t1post", "tumour_flair"])
def test_a_real_head_has_a_brain_of_a_plausible_size(name):
    scan = nib.as_closest_canonical(nib.load(HEAD / f"{name}.nii.gz"))
    spacing_mm = scan.header.get_zooms()
    mask = skull_strip(scan.get_fdata(dtype=np.float32), spacing_mm)
    assert 1.1 < mask.sum() * np.prod(spacing_mm) / 1e6 < 1.6
    # Both eyes and the scalp at the back, read off slices 5 and 6: millimetres from the volume's corner.
    for place_mm in ((75, 178), (142, 180), (108, 9)):
        x, y = (round(place / step) for place, step in zip(place_mm, spacing_mm, strict=False))
        assert not mask[x - 2 : x + 3, y - 2 : y + 3, 5:7].any()
