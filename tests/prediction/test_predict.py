"""The answer lies exactly on the scan: every axis order, affine and format, with a stand-in for the network."""

import itertools
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import tensorflow as tf
from PIL import Image

from tfseg.config.training import TrainingConfig
from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.formats import read_image, read_label
from tfseg.datasets.layouts import Case
from tfseg.datasets.writing import write_label_map
from tfseg.prediction.clean_up import CleanUp, parse_clean_up
from tfseg.prediction.description import describe
from tfseg.prediction.draws import Sampling
from tfseg.prediction.dropout import Passes
from tfseg.prediction.ensemble import Member
from tfseg.prediction.model import Model, joined
from tfseg.prediction.predict import Options, label_map_path, predict_scan
from tfseg.prediction.uncertainty import entropy
from tfseg.prepared.targets import Targets

LABELS = {1: "left", 2: "right"}
NAMES = ("entropy", "std", "mutual_information", "class_std", "probability")


def by_value_and_row(image):
    """Probabilities `[slice, h, w, 3]` of a brightness, and of the place in the slice."""
    rows = np.linspace(-0.5, 0.5, image.shape[1], dtype="float32")[:, None]
    value = image[..., 0] + rows
    evidence = np.stack([np.zeros_like(value), value, 2 * value - 1.5], axis=-1)
    shares = np.exp(4 * evidence)
    return shares / shares.sum(axis=-1, keepdims=True)


def model_of(description):
    return Model("stand-in", description, (Member("stand-in", frozenset(), lambda: by_value_and_row),), ())


@pytest.fixture(scope="module")
def model(prepared):
    return model_of(describe(prepared, TrainingConfig(batch_size=4)))


@pytest.fixture(scope="module")
def scan():
    """A smooth scan whose three axes differ."""
    rng = np.random.default_rng(0)
    centres = np.stack(np.indices((20, 23, 5)), axis=-1) - [7, 12, 2]
    return (100 + 300 * np.exp(-(centres**2).sum(axis=-1) / 60) + rng.normal(0, 3, (20, 23, 5))).astype(np.float32)


def predict(model, path, out, **options):
    return predict_scan(Case(path.name.split(".")[0], "new", (path,)), model, Options(**options), 4, out)


def predicted(model, array, affine, folder, name="scan"):
    path = folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(array, affine), path)
    image = nib.load(predict(model, path, folder / "out").path)
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)
    assert image.get_data_dtype() == np.uint8
    assert image.shape == array.shape
    return np.asarray(image.dataobj)


def turned(array, affine, axes, flips):
    """The same scan, stored in another order."""
    ornt = np.stack([axes, flips], axis=1)
    return nib.orientations.apply_orientation(array, ornt), affine @ nib.orientations.inv_ornt_aff(ornt, array.shape)


OBLIQUE = np.array([[0.97, -0.12, 0.35, -40], [0.15, 0.98, 0.21, 12], [-0.19, -0.08, 2.7, 7], [0, 0, 0, 1.0]])
OBLIQUE[:3, :3] = np.linalg.qr(OBLIQUE[:3, :3])[0] * [-1, -1, 1] * [1.0, 1.1, 3.0]
PLAIN = np.diag([1.0, 1.1, 3.0, 1.0])


def test_the_mask_of_a_reoriented_scan_is_the_reoriented_mask(model, scan, tmp_path):
    """All 48 axis orders, half of them left-handed, of a plain and of an oblique grid."""
    for affine in (PLAIN, OBLIQUE):
        reference = predicted(model, scan, affine, tmp_path)
        assert {0, 1, 2} == set(np.unique(reference))
        for axes in itertools.permutations(range(3)):
            for flips in itertools.product((1, -1), repeat=3):
                array, other = turned(scan, affine, axes, flips)
                mask = predicted(model, array, other, tmp_path)
                np.testing.assert_array_equal(mask, turned(reference, affine, axes, flips)[0])


def test_with_resampling_and_crop_it_is_so_but_for_rounding(model, scan, tmp_path):
    recipe = model.description.recipe.model_copy(update={"spacing_mm": (1.4, 0.8, 2.2), "size": (48, 48)})
    padded = np.pad(scan, ((4, 0), (0, 3), (0, 0)))
    for each in (recipe, recipe.model_copy(update={"crop": "nonzero", "crop_margin_mm": 0})):
        resampling = model_of(replace(model.description, recipe=each))
        reference = predicted(resampling, padded, PLAIN, tmp_path)
        for axes in ((0, 1, 2), (2, 0, 1), (1, 0, 2)):
            for flips in itertools.product((1, -1), repeat=3):
                array, other = turned(padded, PLAIN, axes, flips)
                mask = predicted(resampling, array, other, tmp_path)
                expected = turned(reference, PLAIN, axes, flips)[0]
                assert 2 * ((mask == expected) & (mask > 0)).sum() > 0.999 * ((mask > 0).sum() + (expected > 0).sum())


