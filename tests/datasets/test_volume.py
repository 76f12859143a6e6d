import gzip
import itertools
import re
import struct

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from tfseg.core import memory
from tfseg.core.errors import DataError
from tfseg.datasets.formats import read_header, read_image, read_label, read_label_header
from tfseg.datasets.volume import write_volume

AFFINE = np.array([[0, -2, 0, 10], [1.5, 0, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1.0]])
INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]


def ramp(shape=(3, 4, 5)):
    return np.arange(np.prod(shape)).reshape(shape)


def save(path, array, affine=AFFINE):
    nib.save(nib.Nifti1Image(array, affine, dtype=array.dtype), path)
    return path


def set_scale_factors(path, slope, intercept):
    """Write scl_slope and scl_inter where NIfTI-1 has them, leaving the stored values as they are."""
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<ff", slope, intercept)
    path.write_bytes(content)
    return path


# --- images


def values(path):
    """The values of an image of one channel."""
    image = read_image(path).array
    assert image.dtype == np.float32 and image.shape[3] == 1
    return image[..., 0]


def test_an_image_of_any_type_is_read_as_float32(tmp_path):
    for dtype in (*INTEGERS, "f4", "f8"):
        path = save(tmp_path / f"{dtype}.nii.gz", ramp().astype(dtype))
        np.testing.assert_array_equal(values(path), ramp())
        np.testing.assert_array_equal(read_image(path).affine, AFFINE)


def test_scale_factors_are_applied(tmp_path):
    for dtype in ("u1", "i2", "f4"):
        path = set_scale_factors(save(tmp_path / "a.nii", ramp().astype(dtype)), 2.5, -1000)
        np.testing.assert_array_equal(values(path), 2.5 * ramp() - 1000)


def test_scaling_is_that_of_nibabel(tmp_path):
    stored = np.random.default_rng(0).integers(-30000, 30000, (8, 9, 10))
    for dtype in ("i2", "i4", "f4", "f8"):
        path = set_scale_factors(save(tmp_path / "a.nii", stored.astype(dtype)), 0.000286, 1.7)
        np.testing.assert_allclose(values(path), nib.load(path).get_fdata(), rtol=1e-6, atol=1e-6)


def test_a_slope_of_zero_means_no_scaling(tmp_path):
    path = set_scale_factors(save(tmp_path / "a.nii", ramp().astype("i2")), 0, 7)
    np.testing.assert_array_equal(values(path), ramp())


def test_channels_stay_in_the_fourth_axis(tmp_path):
    channels = ramp((3, 4, 5, 2)).astype(np.int16)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.nii.gz", channels)).array, channels)


def test_spacing_is_that_of_the_stored_axes(tmp_path):
    assert read_image(save(tmp_path / "a.nii", ramp().astype("i2"))).spacing_mm == (1.5, 2, 4)


@pytest.mark.parametrize(("unit", "unit_mm"), [("meter", 1000), ("mm", 1), ("unknown", 1), ("micron", 0.001)])
def test_the_unit_of_space_is_that_of_the_file(tmp_path, unit, unit_mm):
    image = nib.Nifti1Image(ramp().astype("i2"), AFFINE)
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "a.nii")
    read = read_image(tmp_path / "a.nii")
    np.testing.assert_allclose(read.spacing_mm, unit_mm * np.array([1.5, 2, 4]), rtol=1e-6)
    itk = sitk.ReadImage(str(tmp_path / "a.nii"))
    np.testing.assert_allclose(itk.GetSpacing(), read.spacing_mm, rtol=1e-6)
    np.testing.assert_allclose(itk.GetOrigin(), read.affine[:3, 3] * (-1, -1, 1), rtol=1e-6)
    for header in (read_header(tmp_path / "a.nii"), read_label_header(tmp_path / "a.nii")):
        np.testing.assert_array_equal(header.affine, read.affine)
    np.testing.assert_array_equal(read_label(tmp_path / "a.nii").affine, read.affine)


def test_values_that_are_not_finite_are_refused(tmp_path):
    for bad in (np.nan, np.inf, -np.inf):
        array = ramp().astype(np.float32)
        array[0, 1, 2:4] = bad
        with pytest.raises(DataError, match=r"a\.nii: 2 voxels are NaN or infinite"):
            read_image(save(tmp_path / "a.nii", array))


