from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.inspection import inspect
from tfseg.datasets.layouts import read_dataset
from tfseg.preparation import recipe
from tfseg.preparation.recipe import Recipe, derive, load_recipe, processes_for, resolve
from tfseg.preparation.survey import Survey


@pytest.fixture
def make_dataset(make_decathlon, tmp_path):
    """Writes a dataset of (shape, affine), each scan of noise and labelled in its first voxel, and reads it."""

    def make(*grids, channels=("MRI",)):
        scans = {}
        for number, (shape, affine) in enumerate(grids):
            image = np.random.default_rng(number).normal(0, 100, shape).astype(np.float32)
            label = np.zeros(shape[:3], np.uint8)
            label[0, 0, 0] = 1
            scans[f"case_{number}"] = nib.Nifti1Image(image, affine), nib.Nifti1Image(label, affine)
        return read_dataset(make_decathlon(tmp_path / "data", scans, {1: "organ"}, channels))

    return make


def affine(x, y, z, stored="xyz"):
    """Spacing along x, y and z of a scan whose stored axes run along `stored`."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for axis, direction in enumerate(stored):
        row = "xyz".index(direction)
        matrix[row, axis] = (x, y, z)[row]
    return matrix


# --- what is derived


def test_slices_are_cut_across_the_longest_voxel_side(make_dataset):
    for spacing_mm, axis in (
        ((1, 1, 5), "axial"),
        ((1, 5, 1), "coronal"),
        ((5, 1, 1), "sagittal"),
        ((1, 1, 1), "axial"),
        ((1.4, 1, 1), "axial"),
        ((1.5, 1, 1), "sagittal"),
        ((3, 2.5, 1), "axial"),
    ):
        for stored in ("xyz", "zxy", "yzx"):
            dataset = make_dataset(((4, 4, 4), affine(*spacing_mm, stored)))
            assert resolve(Recipe(), dataset).axis == axis


def test_the_axis_is_that_of_the_median_spacing(make_dataset):
    coronal, axial = ((4, 4, 4), affine(1, 4, 1)), ((4, 4, 4), affine(1, 1, 9))
    assert resolve(Recipe(), make_dataset(coronal, axial, coronal)).axis == "coronal"


def test_single_slices_are_cut_across_their_axis_of_one_voxel(make_dataset):
    sagittal, coronal = ((1, 48, 40), affine(1, 1, 1)), ((40, 30, 1), affine(1, 1, 1, "xzy"))
    for grids, axis, size in (([sagittal, sagittal], "sagittal", (48, 48)), ([coronal], "coronal", (48, 32))):
        resolved = resolve(Recipe(), make_dataset(*grids))
        assert (resolved.axis, resolved.size) == (axis, size)
    for given, grids in ((Recipe(axis="axial"), [sagittal]), (Recipe(), [sagittal, ((8, 9, 7), affine(1, 1, 5))])):
        with pytest.raises(DataError, match=r"case_0\.nii\.gz: a single sagittal slice, which axial slices would cut"):
            resolve(given, make_dataset(*grids))


@pytest.mark.parametrize(
    ("axis", "size"),
    [("axial", (32, 48)), ("coronal", (32, 64)), ("sagittal", (48, 64))],
)
def test_the_size_holds_the_largest_slice_in_multiples_of_sixteen(make_dataset, axis, size):
    grids = ((17, 20, 64), affine(1, 1, 1)), ((16, 48, 3), affine(1, 1, 1)), ((5, 6, 7), affine(1, 1, 1))
    assert resolve(Recipe(axis=axis), make_dataset(*grids)).size == size


def test_the_size_follows_the_scans_orientation(make_dataset):
    dataset = make_dataset(((5, 20, 40), affine(1, 1, 5, stored="zxy")))
    resolved = resolve(Recipe(), dataset)
    assert (resolved.axis, resolved.size) == ("axial", (32, 48))


def test_mr_is_zscored_without_a_window(make_dataset):
    resolved = resolve(Recipe(), make_dataset(((4, 4, 4), np.eye(4))))
    assert (resolved.window_hu, resolved.scaling) == (None, "zscore")


@pytest.fixture
def ct(make_decathlon, tmp_path):
    """Two CTs whose organs hold about 20000 voxels in all, and whose other label is not declared."""
    scans = {}
    for seed in range(2):
        rng = np.random.default_rng(seed)
        image = rng.normal(40 + 30 * seed, 60, (32, 32, 32)).astype(np.float32)
        label = rng.choice([0, 1, 3], (32, 32, 32)).astype(np.uint8)
        image[label == 0] = -1000
        scans[f"case_{seed}"] = nib.Nifti1Image(image, np.eye(4)), nib.Nifti1Image(label, np.eye(4))
    return read_dataset(make_decathlon(tmp_path / "ct", scans, {1: "liver", 3: "spleen"}, ("ct",)))


def test_ct_is_clipped_to_the_percentiles_of_its_foreground(ct):
    foreground = []
    for case in ct.cases:
        label = np.asanyarray(nib.load(case.label).dataobj)
        foreground.append(nib.load(*case.images).get_fdata()[(label == 1) | (label == 3)])
    read = []
    resolved = resolve(Recipe(), ct, Survey(ct, Recipe(), lambda: read.append(1)))
    expected = np.percentile(np.concatenate(foreground), [0.5, 99.5])
    np.testing.assert_allclose(resolved.window_hu, expected, atol=1)
    assert resolved.scaling == "minmax"
    assert len(read) == 2


def test_ct_is_known_by_its_values_as_the_fingerprint_knows_it(ct):
    unnamed = replace(ct, channels=("image",))
    fingerprint = inspect(unnamed).fingerprint
    assert fingerprint.channels[0].modality == "CT, Hounsfield units"
    assert derive(unnamed) == derive(ct)
    assert resolve(Recipe(), unnamed) == resolve(Recipe(), ct)


@pytest.mark.parametrize("channels", [("CT", "PET"), ("PET", "CT")])
def test_one_window_is_not_laid_over_ct_and_another_modality(ct, channels):
    for case in ct.cases:
        image = nib.load(*case.images)
        both = [image.get_fdata(dtype=np.float32), np.abs(image.get_fdata(dtype=np.float32)) / 100]
        array = np.stack(both if channels[0] == "CT" else both[::-1], axis=-1)
        nib.save(nib.Nifti1Image(array, image.affine), *case.images)
    resolved = resolve(derive(replace(ct, channels=channels)), replace(ct, channels=channels))
    assert (resolved.window_hu, resolved.scaling) == (None, "zscore")


def test_ct_that_is_z_scored_has_no_window(make_dataset):
    dataset = make_dataset(((8, 8, 8), np.eye(4)), channels=("CT",))
    image = nib.load(*dataset.cases[0].images)
    nib.save(nib.Nifti1Image(image.get_fdata(dtype=np.float32) / 100, image.affine), *dataset.cases[0].images)
    assert resolve(Recipe(), dataset).scaling == "zscore"


@pytest.mark.parametrize(
    ("given", "window_hu", "scaling"),
    [
        (Recipe(window_hu=(-160, 240)), (-160, 240), "minmax"),
        (Recipe(window_hu=(-160, 240), scaling="zscore"), (-160, 240), "zscore"),
        (Recipe(scaling="zscore"), None, "zscore"),
    ],
)
def test_a_given_window_or_scaling_is_kept_for_ct(ct, given, window_hu, scaling):
    resolved = resolve(given, ct)
    assert (resolved.window_hu, resolved.scaling) == (window_hu, scaling)


def test_what_a_recipe_gives_is_kept(make_dataset):
    given = Recipe(
        axis="sagittal", median_kernel=3, scaling="none", scaling_over="nonzero", size=(40, 50), skull_strip="region"
    )
    assert resolve(given, make_dataset(((4, 4, 4), affine(1, 1, 5)))) == given


def test_a_resolved_recipe_stays_as_it_is(ct):
    resolved = resolve(Recipe(), ct)
    assert resolve(resolved, ct) == resolved


def test_ct_without_a_foreground_is_refused(ct):
    for case in ct.cases:
        nib.save(nib.Nifti1Image(np.zeros((32, 32, 32), np.uint8), np.eye(4)), case.label)
    with pytest.raises(DataError, match=r"no voxel of any case carries a label of \[1, 3\]"):
        resolve(Recipe(), ct)


def test_a_brain_channel_that_is_not_there_is_refused(make_dataset):
    dataset = make_dataset(((4, 4, 4, 2), np.eye(4)), channels=("T1w", "FLAIR"))
    assert resolve(Recipe(skull_strip_channel=1), dataset).skull_strip_channel == 1
    with pytest.raises(ConfigError, match="skull_strip_channel: expected 0 to 1, received 2"):
        resolve(Recipe(skull_strip_channel=2), dataset)


def test_a_header_that_cannot_be_read_is_named(make_dataset):
    dataset = make_dataset(((4, 4, 4), np.eye(4)))
    dataset.cases[0].images[0].write_bytes(b"")
    with pytest.raises(DataError, match=r"case_0\.nii\.gz: not a readable NIfTI file"):
        resolve(Recipe(), dataset)


def test_an_image_of_two_dimensions_is_named(make_dataset):
    dataset = make_dataset(((4, 4, 4), np.eye(4)))
    nib.save(nib.Nifti1Image(np.zeros((4, 4), np.float32), np.eye(4)), *dataset.cases[0].images)
    with pytest.raises(DataError, match=r"case_0\.nii\.gz: expected a 3D image"):
        resolve(Recipe(), dataset)


def test_the_median_spacing_is_taken_within_slices_where_spacings_differ(make_dataset):
    grids = [((8, 8, 4), affine(x, 1, z)) for x, z in ((0.8, 5), (1.0, 3), (1.5, 6))]
    resolved = resolve(Recipe(spacing_mm="median"), make_dataset(*grids))
    assert (resolved.axis, resolved.spacing_mm) == ("axial", (1.0, None, None))
    assert resolved.size == (16, 16)


def test_the_median_along_all_axes_is_for_volumes(make_dataset):
    grids = [((8, 8, 8), affine(x, 1, z)) for x, z in ((0.8, 2), (1.0, 3), (1.5, 6))]
    assert resolve(Recipe(spacing_mm="median_3d"), make_dataset(*grids)).spacing_mm == (1.0, None, 3.0)
    assert derive(make_dataset(*grids), volumes=True) == Recipe(spacing_mm="median_3d", scaling="zscore")
    same = [((8, 8, 4), affine(1, 1, 5))] * 2
    assert resolve(Recipe(spacing_mm="median_3d"), make_dataset(*same)).spacing_mm == "own"


def test_anisotropic_volumes_keep_most_of_their_slices(make_dataset):
    """The 10th percentile along the coarse axis if it has three times the spacing and a third of the voxels."""
    for slices, steps_mm, expected_mm in (
        (4, (4, 5, 6, 7, 8), 4.4),
        (10, (4, 5, 6, 7, 8), 6.0),  # too many slices
        (4, (2, 2.5, 2.9, 3, 8), 2.9),  # not coarse enough
        (4, (0.4, 4, 6, 7, 8), 1.84),
        (4, (0.4, 0.5, 6, 7, 8), 1.0),  # no finer than the other axes
    ):
        dataset = make_dataset(*[((16, 16, slices), affine(1, 1, step)) for step in steps_mm])
        assert resolve(Recipe(spacing_mm="median_3d"), dataset).spacing_mm == (None, None, expected_mm)


def test_spacings_that_agree_are_kept(make_dataset):
    grids = [((8, 8, 4), affine(x, 1, z)) for x, z in ((1.0, 5), (1.001, 3))]
    assert resolve(Recipe(spacing_mm="median"), make_dataset(*grids)).spacing_mm == "own"


@pytest.mark.parametrize("stored", ["xyz", "zxy"])
def test_the_size_holds_slices_that_were_resampled(make_dataset, stored):
    shape = [{"x": 20, "y": 30, "z": 4}[axis] for axis in stored]
    dataset = make_dataset((tuple(shape), affine(2, 1, 5, stored)))
    assert resolve(Recipe(spacing_mm=(0.5, 2, None)), dataset).size == (80, 16)


@pytest.fixture
def framed(make_decathlon, tmp_path):
    """Scans of 40×40×8 with something in 20×18×8 voxels, or more in one of them; zeros around."""
    scans = {}
    for number, width in enumerate((18, 18, 38)):
        image = np.zeros((40, 40, 8), np.float32)
        image[10:30, 1 : 1 + width] = np.random.default_rng(number).normal(100, 10, (20, width, 8))
        label = (image > 110).astype(np.uint8)
        scans[f"case_{number}"] = nib.Nifti1Image(image, np.eye(4)), nib.Nifti1Image(label, np.eye(4))
    return read_dataset(make_decathlon(tmp_path / "framed", scans, {1: "organ"}))


def test_the_size_holds_what_is_left_by_a_crop(framed):
    read = []
    cropped = Recipe(crop="nonzero", crop_margin_mm=2)
    resolved = resolve(cropped, framed, Survey(framed, cropped, lambda: read.append(1)))
    assert resolved.size == (32, 48)  # 24 and 40 with the margins, less one where the border is nearer
    assert len(read) == 3
    assert resolve(Recipe(crop="nonzero", size=(64, 64)), framed).size == (64, 64)


def test_a_case_that_cannot_be_cropped_is_left_to_its_preparation(framed):
    recipe = Recipe(crop="body", crop_margin_mm=2, skull_strip="mask", skull_strip_mask="{case}_brain.nii.gz")
    for case, height in zip(framed.cases, (36, 20, 16), strict=True):
        mask = np.zeros((40, 40, 8), np.uint8)
        mask[:height, :, :] = 1
        nib.save(nib.Nifti1Image(mask, np.eye(4)), case.images[0].with_name(f"{case.name}_brain.nii.gz"))
    assert resolve(recipe, framed).size == (48, 48)
    framed.cases[0].images[0].with_name(f"{framed.cases[0].name}_brain.nii.gz").unlink()
    assert resolve(recipe, framed).size == (32, 48)
    for case in framed.cases[1:]:
        case.images[0].with_name(f"{case.name}_brain.nii.gz").unlink()
    with pytest.raises(DataError, match=r"case_0_brain\.nii\.gz: no such file"):
        resolve(recipe, framed)


def test_images_with_zeros_around_are_cropped_and_scaled_by_the_rest(framed, make_dataset):
    cropped = Recipe(spacing_mm="median", crop="nonzero", crop_margin_mm=0, scaling="zscore", scaling_over="nonzero")
    assert derive(framed) == cropped
    assert derive(make_dataset(((4, 4, 4), np.eye(4)))) == Recipe(spacing_mm="median", scaling="zscore")


def test_ct_is_not_cropped(ct):
    assert derive(ct) == Recipe(spacing_mm="median")


def test_small_data_are_not_worth_a_process(make_dataset, monkeypatch):
    dataset = make_dataset(((4, 4, 4), np.eye(4)), ((4, 4, 4), np.eye(4)), ((4, 4, 4), np.eye(4)))
    assert processes_for(dataset, most=8) == 1
    monkeypatch.setattr(recipe, "BYTES_PER_PROCESS", 100)
    assert (processes_for(dataset, most=8), processes_for(dataset, most=2)) == (3, 2)


# --- what is written


def test_yaml_round_trip(ct, tmp_path):
    resolved = resolve(Recipe(median_kernel=5), ct)
    (tmp_path / "recipe.yaml").write_text(resolved.to_yaml())
    assert load_recipe(tmp_path / "recipe.yaml") == resolved


def test_a_recipe_changes_its_base(tmp_path):
    (tmp_path / "ct.yaml").write_text("window_hu: [-160, 240]\nmedian_kernel: 3\n")
    (tmp_path / "liver.yaml").write_text("base: ct.yaml\nmedian_kernel: 5\n")
    assert load_recipe(tmp_path / "liver.yaml") == Recipe(window_hu=(-160, 240), median_kernel=5)


def test_a_window_is_given_by_its_width_and_level_too(tmp_path):
    (tmp_path / "recipe.yaml").write_text("window_hu: {width: 300, level: 150}")
    assert load_recipe(tmp_path / "recipe.yaml") == Recipe(window_hu=(0, 300))


def test_a_label_of_one_value_needs_no_list(tmp_path):
    (tmp_path / "recipe.yaml").write_text("labels: {organ: 1, rest: [2, tumour]}")
    assert load_recipe(tmp_path / "recipe.yaml").labels == {"organ": (1,), "rest": (2, "tumour")}


WRONG = [
    ("window_hu: [240, -160]", "window_hu: window_hu expects low < high; received [240, -160]"),
    ("window_hu: [5, 5]", "window_hu expects low < high"),
    ("window_hu: [-.inf, 100]", "window_hu.0: Input should be a finite number"),
    ("window_hu: 400", "window_hu: "),
    ("window_hu: {width: 400}", "window_hu expects [low, high] or {width: …, level: …}"),
    ("window_hu: {width: -400, level: 40}", "window_hu expects low < high"),
    ("scaling_percentiles: [99, 1]", "scaling_percentiles expects low < high"),
    ("scaling_percentiles: [1, 101]", "scaling_percentiles.1: Input should be less than or equal to 100"),
    ("blur_mm: -1", "blur_mm: "),
    ("spacing_mm: [1, 1]", "spacing_mm"),
    ("spacing_mm: [0, 1, 1]", "spacing_mm"),
    ("spacing_mm: isotropic", "spacing_mm: "),
    ("empty_slices: 1.5", "empty_slices: Input should be less than or equal to 1"),
    ("skull_strip: mask", "skull_strip_mask belongs to skull_strip: mask, which needs it"),
    ("skull_strip_mask: x", "skull_strip_mask belongs to skull_strip: mask, which needs it"),
    ("skull_strip: command", "skull_strip_command belongs to skull_strip: command, which needs it"),
    ("{skull_strip: command, skull_strip_command: bet x y}", "needs {image} and {mask} in it"),
    ("{skull_strip: command, skull_strip_command: ''}", "needs {image} and {mask} in it"),
    (
        "{skull_strip: command, skull_strip_command: 'bet \"{image} {mask}'}",
        "skull_strip_command: No closing quotation",
    ),
    ("second_map: {path: x}", "second_map.values: Field required"),
    (
        "second_map: {path: x, values: {1: 2}, under: true}",
        "unknown key second_map.under; known: path, values, over",
    ),
    ("labels: {organ: 1.5}", "labels.organ"),
    ("labels: {organ: []}", "labels.organ: "),
    ("regions: {whole: []}", "regions.whole: "),
    ("median_kernel: 4", "median_kernel expects an odd number of pixels, or 0; received 4"),
    ("median_kernel: -1", "median_kernel: Input should be greater than or equal to 0"),
    ("size: [0, 32]", "size.0: "),
    ("size: [32]", "size: expected 2 values; received [32]"),
    ("axis: transverse", "axis: "),
    ("windows_hu: [0, 1]", "unknown key windows_hu; did you mean window_hu?"),
    ("kernel: 3", "unknown key kernel; did you mean median_kernel?"),
    ("skullstrip: region", "unknown key skullstrip; did you mean skull_strip?"),
]


def test_a_wrong_recipe_is_refused_in_one_line(tmp_path):
    for text, message in WRONG:
        (tmp_path / "recipe.yaml").write_text(text)
        with pytest.raises(ConfigError) as refused:
            load_recipe(tmp_path / "recipe.yaml")
        assert str(refused.value).startswith(f"{tmp_path / 'recipe.yaml'}: ")
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)
