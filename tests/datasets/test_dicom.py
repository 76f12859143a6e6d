import warnings

import numpy as np
import pydicom
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.dicom import is_series, modality
from tfseg.datasets.formats import read_header, read_image
from tfseg.datasets.grids import stored_like

TURN = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])


def values(shape=(5, 6, 7)):
    return np.arange(np.prod(shape)).reshape(shape).astype(np.int16)


def make_affine(directions, spacing_mm, origin=(10, -20, 5)):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * spacing_mm, origin
    return affine


AXIAL = make_affine(np.diag([-1.0, -1, 1]), (0.7, 0.8, 2.5))
TILTED = make_affine(np.array([[-1, 0, 0], [0, -1, 0.4], [0, 0, 1]]), (1, 1, 3))


def test_a_series_is_a_volume_on_the_patients_grid(save_series, tmp_path):
    sagittal = make_affine(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), (0.5, 0.6, 4))
    oblique = make_affine(TURN @ np.diag([-1.0, -1, 1]), (1, 1, 3))
    for name, affine in {"axial": AXIAL, "sagittal": sagittal, "oblique": oblique}.items():
        image = read_image(save_series(tmp_path / name, values(), affine))
        assert image.array.dtype == np.float32
        # The first slice may be either end; each voxel has its value where it lies.
        placed = stored_like(image, affine)
        np.testing.assert_allclose(placed.affine, affine, atol=1e-5)
        np.testing.assert_array_equal(placed.array[..., 0], values())


def test_a_tilted_gantry_is_refused_with_its_angle(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), TILTED)
    with pytest.raises(DataError, match=r"series: its axes miss a right angle by 21\.8°, as with a tilted gantry"):
        read_header(folder)


def test_the_header_says_what_the_volume_is(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AXIAL)
    header, image = read_header(folder), read_image(folder)
    assert (header.shape, header.channels, header.in_pixels, header.warnings) == ((5, 6, 7), 1, False, ())
    np.testing.assert_array_equal(header.affine, image.affine)
    assert header.spacing_mm == pytest.approx((0.7, 0.8, 2.5))


def test_values_are_rescaled_by_the_slope_of_each_slice(save_series, tmp_path):
    image = read_image(save_series(tmp_path / "s", values(), AXIAL, slope=0.5, intercept=-1024))
    np.testing.assert_array_equal(np.sort(image.array.ravel()), 0.5 * values().ravel() - 1024)

    def change(place, tags):
        return tags | {"RescaleSlope": place + 1}

    own = read_image(save_series(tmp_path / "own", values(), AXIAL, modality="PT", change=change))
    np.testing.assert_array_equal(stored_like(own, AXIAL).array[..., 0], values() * np.arange(1, 8))


def test_the_modality_is_that_of_the_files(save_series, tmp_path):
    assert modality(save_series(tmp_path / "series", values(), AXIAL, modality="MR")) == "MR"


def test_one_slice_is_a_volume_too(save_series, tmp_path):
    image = read_image(save_series(tmp_path / "series", values((5, 6, 1)), AXIAL))
    np.testing.assert_array_equal(image.array[..., 0], values((5, 6, 1)))
    np.testing.assert_allclose(image.affine, AXIAL, atol=1e-5)


@pytest.mark.parametrize("implicit", [False, True])
def test_files_without_preamble_are_read(save_series, tmp_path, implicit):
    options = {"preamble": False, "implicit": implicit}
    folder = save_series(tmp_path / "series", values(), AXIAL, intercept=-1024, **options)
    assert (folder / "IM0001").read_bytes()[:2] == b"\x08\x00"
    image = stored_like(read_image(folder), AXIAL)
    np.testing.assert_array_equal(image.array[..., 0], values() - 1024)
    np.testing.assert_allclose(image.affine, AXIAL, atol=1e-5)


# --- what slices may not differ in