COLOURS = np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(
    ("read", "array", "message"),
    [
        (read_image, COLOURS, "not a readable NIfTI file: its values are of type"),
        (read_image, np.zeros((5, 5), np.float32), "expected a 3D image"),
        (read_image, np.zeros((3, 3, 3, 2, 2), np.float32), "expected a 3D image"),
        (read_label, COLOURS, "labels must be whole numbers"),
        (read_label, np.zeros((3, 3, 3, 2), np.uint8), "expected a 3D label map"),
    ],
    ids=["colours", "2D", "5D", "colours in a label map", "channels in a label map"],
)
def test_other_types_and_ranks_are_refused(tmp_path, read, array, message):
    with pytest.raises(DataError, match=rf"a\.nii: {message}"):
        read(save(tmp_path / "a.nii", array))


# --- labels


def test_labels_of_any_type_are_read_as_integers(tmp_path):
    for dtype in (*INTEGERS, "f4", "f8"):
        label = read_label(save(tmp_path / f"{dtype}.nii.gz", ramp().astype(dtype)))
        assert label.array.dtype.kind in "iu"
        np.testing.assert_array_equal(label.array, ramp())


def test_labels_with_scale_factors_are_read_whole(tmp_path):
    path = set_scale_factors(save(tmp_path / "a.nii", ramp().astype("u1")), 2, 1)
    np.testing.assert_array_equal(read_label(path).array, 2 * ramp() + 1)


def test_labels_saved_as_scaled_integers_may_differ_from_whole_numbers_by_half_a_step(tmp_path):
    label = ramp() % 5
    for dtype, step in (("i2", 4 / 32767), ("u1", 4 / 255)):
        path = set_scale_factors(save(tmp_path / "a.nii", np.rint(label / step).astype(dtype)), step, 0)
        assert not np.array_equal(nib.load(path).get_fdata(), label)
        np.testing.assert_array_equal(read_label(path).array, label)


def test_labels_that_differ_by_more_are_refused(tmp_path):
    for step in (0.012, 0.3):
        stored = np.full((3, 4, 5), 90, np.uint8)  # 1.08 and 27 times the step
        stored[0, 0, 0] = 91
        path = set_scale_factors(save(tmp_path / "a.nii", stored), step, 0)
        with pytest.raises(DataError, match=r"a\.nii: labels must be whole numbers, found (1\.|27\.)"):
            read_label(path)


def test_a_fourth_axis_of_one_is_dropped_from_labels(tmp_path):
    path = save(tmp_path / "a.nii", ramp((3, 4, 5, 1)).astype("u1"))
    np.testing.assert_array_equal(read_label(path).array, ramp())


def test_labels_that_are_not_whole_are_refused(tmp_path):
    for bad in (0.5, np.nan, np.inf, 2.0**40):
        array = ramp().astype(np.float32)
        array[1, 2, 3] = bad
        with pytest.raises(DataError, match=rf"a\.nii: labels must be whole numbers, found {bad}"):
            read_label(save(tmp_path / "a.nii", array))


# --- files


@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_truncated_file_is_named(tmp_path, read):
    for side in (16, 100):
        noise = np.random.default_rng(0).integers(0, 200, (side,) * 3).astype(np.uint8)
        path = save(tmp_path / "scan.nii.gz", noise)
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(DataError, match=r"scan\.nii\.gz: .*: Compressed file ended before"):
            read(path)
    path = save(tmp_path / "scan.nii", ramp().astype(np.uint8))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"scan\.nii: not a readable NIfTI file"):
        read(path)


@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_compressed_file_whose_checksum_is_wrong_is_named(tmp_path, read):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 16)).astype(np.uint8)
    for place in (-6, -200):  # the checksum, and a stored voxel
        path = save(tmp_path / "scan.nii.gz", noise)
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"scan\.nii\.gz: .*: CRC check failed"):
            read(path)


def test_both_nifti_formats_are_read_compressed_or_not(tmp_path):
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        for name in ("a.nii", "a.nii.gz"):
            nib.save(kind(ramp().astype(np.int16), AFFINE), tmp_path / name)
            for read in (read_image, read_label):
                np.testing.assert_array_equal(np.squeeze(read(tmp_path / name).array), ramp())
                np.testing.assert_array_equal(read(tmp_path / name).affine, AFFINE)