def test_real_scans_in_three_orientations(model, shared, tmp_path):
    """A head of 0.86×0.86×6.5 mm, stored as LPS, and an abdomen: slices larger than the input of the stand-in, too."""
    recipe = model.description.recipe.model_copy(update={"size": (128, 128)})
    pixelwise = replace(model.description, shape=(128, 128), recipe=recipe)
    for name in ("head/tumour_flair.nii.gz", "ct/abdomen_3mm.nii.gz"):
        scan = nib.load(shared / "data" / name)
        array = scan.get_fdata(dtype=np.float32)
        reference = predicted(model_of(pixelwise), array, scan.affine, tmp_path)
        assert 0.01 < (reference > 0).mean() < 0.9
        for axes, flips in (((2, 0, 1), (-1, 1, 1)), ((1, 2, 0), (1, 1, -1)), ((0, 2, 1), (-1, -1, 1))):
            mask = predicted(model_of(pixelwise), *turned(array, scan.affine, axes, flips), tmp_path)
            np.testing.assert_array_equal(mask, turned(reference, scan.affine, axes, flips)[0])


def test_geometry_from_a_qform_alone_and_a_stretched_unit(model, scan, tmp_path):
    reference = predicted(model, scan, OBLIQUE, tmp_path)
    image = nib.Nifti1Image(scan, None)
    image.set_qform(OBLIQUE, code=1)
    image.set_sform(None, code=0)
    nib.save(image, tmp_path / "qform.nii.gz")
    mask = nib.load(predict(model, tmp_path / "qform.nii.gz", tmp_path / "out").path)
    np.testing.assert_allclose(mask.affine, OBLIQUE, atol=1e-3)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), reference)
    metres = nib.Nifti1Image(scan, np.diag([1e-3, 1e-3, 1e-3, 1]) @ OBLIQUE)
    metres.header.set_xyzt_units("meter")
    nib.save(metres, tmp_path / "metres.nii")
    mask = nib.load(predict(model, tmp_path / "metres.nii", tmp_path / "out").path)
    assert (mask.header.get_xyzt_units()[0], mask.header.get_zooms()) == ("mm", pytest.approx((1.0, 1.1, 3.0)))
    np.testing.assert_array_equal(np.asarray(mask.dataobj), reference)


def test_nrrd_and_metaimage_keep_their_format_and_grid(model, scan, tmp_path):
    reference = predicted(model, scan, OBLIQUE, tmp_path)
    for suffix in (".nrrd", ".mha"):
        write_label_map(tmp_path / f"scan{suffix}", scan, OBLIQUE)
        path = predict(model, tmp_path / f"scan{suffix}", tmp_path / "out").path
        assert path.name == f"scan{suffix}"
        image, mask = (SimpleITK.ReadImage(str(each)) for each in (tmp_path / f"scan{suffix}", path))
        assert mask.GetPixelID() == SimpleITK.sitkUInt8
        for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(mask, name)() == pytest.approx(getattr(image, name)(), abs=1e-9)
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(mask).transpose(2, 1, 0), reference)


def test_a_dicom_series_has_a_mask_in_nifti(model, shared, tmp_path):
    series = next(folder for folder in sorted(shared.rglob("*")) if list(folder.glob("*.dcm"))[:1])
    image = read_image(series)
    wide = replace(model.description, recipe=model.description.recipe.model_copy(update={"size": (1024, 1024)}))
    path = predict_scan(Case("dicom", "new", (series,)), model_of(wide), Options(), 4, tmp_path).path
    mask = nib.load(path)
    assert (path.name, mask.shape) == ("dicom.nii.gz", image.array.shape[:3])
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)