DIFFERING = {
    "turned": ("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], r"ImageOrientationPatient 1\\0\\0\\0\\0\\-1, in most"),
    "spacing": ("PixelSpacing", [0.8, 0.9], r"PixelSpacing 0\.8\\0\.9, in most slices 0\.8\\0\.7"),
    "no position": ("ImagePositionPatient", None, "a slice among others without position"),
    "no orientation": ("ImageOrientationPatient", None, "a slice among others without position, orientation"),
    "damaged position": ("ImagePositionPatient", [1, 2], r"ImagePositionPatient is .*, expected 3 numbers"),
}


@pytest.mark.parametrize(("tag", "value", "message"), DIFFERING.values(), ids=DIFFERING)
def test_a_slice_that_differs_is_named_wherever_it_is(save_series, tmp_path, tag, value, message):
    for differing in (0, 3, 6):
        folder = save_series(
            tmp_path / f"{differing}",
            values(),
            AXIAL,
            change=lambda place, tags, differing=differing: tags | ({tag: value} if place == differing else {}),
        )
        with pytest.raises(DataError, match=rf"/{differing}/IM000{7 - differing}: {message}"):
            read_header(folder)


def test_a_missing_slice_is_named(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AXIAL)
    (folder / "IM0004").unlink()
    with pytest.raises(DataError, match=r"from IM\d+ to IM\d+ it is 5 mm, between most slices 2\.5 mm: a slice may"):
        read_header(folder)


def test_orientations_of_two_halves_are_both_named(save_series, tmp_path):
    turned = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    folder = save_series(
        tmp_path / "s", values((5, 6, 6)), AXIAL, change=lambda place, tags: tags | (turned if place < 3 else {})
    )
    with pytest.raises(
        DataError, match=r"ImageOrientationPatient (1\\0\\0\\0\\[-01\\]+), in another slice (?!\1$)1\\0\\0"
    ):
        read_header(folder)


@pytest.mark.parametrize("place", [1, 4, 7])
@pytest.mark.parametrize("length", [0, 132, 300, 600])
def test_a_slice_that_is_cut_short_in_its_tags_is_named_wherever_it_is(save_series, tmp_path, place, length):
    """The first and the last leave no gap."""
    folder = save_series(tmp_path / "series", values(), AXIAL)
    path = folder / f"IM000{place}"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=rf"series/IM000{place}: not a readable DICOM file: it(s| ends| is)"):
        read_header(folder)


def test_a_file_that_is_dicom_by_its_suffix_only_is_named(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AXIAL)
    (folder / "notes.txt").write_text("not a slice")
    assert read_header(folder).shape == (5, 6, 7)
    (folder / "IM0008.DCM").write_bytes(b"0" * 1000)
    with pytest.raises(DataError, match=r"series/IM0008\.DCM: not a readable DICOM file: it does not begin as one"):
        read_header(folder)


def rewrite(path, **tags):
    file = pydicom.dcmread(path)
    for name, value in tags.items():
        setattr(file, name, value)
    file.save_as(path)


def test_several_slices_at_one_position_are_refused(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AXIAL)
    rewrite(folder / "IM0003", ImagePositionPatient=[-10, 20, 5 + 5 * 2.5])  # IM0002 lies there
    with pytest.raises(DataError, match="series: several slices at one position"):
        read_header(folder)


def test_slices_of_several_sizes_are_refused(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AXIAL)
    rewrite(folder / "IM0001", Columns=4, PixelData=bytes(4 * 6 * 2))
    with pytest.raises(DataError, match=r"series: slices of several sizes: \[\(4, 6\), \(5, 6\)\]"):
        read_header(folder)


def test_two_series_in_a_folder_are_refused(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AXIAL)
    for file in save_series(tmp_path / "other", values(), AXIAL).iterdir():
        file.rename(folder / f"other{file.name}")
    with pytest.raises(DataError, match=r"series: expected one DICOM series in the folder, found 2 \(of 7, 7 files\)"):
        read_header(folder)