def test_a_large_header_extension_is_skipped(tmp_path):
    image = nib.Nifti1Image(ramp().astype(np.uint8), AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100_000))
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(values(tmp_path / "a.nii.gz"), ramp())


def test_a_file_that_is_not_nifti_is_named(tmp_path):
    for content in (b"", b"not an image", b"\x1f\x8b"):
        (tmp_path / "scan.nii.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"scan\.nii\.gz: not a readable NIfTI file"):
            read_header(tmp_path / "scan.nii.gz")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"scan\.nii: no such file$"):
        read_header(tmp_path / "scan.nii")
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    (tmp_path / "Mask.gif").touch()
    with pytest.raises(DataError, match=r"mask\.png: no such file; there is Mask\.gif$"):
        read_header(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"scan\.nii: no such file; there is scan\.nii\.gz$"):
        read_header(tmp_path / "scan.nii")
    (tmp_path / "scan.nii").mkdir()
    with pytest.raises(DataError, match=r"scan\.nii: a folder, where the file of a label map is expected"):
        read_label_header(tmp_path / "scan.nii")


def test_what_nibabel_logs_of_a_header_is_not_printed_beside_the_error(tmp_path, caplog):
    path = save(tmp_path / "scan.nii", ramp().astype("i2"))
    content = bytearray(path.read_bytes())
    content[70:72] = struct.pack("<h", 999)  # datatype
    path.write_bytes(content)
    with pytest.raises(nib.spatialimages.HeaderDataError):
        nib.load(path)
    assert "data code 999" in caplog.text
    caplog.clear()
    with pytest.raises(DataError, match=r"scan\.nii: not a readable NIfTI file: data code 999"):
        read_header(path)
    assert caplog.text == ""


def test_an_affine_that_does_not_span_space_is_refused(tmp_path):
    path = save(tmp_path / "scan.nii", ramp().astype("i2"), np.eye(4))
    content = bytearray(path.read_bytes())
    for first in ((0.0, 0.0, 0.0), (np.nan, 0.0, 0.0), (0.0, 1.0, 0.0)):
        for row, value in enumerate(first):  # the first column of srow_x, srow_y and srow_z
            content[280 + 16 * row : 284 + 16 * row] = struct.pack("<f", value)
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"scan\.nii: its affine"):
            read_header(path)


def test_a_header_that_asks_for_more_than_memory_is_refused_unread(tmp_path, monkeypatch):
    path = save(tmp_path / "scan.nii", ramp().astype("i2"))
    content = bytearray(path.read_bytes())
    content[40:56] = struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"scan\.nii: its header asks for 1\.08e\+05 GB \(30000×30000×30000 voxels\)"):
        read_header(path)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 4 * 60)
    small = save(tmp_path / "small.nii", ramp().astype("u1"))
    assert read_header(small).shape == (3, 4, 5)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 4 * 60 - 1)
    for read in (read_header, read_image, read_label_header, read_label):
        with pytest.raises(DataError, match=r"small\.nii: its header asks for"):
            read(small)


def test_an_image_without_voxels_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.nii: an empty image, its shape is \(3, 0, 5\)"):
        read_header(save(tmp_path / "a.nii", np.zeros((3, 0, 5), np.uint8)))


def test_values_that_float32_cannot_hold_are_refused(tmp_path):
    path = set_scale_factors(save(tmp_path / "a.nii", ramp().astype("i2")), 1e38, 0)
    with pytest.raises(DataError, match=r"a\.nii: 56 voxels are NaN or infinite"):  # all above 3.4e38
        read_image(path)


def test_axes_that_are_not_orthogonal_are_refused_with_their_angle(tmp_path):
    for shear, angle in ((1e20, 90), (1.0, 45), (np.tan(np.radians(1)), 1)):
        sheared = np.eye(4)
        sheared[0, 2] = shear
        path = save(tmp_path / "a.nii", ramp().astype("u1"), sheared)
        for read in (read_header, read_label):
            with pytest.raises(DataError, match=rf"a\.nii: its axes miss a right angle by {angle}°"):
                read(path)
    sheared[0, 2] = np.tan(np.radians(0.4))
    assert read_header(save(tmp_path / "a.nii", ramp().astype("u1"), sheared)).spacing_mm[2] == pytest.approx(
        1, abs=1e-4
    )


