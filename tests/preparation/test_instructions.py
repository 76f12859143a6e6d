"""Who follows the sentences with NumPy, SciPy and nibabel gets the image that the network was trained on."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from tfseg.datasets.layouts import read_dataset
from tfseg.preparation.instructions import preparation_steps
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared

SHAPE = (21, 25, 5)


def first_words(recipe):
    return [step.split()[0] for step in preparation_steps(recipe)]


def prepare(folder, scans, make_decathlon, channel, **steps):
    """Prepare scans, by case, by a recipe completed from them; return the recipe and the prepared first case."""
    make_decathlon(folder / "data", scans, {1: "blob"}, [channel])
    dataset = read_dataset(folder / "data")
    recipe = resolve(Recipe(**steps), dataset)
    prepare_dataset(dataset, recipe, folder / "prepared")
    return recipe, Prepared(folder / "prepared").case(dataset.cases[0].name).image[..., 0]


def padded(slices, size, value):
    """Slices in the middle of larger ones, the odd pixel at the end."""
    whole = np.full((len(slices), *size), value)
    rows, columns = ((length - own) // 2 for length, own in zip(size, slices.shape[1:], strict=True))
    whole[:, rows : rows + slices.shape[1], columns : columns + slices.shape[2]] = slices
    return whole


def test_a_z_scored_scan(prepared, decathlon):
    recipe = Recipe(**prepared.recipe)
    assert first_words(recipe) == ["read", "per", "note", "reorder", "take", "pad"]
    image = nib.load(decathlon / "imagesTr" / "case_0.nii.gz").get_fdata(dtype=np.float32)
    image = (image - image.mean(dtype=np.float64)) / image.std(dtype=np.float64)
    expected = padded(np.moveaxis(image, 2, 0), (32, 32), image.min())
    np.testing.assert_allclose(prepared.case("case_0").image[..., 0], expected, atol=1e-5)


def test_a_ct_is_clipped_and_resampled(tmp_path, make_decathlon):
    rng, scans = np.random.default_rng(0), {}
    for name, pixel_mm in (("a", 1.0), ("b", 1.3)):
        affine = np.diag([pixel_mm, pixel_mm, 5, 1])
        label = np.zeros(SHAPE, np.uint8)
        label[6:15, 8:18, 1:4] = 1
        image = np.where(label, 60, -100) + rng.normal(0, 20, SHAPE)
        scans[name] = nib.Nifti1Image(image.astype(np.int16), affine), nib.Nifti1Image(label, affine)
    recipe, found = prepare(tmp_path, scans, make_decathlon, "CT", spacing_mm=(1.2, 1.2, None))
    steps = preparation_steps(recipe)
    assert first_words(recipe) == ["read", "clip", "per", "note", "resample", "reorder", "take", "pad"]
    assert steps[4].startswith(
        "resample once, over the same extent, to the whole number of voxels nearest to about 1.2"
    )
    low, high = recipe.window_hu
    scaled = (np.clip(np.float32(scans["a"][0].dataobj), low, high) - low) / (high - low)
    axes = [np.round(length / 1.2).astype(int) for length in SHAPE[:2]]
    centres = [(np.arange(new) + 0.5) * old / new - 0.5 for old, new in zip(SHAPE, axes, strict=False)]
    places = np.meshgrid(*(c.clip(0, n - 1) for c, n in zip(centres, SHAPE, strict=False)), range(5), indexing="ij")
    resampled = ndimage.map_coordinates(scaled, places, order=3, mode="mirror").clip(scaled.min(), scaled.max())
    expected = padded(np.moveaxis(resampled, 2, 0), recipe.size, scaled.min())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_stripped_mr_that_lies_the_other_way_is_cropped(tmp_path, make_decathlon):
    """Zero around the brain and voxels that count to the left and to the back: the box is found before scaling."""
    rng, scans = np.random.default_rng(0), {}
    affine = np.diag([-1.0, -1, 2, 1])
    for number in range(2):
        image, label = np.zeros((40, 44, 12), np.float32), np.zeros((40, 44, 12), np.uint8)
        image[12:27, 10:30, 3:9] = rng.normal(100, 10, (15, 20, 6))
        label[15:20, 15:20, 4:6] = 1
        scans[f"case_{number}"] = nib.Nifti1Image(image, affine), nib.Nifti1Image(label, affine)
    steps = {"crop": "nonzero", "scaling_over": "nonzero"}
    recipe, found = prepare(tmp_path, scans, make_decathlon, "T1", **steps)
    assert first_words(recipe) == ["read", "note", "per", "outside", "note", "crop", "reorder", "take", "pad"]
    image = np.asarray(scans["case_0"][0].dataobj)
    margin = [int(np.ceil(recipe.crop_margin_mm / step)) for step in (1, 1, 2)]
    filled = np.argwhere(image != 0)
    starts = np.maximum(filled.min(axis=0) - margin, 0)
    stops = np.minimum(filled.max(axis=0) + 1 + margin, image.shape)
    inside = image[image != 0]
    scaled = (image - inside.mean(dtype=np.float64)) / inside.std(dtype=np.float64)
    scaled[image == 0] = scaled[image != 0].min()
    box = scaled[tuple(slice(*sides) for sides in zip(starts, stops, strict=True))]
    expected = padded(np.moveaxis(box[::-1, ::-1], 2, 0), recipe.size, scaled.min())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_step_of_a_recipe_is_told():
    recipe = Recipe(
        axis="coronal", skull_strip="region", median_kernel=3, blur_mm=1.5, scaling="percentile", crop="nonzero",
        spacing_mm=(1, None, 0.5), image_interpolation="linear", fit="resize", size=(64, 32),
    )  # fmt: skip
    assert preparation_steps(recipe) == [
        "read the volume with its scale factors applied, as float32",
        "find the brain in channel 0, counted from 0, as tfseg.preparation.skull_strip.skull_strip does",
        "note the box of the brain, 5 mm wider on every side, in whole voxels rounded up",
        "median filter of 3×3 pixels per coronal slice, borders repeated",
        "Gaussian blur of standard deviation 1.5 mm, borders repeated",
        "per channel, map percentiles 0.5 and 99.5 of the brain to 0 and 1, clipped",
        "outside the brain, set the least value inside",
        "note each channel's least value, for padding",
        "crop to the box",
        "resample once, over the same extent, to the whole number of voxels nearest to about 1 mm along x, "
        "about 0.5 mm along z, of these rows and columns scaled alike until they fit 64×32 pixels, rounded, "
        "by linear interpolation, constant beyond the outermost centres",
        "reorder the voxels to RAS+ (x to the right, y to the front, z to the top of the patient)",
        "take coronal slices: the row index runs along x, the column index along z",
        "pad to 64×32 pixels, centred (the odd pixel at the end), with the values noted",
    ]


def test_a_window_is_told_with_its_bounds_and_a_body_with_how_it_is_found():
    window = {"width": 300, "level": 150}
    steps = preparation_steps(
        Recipe(axis="axial", window_hu=window, scaling="minmax", scaling_over="body", fit="stretch", size=(16, 16))
    )
    assert steps[1].startswith("find the body in the first channel: blur by a Gaussian of 1 voxel")
    assert steps[2:5] == [
        "clip to [0.0, 300.0] Hounsfield units",
        "per channel, map [0.0, 300.0] to 0 and 1, clipped",
        "outside the body, set the least value inside",
    ]
    assert steps[6].startswith("resample once, over the same extent, to 16×16 pixels, by cubic B-splines")
