"""Following the sentences with NumPy, SciPy and nibabel gives the image that the network was trained on, and back."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from tfseg.datasets.layouts import read_dataset
from tfseg.prediction.slices import label_volume
from tfseg.preparation.instructions import preparation_steps, restoration_steps
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared
from tfseg.prepared.targets import Targets

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


def resample(volume, shape, order):
    """Interpolate at the positions that the sentence gives: clamped between the outermost centres."""
    positions = [((np.arange(n) + 0.5) * m / n - 0.5).clip(0, m - 1) for m, n in zip(volume.shape, shape, strict=True)]
    return ndimage.map_coordinates(volume, np.meshgrid(*positions, indexing="ij"), order=order, mode="mirror")


def padded(slices, size, value):
    """Slices in the middle of larger ones, the odd pixel at the end."""
    whole = np.full((len(slices), *size), value)
    rows, columns = ((length - own) // 2 for length, own in zip(size, slices.shape[1:], strict=True))
    whole[:, rows : rows + slices.shape[1], columns : columns + slices.shape[2]] = slices
    return whole


def test_a_z_scored_scan(prepared, decathlon):
    recipe = Recipe(**prepared.recipe)
    assert first_words(recipe) == ["read", "per", "note", "flip", "take", "pad"]
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
    assert first_words(recipe) == ["read", "clip", "per", "note", "resample", "flip", "take", "pad"]
    assert steps[4].startswith("resample once, over the same extent, to the number of voxels of about 1.2 mm along x")
    low, high = recipe.window_hu
    scaled = (np.clip(np.float32(scans["a"][0].dataobj), low, high) - low) / (high - low)
    rows, columns = (round(length / 1.2) for length in SHAPE[:2])
    resampled = resample(scaled, (rows, columns, 5), order=3).clip(scaled.min(), scaled.max())
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
    assert first_words(recipe) == ["read", "note", "per", "outside", "note", "crop", "flip", "take", "pad"]
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


def unpadded(slices, shape):
    rows, columns = ((length - own) // 2 for length, own in zip(slices.shape[1:3], shape, strict=True))
    return slices[:, rows : rows + shape[0], columns : columns + shape[1]]


class Known:
    """Predicts known probabilities."""

    def __init__(self, probabilities):
        self.probabilities = probabilities

    def blocks(self, image):
        yield from np.split(self.probabilities, len(image))


def smooth(shape):
    """Probabilities `[slice, h, w, 3]` that vary slowly and sum to 1."""
    noise = np.random.default_rng(5).standard_normal((*shape, 3))
    field = np.exp(3 * ndimage.gaussian_filter(noise, (0, 2, 2, 0)))
    return (field / field.sum(axis=-1, keepdims=True)).astype(np.float32)


TARGETS = Targets({2: "a", 7: "b"})


def decided(probabilities):
    return np.array([0, 2, 7])[probabilities.argmax(axis=-1)]


def test_a_2d_image_there_and_back(tmp_path, save_image_2d):
    """Resampled, so that clamped positions count; no word of a patient."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (61, 47)).astype(np.uint8)
    mask = np.zeros((61, 47), np.uint8)
    mask[20:40, 10:30] = 1
    save_image_2d(tmp_path / "data" / "images" / "a.png", pixels)
    save_image_2d(tmp_path / "data" / "masks" / "a.png", mask)
    dataset = read_dataset(tmp_path / "data")
    recipe = resolve(Recipe(spacing_mm=(1.25, 0.8, None), scaling="minmax"), dataset)
    prepare_dataset(dataset, recipe, tmp_path / "prepared")
    case = Prepared(tmp_path / "prepared").case("a")
    there, back = preparation_steps(recipe, in_pixels=True), restoration_steps(recipe, in_pixels=True)
    assert not any(
        word in " ".join([*there, *back]) for word in ("patient", "RAS", "mm", "axial", "Hounsfield", "scan", "voxel")
    )
    assert [step.split()[0] for step in there] == ["read", "per", "note", "resample", "swap", "pad"]
    assert [step.split()[0] for step in back] == ["cut", "reverse", "resample", "decide"]
    assert "about 1.25 pixels along its width, about 0.8 pixels along its height" in there[3]

    low, high = pixels.min(), pixels.max()
    scaled = (pixels.astype(np.float32) - low) / (high - low)
    height, width = round(61 / 0.8), round(47 / 1.25)
    image = resample(scaled, (height, width), order=3).clip(0, 1)
    swapped = image[::-1, ::-1].T  # [i, j] is [rows - 1 - j, columns - 1 - i]
    assert swapped[3, 5] == image[height - 1 - 5, width - 1 - 3]
    np.testing.assert_allclose(case.image[..., 0], padded(swapped[np.newaxis], recipe.size, 0.0), atol=1e-5)

    output = smooth((1, *recipe.size))
    upright = unpadded(output, (width, height))[0].swapaxes(0, 1)[::-1, ::-1]
    channels = [resample(upright[..., channel], (61, 47), order=1) for channel in range(3)]
    labels = decided(np.stack(channels, axis=-1))
    restored = label_volume(Known(output), case, TARGETS)[..., 0].T  # a 2D image is kept as [column, row, 1]
    assert set(np.unique(labels)) == {0, 2, 7}
    np.testing.assert_array_equal(restored, labels)