def test_2d_images_have_2d_images_and_one_slice_has_one_slice(model, scan, tmp_path):
    rows = (scan[:, :, 2].T / 2).astype(np.uint8)
    in_pixels = model_of(replace(model.description, in_pixels=True))
    masks = {}
    for suffix in (".png", ".tif", ".jpg", ".bmp"):
        Image.fromarray(rows).save(tmp_path / f"slice{suffix}")
        path = predict(in_pixels, tmp_path / f"slice{suffix}", tmp_path / suffix).path
        assert path.suffix == {".jpg": ".png", ".bmp": ".png"}.get(suffix, suffix)
        masks[suffix] = np.asarray(Image.open(path))
        assert (masks[suffix].shape, masks[suffix].dtype) == (rows.shape, np.uint8)
    np.testing.assert_array_equal(masks[".tif"], masks[".png"])
    assert set(np.unique(masks[".png"])) == {0, 1, 2}
    volume = predicted(model, rows.T[::-1, ::-1, None].astype(np.float32), PLAIN, tmp_path)
    np.testing.assert_array_equal(volume[::-1, ::-1, 0].T, masks[".png"])


def test_slices_larger_than_the_input_are_covered_by_windows(model, scan, tmp_path):
    """A stand-in that sees single pixels gives the same probabilities in windows as at once."""

    def by_value(image):
        value = np.concatenate([np.zeros_like(image), image, 2 * image - 1.5], axis=-1)
        return np.exp(value) / np.exp(value).sum(axis=-1, keepdims=True)

    pixelwise = replace(model, members=(Member("stand-in", frozenset(), lambda: by_value),))
    reference = predicted(pixelwise, scan, PLAIN, tmp_path)
    small = replace(
        model.description, shape=(16, 16), recipe=model.description.recipe.model_copy(update={"size": (16, 16)})
    )
    np.testing.assert_array_equal(predicted(replace(pixelwise, description=small), scan, PLAIN, tmp_path), reference)
    cubes = replace(model.description, shape=(4, 16, 16), overlap=0.5)

    def by_voxel(image):
        return by_value(image.reshape(-1, *image.shape[2:])).reshape(*image.shape[:-1], 3)

    of_windows = replace(pixelwise, description=cubes, members=(Member("stand-in", frozenset(), lambda: by_voxel),))
    np.testing.assert_array_equal(predicted(of_windows, scan, PLAIN, tmp_path), reference)


def test_a_network_sees_the_neighbours_of_every_slice(prepared, scan, tmp_path):
    """A stand-in that answers from the slice before: its mask is that of the plain stand-in, one slice later."""
    nib.save(nib.Nifti1Image(scan, np.eye(4)), tmp_path / "scan.nii.gz")
    plain = describe(prepared, TrainingConfig(batch_size=4))
    seeing = describe(prepared, TrainingConfig.model_validate({"batch_size": 4, "input": {"neighbours": 1}}))
    for shape in (plain.shape, (16, 16)):  # whole slices, and windows of them
        masks = []
        for description in (plain, seeing):
            member = Member("stand-in", frozenset(), lambda: lambda image: by_value_and_row(image[..., :1]))
            model = Model("stand-in", replace(description, shape=shape), (member,), ())
            out = tmp_path / f"{description.neighbours}_{shape[0]}"
            masks.append(read_label(predict(model, tmp_path / "scan.nii.gz", out).path).array)
        assert masks[0].any()
        np.testing.assert_array_equal(masks[1], masks[0][:, :, [0, 0, 1, 2, 3]])


def test_values_above_255_are_written_in_16_bits(prepared, scan, tmp_path):
    description = replace(
        describe(prepared, TrainingConfig(batch_size=4)), targets=Targets({300: "left", 70000: "right"})
    )
    nib.save(nib.Nifti1Image(scan, PLAIN), tmp_path / "scan.nii.gz")
    mask = nib.load(predict(model_of(description), tmp_path / "scan.nii.gz", tmp_path / "out").path)
    assert mask.get_data_dtype() == np.uint32
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 300, 70000}


def test_probabilities_lie_on_the_scan_and_decide_the_mask(model, scan, tmp_path):
    recipe = model.description.recipe.model_copy(update={"spacing_mm": (1.4, 0.8, 2.2), "crop": "nonzero"})
    resampling = model_of(replace(model.description, recipe=recipe))
    array, affine = turned(np.pad(scan, 9)[:26, :20, 7:14], OBLIQUE, (1, 2, 0), (1, -1, 1))
    for kind, step in (("float32", 1e-6), ("uint8", 1 / 255)):
        mask = predicted(resampling, array, affine, tmp_path)
        predict(resampling, tmp_path / "scan.nii.gz", tmp_path / "out", probabilities=kind)
        image = nib.load(tmp_path / "out" / "scan_probability.nii.gz")
        assert (image.get_data_dtype(), image.shape) == (np.dtype(kind), (*array.shape, 3))
        np.testing.assert_allclose(image.affine, affine, atol=1e-4)
        values = image.get_fdata()
        np.testing.assert_allclose(values.sum(axis=-1), 1, atol=3 * step)
        if kind == "float32":
            np.testing.assert_array_equal(model.description.targets.decide(values), mask)