def test_headers_have_shape_channels_and_affine(tmp_path):
    header = read_header(save(tmp_path / "a.nii.gz", ramp((3, 4, 5, 2)).astype("i2")))
    assert (header.shape, header.channels, header.in_pixels) == ((3, 4, 5), 2, False)
    assert header.spacing_mm == (1.5, 2, 4)
    assert read_label_header(save(tmp_path / "l.nii.gz", ramp((3, 4, 5, 1)).astype("u1"))).shape == (3, 4, 5)


def test_a_written_volume_is_read_by_nibabel(tmp_path):
    for dtype in ("u1", "u2", "f4"):
        write_volume(tmp_path / "out" / "a.nii.gz", ramp().astype(dtype), AFFINE)
        image = nib.load(tmp_path / "out" / "a.nii.gz")
        assert image.get_data_dtype() == dtype
        np.testing.assert_array_equal(np.asanyarray(image.dataobj), ramp())
        np.testing.assert_array_equal(image.affine, AFFINE)
        assert image.header.get_xyzt_units()[0] == "mm"
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.nii.gz"]


# --- pairs, and what other programs write


def save_pair(folder, array, kind=nib.Nifti1Pair, header=".hdr", data=".img"):
    nib.save(kind(array, AFFINE), folder / "a.hdr")
    for written, wanted in ((".hdr", header), (".img", data)):
        content = (folder / f"a{written}").read_bytes()
        (folder / f"a{written}").unlink()
        (folder / f"a{wanted}").write_bytes(gzip.compress(content) if wanted.lower().endswith(".gz") else content)
    return folder / f"a{header}", folder / f"a{data}"


def test_a_pair_is_read_from_either_file(tmp_path):
    names = ((".hdr", ".img"), (".hdr", ".img.gz"), (".hdr.gz", ".img.gz"), (".HDR", ".IMG"))
    for number, (kind, (header, data)) in enumerate(itertools.product((nib.Nifti1Pair, nib.Nifti2Pair), names)):
        (tmp_path / f"{number}").mkdir()
        # So small that the header has enough bytes to be taken for the voxels.
        for path in save_pair(tmp_path / f"{number}", ramp().astype("u1"), kind, header, data):
            np.testing.assert_array_equal(values(path), ramp())
            np.testing.assert_array_equal(read_label(path).array, ramp())
            np.testing.assert_array_equal(read_header(path).affine, AFFINE)


def test_half_a_pair_is_named(tmp_path):
    header, data = save_pair(tmp_path, ramp().astype("u1"))
    content = header.read_bytes()
    header.unlink()
    with pytest.raises(DataError, match=r"a\.img: .*: the \.hdr file beside it is missing"):
        read_image(data)
    header.write_bytes(content)
    data.unlink()
    with pytest.raises(DataError, match=r"a\.hdr: .*: it is the header of a pair; the \.img file .* is missing"):
        read_image(header)


def test_an_analyze_header_is_named(tmp_path):
    nib.save(nib.AnalyzeImage(ramp().astype("u1"), np.eye(4)), tmp_path / "a.hdr")
    with pytest.raises(DataError, match=r"a\.hdr: .*: it is an Analyze 7\.5 header, which has no orientation"):
        read_image(tmp_path / "a.hdr")


def test_big_endian_files_are_read_as_any_other(tmp_path):
    for kind, dtype in itertools.product((nib.Nifti1Image, nib.Nifti2Image), ("u1", "i2", "i4", "f4", "f8")):
        header = kind.header_class(endianness=">")
        header.set_data_dtype(dtype)
        nib.save(kind(ramp().astype(f">{dtype}"), AFFINE, header), tmp_path / "a.nii.gz")
        assert nib.load(tmp_path / "a.nii.gz").header.endianness == ">"
        np.testing.assert_array_equal(values(tmp_path / "a.nii.gz"), ramp())
        label = read_label(tmp_path / "a.nii.gz").array
        np.testing.assert_array_equal(label, ramp())
        assert label.dtype.isnative and pd.unique(label.ravel()).size == 60  # pandas takes native bytes


