"""Phantoms of the studies: newborns with lesions, heads labelled by two tools, 2D images of heads."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tfseg.core.errors import ConfigError
from tfseg.datasets.layouts import read_dataset, some_subjects
from tfseg.datasets.phantoms.dataset import make_phantom, write_dataset


def test_newborns_have_small_dark_lesions_and_a_map_of_z_scores():
    subjects = [make_phantom("neonate", 0, subject, 48) for subject in range(8)]
    shares = []
    for phantom in subjects:
        adc, z = phantom.image[..., 0], phantom.image[..., 1]
        lesion, brain = phantom.label == 1, adc > 700
        shares.append(lesion.sum() / (brain | lesion).sum())
        assert np.median(adc[lesion]) < 0.8 * np.median(adc[brain & ~lesion])
        assert np.median(z[lesion]) < -200 and abs(np.median(z[brain & ~lesion])) < 60
    assert min(shares) > 0 and np.median(shares) < 0.02


def test_two_tools_err_in_ways_of_their_own():
    phantom = make_phantom("two_tools", 0, 3, 48)
    truth = make_phantom("two_tools", 0, 3, 48)
    assert np.array_equal(phantom.label, truth.label) and np.array_equal(phantom.second, truth.second)
    assert set(np.unique(phantom.label)) == {0, 1, 2, 3} and set(np.unique(phantom.second)) == {0, 1, 2, 3}
    skull = ndimage.label(phantom.label == 2)[0]
    sizes = np.bincount(skull.ravel())[1:]
    assert sizes.max() > 1000 and (sizes < 70).any()  # islands that the recipe of Kim 2025 drops
    skin = np.bincount(ndimage.label(phantom.label == 1)[0].ravel())[1:]
    assert len(skin) > 1
    differs = (phantom.label == 3) != (phantom.second == 1)
    assert 0 < differs.mean() < 0.1
    assert not (phantom.second[phantom.label == 1] > 1).any()


def test_two_tools_write_a_second_map(tmp_path):
    write_dataset(tmp_path / "heads", "two_tools", subjects=1, size=32)
    first, second = (nib.load(tmp_path / "heads" / part / "two_tools_000.nii.gz") for part in ("labelsTr", "tissue"))
    assert first.shape == second.shape and np.array_equal(first.affine, second.affine)


def test_2d_images_show_the_tumour_of_each_head_in_three_planes(tmp_path):
    out = tmp_path / "images"
    write_dataset(out, "head_images", subjects=2, size=32)
    names = sorted(path.name for path in (out / "images").iterdir())
    assert len(names) == 12 and names == sorted(path.name for path in (out / "masks").iterdir())
    for name in names:
        image, mask = (np.asarray(Image.open(out / part / name)) for part in ("images", "masks"))
        assert image.shape == mask.shape and set(np.unique(mask)) == {0, 255}
        rows, columns = image.shape
        assert columns > rows or name.startswith("axial")  # a head is wider and longer than what the scan holds of it
    dataset = read_dataset(out, r"_(\d+)_")
    assert {case.subject for case in dataset.cases} == {"000", "001"}
    assert len(some_subjects(dataset, 1).cases) == 6
    write_dataset(out, "head_images", subjects=2, size=32)
    with pytest.raises(ConfigError, match=r"phantoms\.json"):
        write_dataset(out, "head_images", subjects=2, size=40)