def brighter_or_darker(features, seeds):
    """A pass of the stand-in: each seed makes an image brighter or darker."""
    shift = tf.where(seeds[:, 0] % 2 == 0, 0.3, -0.3)
    value = features[0] + shift[:, None, None, None]
    return tf.nn.softmax(4 * tf.concat([tf.zeros_like(value), value, 2 * value - 1.5], axis=-1))


def sampling_model(description):
    passes = Passes((*description.shape, 1), lambda images: [images], brighter_or_darker)
    member = Member("stand-in", frozenset(), lambda: by_value_and_row, passes=lambda: passes)
    return Model("stand-in", description, (member,), ())


def test_maps_of_uncertainty_lie_on_the_scan(model, scan, tmp_path):
    """However it is stored; what was cropped off is certain, and the entropy is that of the probabilities beside it."""
    recipe = model.description.recipe.model_copy(update={"crop": "nonzero", "crop_margin_mm": 0})
    sampling = sampling_model(replace(model.description, recipe=recipe))
    padded = np.pad(scan, ((4, 0), (0, 3), (0, 0)))

    def maps(array, affine):
        nib.save(nib.Nifti1Image(array, affine), tmp_path / "scan.nii.gz")
        options = {"sampling": Sampling(6, per_class=True), "probabilities": "float32"}
        predict(sampling, tmp_path / "scan.nii.gz", tmp_path / "out", **options)
        images = [nib.load(tmp_path / "out" / f"scan_{name}.nii.gz") for name in NAMES]
        for image in images:
            assert (image.get_data_dtype(), image.shape[:3]) == (np.float32, array.shape)
            np.testing.assert_allclose(image.affine, affine, atol=1e-4)
        return [np.asarray(image.dataobj) for image in images]

    for affine in (PLAIN, OBLIQUE):
        reference = maps(padded, affine)
        entropies, spread, information, class_spread, probability = reference
        np.testing.assert_allclose(entropies, entropy(probability, "softmax"), atol=1e-6)
        np.testing.assert_allclose(spread, class_spread[..., 0], atol=1e-6)  # of 1 - p as of p
        assert (spread.max(), information.max()) > (0.1, 0.05)
        for outside in (each[:4] for each in reference[:4]):
            np.testing.assert_array_equal(outside, 0)
        for axes, flips in (((2, 0, 1), (1, -1, 1)), ((0, 2, 1), (-1, -1, 1)), ((1, 0, 2), (1, 1, -1))):
            for received, expected in zip(maps(*turned(padded, affine, axes, flips)), reference, strict=True):
                np.testing.assert_allclose(received, turned(expected, affine, axes, flips)[0], atol=2e-6)


def test_windows_and_large_slices_have_maps_too(model, scan, tmp_path):
    """Of a stand-in that sees single pixels: one pass is as uncertain in windows as at once."""
    nib.save(nib.Nifti1Image(scan, PLAIN), tmp_path / "scan.nii.gz")
    maps = []
    for shape, overlap in ((model.description.shape, 0.0), ((16, 16), 0.0), ((4, 16, 16), 0.5)):
        description = replace(model.description, shape=shape, overlap=overlap)
        passes = Passes((*shape, 1), lambda images: [images], lambda features, _: brightness(features[0]))
        member = Member("stand-in", frozenset(), lambda: by_value_and_row, passes=lambda passes=passes: passes)
        stand_in = Model("stand-in", description, (member,), ())
        predict(stand_in, tmp_path / "scan.nii.gz", tmp_path / "out", sampling=Sampling(2))
        written = [nib.load(tmp_path / "out" / f"scan_{name}.nii.gz").get_fdata() for name in NAMES[:3]]
        np.testing.assert_allclose(written[1:], 0, atol=1e-6)
        maps.append(written[0])
    np.testing.assert_allclose(maps[1], maps[0], atol=2e-6)
    np.testing.assert_allclose(maps[2], maps[0], atol=2e-6)


def brightness(images):
    return tf.nn.softmax(tf.concat([tf.zeros_like(images), images, 2 * images - 1.5], axis=-1))