def test_compression_is_known_by_content(tmp_path):
    path = save(tmp_path / "a.nii", ramp().astype("u1"))
    (tmp_path / "b.nii").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / "c.nii.gz").write_bytes(path.read_bytes())
    for name in ("b.nii", "c.nii.gz"):
        np.testing.assert_array_equal(values(tmp_path / name), ramp())


def test_a_header_that_asks_for_more_than_its_file_can_hold_is_refused_unread(tmp_path):
    path = save(tmp_path / "a.nii", ramp().astype("i2"))
    content = bytearray(path.read_bytes())
    content[40:56] = struct.pack("<8h", 3, 400, 400, 400, 1, 1, 1, 1)
    for name, written in (("a.nii", content), ("b.nii.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(written)
        for read in (read_header, read_label_header):
            with pytest.raises(DataError, match=rf"{name}: .*: it is cut short: its header asks for 128000352 bytes"):
                read(tmp_path / name)


def test_label_values_may_differ_from_whole_numbers_by_rounding(tmp_path):
    noise = np.random.default_rng(0).uniform(-1e-6, 1e-6, (3, 4, 5))
    path = save(tmp_path / "a.nii", (ramp() + noise).astype(np.float32))
    np.testing.assert_array_equal(read_label(path).array, ramp())
    with pytest.raises(DataError, match="labels must be whole numbers, found 1"):
        read_label(save(tmp_path / "a.nii", (ramp() + 0.01 * (ramp() == 1)).astype(np.float32)))


# --- headers that contradict themselves


def with_forms(path, sform, qform, sform_code=1, qform_code=1, pixdim=None):
    image = nib.Nifti1Image(ramp().astype("u1"), np.eye(4))
    image.header.set_qform(qform, qform_code)
    image.header.set_sform(sform, sform_code)
    if pixdim:
        image.header["pixdim"][1:4] = pixdim
    nib.Nifti1Image(image.dataobj, None, image.header).to_filename(path)
    return path


def test_a_quaternion_may_be_too_long_by_rounding(tmp_path):
    half_turn = np.diag([-1.0, -1, 1, 1]) @ np.diag([0.8, 0.8, 3, 1])
    for excess in (1e-6, 2.4e-6, 1e-5):
        path = with_forms(tmp_path / "a.nii", np.eye(4), half_turn, sform_code=0)
        content = bytearray(path.read_bytes())
        content[256:268] = struct.pack("<3f", 0, 0, np.sqrt(1 + excess))
        path.write_bytes(content)
        np.testing.assert_allclose(read_header(path).affine, half_turn, atol=1e-6)
    content[256:268] = struct.pack("<3f", 0, 0, 1.1)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.nii: .*w2 should be positive"):
        read_header(path)


def test_two_answers_for_the_voxel_size_are_refused_or_reported(tmp_path):
    size = np.diag([0.8, 0.8, 3, 1.0])
    said = r"its sform gives voxels of 1 × 1 × 1, its pixdim 0\.8 × 0\.8 × 3"
    path = with_forms(tmp_path / "a.nii", np.eye(4), size)
    for read in (read_header, read_label):
        with pytest.raises(DataError, match=rf"a\.nii: its header contradicts itself: {said}: correct the one"):
            read(path)
    (warning,) = read_header(with_forms(path, np.eye(4), np.eye(4), qform_code=0, pixdim=(0.8, 0.8, 3))).warnings
    assert re.fullmatch(rf".*a\.nii: {said}; the sform is used", warning)
    assert read_header(with_forms(path, size, size)).warnings == ()
    assert read_header(with_forms(path, size, size @ np.diag([1.005, 1, 1, 1]))).warnings == ()


def test_forms_of_one_code_that_place_voxels_differently_are_reported(tmp_path):
    mirrored = np.diag([-1.0, 1, 1, 1])
    (warning,) = read_header(with_forms(tmp_path / "a.nii", np.eye(4), mirrored)).warnings
    assert warning == f"{tmp_path}/a.nii: its sform and qform place the same voxels 4 mm apart; the sform is used"
    # Scanner and template space.
    assert read_header(with_forms(tmp_path / "a.nii", np.eye(4), mirrored, sform_code=4)).warnings == ()


def test_a_header_says_whether_it_states_an_orientation(tmp_path):
    placed = [
        read_header(with_forms(tmp_path / "a.nii", np.eye(4), np.eye(4), *codes)).is_placed
        for codes in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    assert placed == [False, True, True, True]