def test_a_resampled_scan_there_and_back(tmp_path, make_decathlon):
    """Stored the other way round, cropped, resampled in the plane: each sentence of the way back in turn."""
    rng = np.random.default_rng(0)
    affine = np.diag([-1.0, 1.0, 4.0, 1.0])
    image, label = np.zeros((40, 44, 9), np.float32), np.zeros((40, 44, 9), np.uint8)
    image[7:33, 5:39, 2:8] = rng.normal(100, 20, (26, 34, 6))
    label[10:20, 10:20, 3:5] = 1
    scans = {"case": (nib.Nifti1Image(image, affine), nib.Nifti1Image(label, affine))}
    make_decathlon(tmp_path / "data", scans, {1: "blob"}, ["T1"])
    dataset = read_dataset(tmp_path / "data")
    recipe = resolve(Recipe(crop="nonzero", crop_margin_mm=0, spacing_mm=(1.7, 1.3, None)), dataset)
    prepare_dataset(dataset, recipe, tmp_path / "prepared")
    case = Prepared(tmp_path / "prepared").case("case")
    assert restoration_steps(recipe) == [
        "cut off the padding",
        "stack the slices in order: they run along z, rows along x, columns along y",
        "flip and swap axes back to the order in which the scan is stored",
        "resample every channel of the output to the voxels that the image had, cropped to the box, by linear "
        "interpolation; new voxel i of n lies at position (i + 0.5)·m/n - 0.5 among the m old ones, clamped to the "
        "range 0 to m - 1: beyond the outermost centres the value is theirs",
        "decide the value of every voxel, as the output's decision says",
        "put the values at the place of the box, into zeros of the image's shape",
        "keep the scan's own affine",
    ]
    output = smooth((6, *recipe.size))
    stacked = np.moveaxis(unpadded(output, (round(26 / 1.7), round(34 / 1.3))), 0, 2)[::-1]
    channels = [resample(stacked[..., channel], (26, 34, 6), order=1) for channel in range(3)]
    labels = np.zeros(image.shape, int)
    labels[7:33, 5:39, 2:8] = decided(np.stack(channels, axis=-1))
    assert set(np.unique(labels)) == {0, 2, 7}
    np.testing.assert_array_equal(label_volume(Known(output), case, TARGETS), labels)


def test_every_step_of_a_recipe_is_described():
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
        "resample once, over the same extent, to the number of voxels of about 1 mm along x, about 0.5 mm along z, "
        "rounded (halves to even), at least 1, then the numbers of voxels along x and z scaled alike until they fit "
        "64 voxels along x and 32 along z, rounded (halves to even), at least 1, by linear interpolation; new voxel i "
        "of n lies at position (i + 0.5)·m/n - 0.5 among the m old ones, clamped to the range 0 to m - 1: beyond the "
        "outermost centres the value is theirs",
        "flip and swap axes until the voxels are in the order nearest to RAS+ (x to the right, y to the front, z to "
        "the top of the patient)",
        "take coronal slices: the row index runs along x, the column index along z",
        "pad to 64×32 pixels, centred (the odd pixel at the end), with the values noted",
    ]


def test_a_window_is_described_with_its_bounds_and_a_body_with_how_it_is_found():
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
    assert steps[6].startswith("resample once, over the same extent, to 16 voxels along x, 16 along y, by cubic")