def test_an_ensemble_that_has_seen_the_scan_is_refused():
    members = [Member(name, frozenset("a"), lambda: by_value_and_row) for name in ("fold 0", "fold 1")]
    with pytest.raises(DataError, match="every network has seen it"):
        Sampling(2).check_unseen(members, frozenset("a"))
    Sampling(2).check_unseen(members, frozenset("b"))
    Sampling(2).check_unseen(members[:1], frozenset("a"))  # one network alone, which is reported
    with pytest.raises(DataError, match="only fold 0 has not seen it, and one network is no ensemble"):
        Sampling(None).check_unseen(members[:1], frozenset("b"))


def test_models_of_other_images_are_no_ensemble(model):
    pair = joined([replace(model, name="a"), replace(model, name="b")], "both")
    assert [member.name for member in pair.members] == ["a, stand-in", "b, stand-in"]
    other = replace(model, name="b", description=replace(model.description, channels=("CT",)))
    with pytest.raises(ConfigError, match="b: trained on other scans"):
        joined([model, other], "both")


def test_rules_clean_up_the_mask(model, scan, tmp_path):
    array = scan.copy()
    array[1:3, 1:3, 0] = 400  # a small second component, as bright as the centre
    before = predicted(model, array, PLAIN, tmp_path)
    assert before[1, 1, 0] == 2
    predict(model, tmp_path / "scan.nii.gz", tmp_path / "clean", clean=parse_clean_up("largest:right"))
    after = read_label(tmp_path / "clean" / "scan.nii.gz").array
    assert after[1, 1, 0] == 0
    assert (after == 2).sum() == (before == 2).sum() - (before[1:3, 1:3, 0] == 2).sum()
    predict(model, tmp_path / "scan.nii.gz", tmp_path / "few", clean=parse_clean_up("min:right=5"))
    np.testing.assert_array_equal(read_label(tmp_path / "few" / "scan.nii.gz").array == 2, after == 2)
    with pytest.raises(ConfigError, match="expected labels of left, right, received liver"):
        CleanUp(largest=("liver",)).check(LABELS)
    for wrong in ("biggest:left", "min:left", "min:left=few", "largest:"):
        with pytest.raises(ConfigError, match="expected largest:LABEL or min:LABEL=VOXELS"):
            parse_clean_up(wrong)


def test_a_scan_unlike_those_of_the_training_is_predicted_with_a_reason(model, scan, tmp_path):
    array, affine = turned(scan * 100 - 1000, np.diag([2.5, 1, 3, 1]), (0, 2, 1), (1, -1, 1))
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "scan.nii.gz")
    lines = predict(model, tmp_path / "scan.nii.gz", tmp_path / "out").unlike
    assert lines[0] == "stored as RSP, training scans as RAS"
    assert lines[1] == "spacing of 2.5 mm along x, 1 mm in training"
    assert lines[2].startswith(("MRI has values", "MRI is "))
    nib.save(nib.Nifti1Image((scan > 200).astype(np.uint8), np.diag([1, 1, 3, 1])), tmp_path / "labels.nii.gz")
    lines = predict(model, tmp_path / "labels.nii.gz", tmp_path / "out").unlike
    assert lines[0] == "MRI has 2 values, whole numbers from 0 to 1, as a label map has"
    nib.save(nib.Nifti1Image(scan, np.diag([1, 1, 3, 1])), tmp_path / "like.nii.gz")
    assert predict(model, tmp_path / "like.nii.gz", tmp_path / "out").unlike == ()


def test_a_scan_that_the_network_is_not_for_is_refused(model, scan, tmp_path, save_volume, save_image_2d):
    for path, message in (
        (
            save_volume(tmp_path / "two.nii.gz", np.stack([scan, scan], axis=-1)),
            r"expected 1 channel \(MRI\), received 2",
        ),
        (save_image_2d(tmp_path / "a.png", scan[:, :, 0].astype(np.uint8)), "expected a scan with millimetres"),
        (save_volume(tmp_path / "line.nii.gz", scan[:1]), "a single sagittal slice; the network expects axial"),
        (save_volume(tmp_path / "flat.nii.gz", np.zeros((8, 8, 3), np.float32)), "every voxel has the value 0"),
    ):
        with pytest.raises(DataError, match=message):
            predict(model, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert label_map_path(Case("a", "a", (tmp_path / "x.jpeg",)), tmp_path).name == "a.png"