def test_a_mosaic_is_refused(save_series, tmp_path):
    def change(_, tags):
        return tags | {"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}

    with pytest.raises(DataError, match="IM0001: a mosaic of slices in one image"):
        read_header(save_series(tmp_path / "series", values((5, 6, 1)), AXIAL, change=change))


# --- enhanced files

FRAMES = np.arange(6 * 4 * 5).reshape(6, 4, 5).astype(np.int16)
STACK = [(-3.0, 7.0, 2.0 * index) for index in range(6)]


def test_an_enhanced_file_is_a_volume_in_either_direction(save_enhanced, tmp_path):
    for name, positions, step_mm in (("up", STACK, 2), ("down", STACK[::-1], -2)):
        image = read_image(save_enhanced(tmp_path / name / "1.dcm", FRAMES, positions, slopes=(2.0,)).parent)
        np.testing.assert_array_equal(image.array[..., 0], (2 * FRAMES - 10).transpose(2, 1, 0))
        expected = [[-0.8, 0, 0, 3], [0, -0.5, 0, -7], [0, 0, step_mm, positions[0][2]], [0, 0, 0, 1]]
        np.testing.assert_allclose(image.affine, expected, atol=1e-6)


PLANES = [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)]
NOT_A_STACK = {
    "shuffled": ([STACK[index] for index in (0, 3, 1, 4, 2, 5)], {}, "its frames are not one stack of slices in order"),
    "a gap": ([*STACK[:5], (-3, 7, 20)], {}, "its frames are not one stack of slices in order, at even distances"),
    "two echoes": ([*STACK[:3], *STACK[:3]], {}, "several slices at one position"),
    "two echoes, frame by frame": ([STACK[index // 2] for index in range(6)], {}, "several slices at one position"),
    "three planes": (STACK, {"orientations": PLANES}, r"frame \d: ImageOrientationPatient"),
    "slopes": (STACK, {"slopes": (1, 1, 2)}, r"frame 2: RescaleSlope\\RescaleIntercept 2\\-10, in most slices 1\\-10"),
    "too few positions": (STACK[:5], {}, "6 frames, but positions of 5; they cannot be placed"),
    "no positions": ([], {}, "6 frames, but positions of 0"),
}


@pytest.mark.parametrize(("positions", "options", "message"), NOT_A_STACK.values(), ids=NOT_A_STACK)
def test_an_enhanced_file_that_is_not_one_even_stack_is_refused(save_enhanced, tmp_path, positions, options, message):
    path = save_enhanced(tmp_path / "series" / "1.dcm", FRAMES, positions, **options)
    with pytest.raises(DataError, match=rf"1\.dcm: {message}"):
        read_header(path.parent)


def test_several_enhanced_files_are_refused(save_enhanced, tmp_path):
    for number in (1, 2):
        save_enhanced(tmp_path / f"{number}.dcm", FRAMES, STACK)
    with pytest.raises(DataError, match=r"1\.dcm: 6 frames in one of 2 files"):
        read_header(tmp_path)


# --- radiographs, and what headers leave out


def test_a_radiographs_pixel_spacing_counts(save_series, tmp_path):
    def read(name, **tags):
        change = lambda _, own: own | {"PixelSpacing": None} | tags  # noqa: E731
        return read_header(save_series(tmp_path / name, values((5, 6, 1)), AXIAL, modality="CR", change=change))

    assert read("calibrated", PixelSpacing=[0.2, 0.3]).spacing_mm[:2] == pytest.approx((0.3, 0.2))
    assert read("detector", ImagerPixelSpacing=[0.2, 0.3]).spacing_mm[:2] == pytest.approx((0.3, 0.2))
    both = read("both", PixelSpacing=[0.2, 0.3], ImagerPixelSpacing=[0.4, 0.5])
    assert both.spacing_mm[:2] == pytest.approx((0.3, 0.2))
    neither = read("neither")
    assert neither.spacing_mm[:2] == (1, 1) and neither.in_pixels and not both.in_pixels


def test_a_ct_without_rescale_is_reported(save_series, tmp_path):
    def change(place, tags):
        return tags | ({"RescaleSlope": None, "RescaleIntercept": None} if place < 2 else {})

    folder = save_series(tmp_path / "ct", values(), AXIAL, intercept=-1024, change=change)
    (warning,) = read_header(folder).warnings
    assert warning.startswith(f"{folder}: 2 of 7 CT slices have no RescaleSlope and RescaleIntercept")
    assert read_header(save_series(tmp_path / "mr", values(), AXIAL, modality="MR", change=change)).warnings == ()


# --- files that are no images


OTHERS = {
    "RTSTRUCT": ("1.2.840.10008.5.1.4.1.1.481.3", False, "RTSTRUCT, a structure set"),
    "SEG": ("1.2.840.10008.5.1.4.1.1.66.4", True, "SEG, a segmentation"),
    "RTDOSE": ("1.2.840.10008.5.1.4.1.1.481.2", True, "RTDOSE, a dose distribution"),
    "SR": ("1.2.840.10008.5.1.4.1.1.88.11", False, "SR, a report"),
    "OT": ("1.2.3", False, "OT without pixels"),
}


@pytest.mark.parametrize(("kind", "described"), [(each, OTHERS[each]) for each in OTHERS], ids=OTHERS)
def test_what_is_no_image_is_named_and_never_a_slice(save_series, save_file, tmp_path, kind, described):
    sop_class, has_pixels, description = described
    pixels = values((5, 6, 1))[:, :, 0].T if has_pixels else None
    tags = {"SOPClassUID": sop_class, "Modality": kind}
    folder = save_series(tmp_path / "series", values(), AXIAL)
    save_file(folder / "A.dcm", tags, pixels)
    image = stored_like(read_image(folder), AXIAL)
    np.testing.assert_array_equal(image.array[..., 0], values())
    assert read_header(folder).warnings == (f"{folder / 'A.dcm'}: {description}, which is not read",)
    alone = save_file(tmp_path / "alone" / "A.dcm", tags, pixels).parent
    assert not is_series(alone)
    with pytest.raises(DataError, match=f"alone: expected the files of a DICOM series .*, A.dcm is {description}"):
        read_header(alone)


@pytest.mark.parametrize("lost", [1, 2000])
def test_a_truncated_file_is_named(save_series, tmp_path, lost):
    folder = save_series(tmp_path / "series", values((40, 40, 3)), AXIAL)
    read_image(folder)
    whole = (folder / "IM0002").read_bytes()
    (folder / "IM0002").write_bytes(whole[:-lost])
    with pytest.raises(DataError, match="IM0002: not a readable DICOM file: its pixels are missing or cut short"):
        read_header(folder)


def test_a_file_truncated_or_damaged_anywhere_is_named_or_read(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values((8, 8, 2)), AXIAL)
    path = folder / "IM0001"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place in rng.integers(0, len(whole), 150).tolist():
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(rng.integers(8))
            for content in (whole[:place], bytes(flipped)):
                path.write_bytes(content)
                try:
                    read_image(folder)
                except DataError as error:
                    assert str(folder) in str(error) and "\n" not in str(error)


def test_what_is_a_series(save_series, tmp_path):
    save_series(tmp_path / "case" / "series", values(), AXIAL)
    (tmp_path / "case" / "notes.txt").write_text("short")
    (tmp_path / "case" / "table.txt").write_text("long " * 100)
    assert is_series(tmp_path / "case" / "series")
    assert not is_series(tmp_path / "case")


@pytest.mark.parametrize("read", [read_header, read_image, modality])
def test_a_folder_without_a_dicom_file_is_named(tmp_path, read):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "IM0001").touch()
    with pytest.raises(DataError, match="case: expected the files of a DICOM series in the folder itself, found none"):
        read(tmp_path / "case")


def test_damaged_tags_are_one_line_without_a_traceback(tmp_path, save_series):
    """pydicom adds its traceback to the message, and warns without naming the file."""
    folder = save_series(tmp_path / "a", values((5, 6, 3)), AXIAL)
    path = folder / "IM0001"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x20\x00\x32\x00DS", b"\x20\x00\x32\x00DW"))
    with pytest.raises(DataError) as refused:
        read_header(folder)
    assert str(refused.value).startswith(
        f"{path}: not a readable DICOM file: With tag (0020,0032) got exception: Unknown"
    )
    assert "Traceback" not in str(refused.value) and "\n" not in str(refused.value)
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"))
    read_header(folder)  # explicit, though it says implicit
