import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from tfseg.core.errors import DataError
from tfseg.datasets.formats import is_picture, read_header, read_image, read_label
from tfseg.preparation.slicing import SliceGrid

ROWS = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURS = np.stack([ROWS, ROWS + 50, ROWS + 100], axis=-1)


def as_rows(array):
    return array[:, :, 0].swapaxes(0, 1)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_rows_and_columns_survive(save_picture, tmp_path, suffix):
    image = read_image(save_picture(tmp_path / f"a.{suffix}", ROWS))
    assert (image.array.shape, image.array.dtype) == ((4, 3, 1, 1), np.float32)
    np.testing.assert_array_equal(as_rows(image.array)[..., 0], ROWS)


def test_colours_are_red_green_and_blue(save_picture, tmp_path):
    image = read_image(save_picture(tmp_path / "a.png", COLOURS))
    np.testing.assert_array_equal(as_rows(image.array), COLOURS)


def test_jpeg_is_near_the_picture(save_picture, tmp_path):
    smooth = np.tile(np.linspace(20, 200, 32).astype(np.uint8), (32, 1))
    np.testing.assert_allclose(
        as_rows(read_image(save_picture(tmp_path / "a.jpg", smooth)).array)[..., 0], smooth, atol=6
    )


def test_transparency_is_left_out(save_picture, tmp_path):
    opaque = np.full((3, 4, 1), 255, np.uint8)
    image = read_image(save_picture(tmp_path / "a.png", np.concatenate([COLOURS, opaque], axis=-1)))
    np.testing.assert_array_equal(as_rows(image.array), COLOURS)


@pytest.mark.parametrize("rows", [ROWS.astype(np.uint16) * 5000, ROWS.astype(np.float32) / 7])
def test_deep_pictures_keep_their_values(save_picture, tmp_path, rows):
    np.testing.assert_array_equal(as_rows(read_image(save_picture(tmp_path / "a.tiff", rows)).array)[..., 0], rows)


def test_a_header_tells_the_size_and_the_channels(save_picture, tmp_path):
    for rows, channels in ((ROWS, 1), (COLOURS, 3)):
        header = read_header(save_picture(tmp_path / "a.png", rows))
        assert (header.shape, header.channels, header.in_pixels) == ((4, 3, 1), channels, True)
        assert header.spacing_mm == (1, 1, 1)


def test_a_picture_lies_as_an_axial_slice_of_a_patient_on_the_back(save_picture, tmp_path):
    image = read_image(save_picture(tmp_path / "a.png", ROWS))
    grid = SliceGrid.of(image.array.shape[:3], image.affine, "axial", (4, 3))
    (canonical,) = grid.to_slices(image.array[..., 0])
    # Right to left and back to front: drawn with the right on the left and the front above, it is the picture.
    np.testing.assert_array_equal(canonical[::-1, ::-1].T, ROWS)


@pytest.mark.parametrize("values", [[0, 255], [0, 1], [0, 3, 7]])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_masks_keep_their_values(save_picture, tmp_path, suffix, values):
    rows = np.random.default_rng(0).choice(np.array(values, np.uint8), (5, 6))
    label = read_label(save_picture(tmp_path / f"m.{suffix}", rows)).array
    assert label.dtype.kind in "iu"
    np.testing.assert_array_equal(as_rows(label), rows)


def test_a_mask_of_equal_colours_is_one_of_grey(save_picture, tmp_path):
    label = read_label(save_picture(tmp_path / "m.png", np.repeat(ROWS[..., np.newaxis], 3, axis=2))).array
    np.testing.assert_array_equal(as_rows(label), ROWS)


def test_a_mask_of_two_tones_is_0_and_255(save_picture, tmp_path):
    rows = (ROWS > 5).astype(np.uint8) * 255
    label = read_label(save_picture(tmp_path / "m.png", rows, mode="1")).array
    np.testing.assert_array_equal(as_rows(label), rows)


def test_a_mask_with_a_palette_holds_its_indices(tmp_path):
    mask = Image.fromarray(ROWS % 3).convert("P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    mask.save(tmp_path / "m.png")
    np.testing.assert_array_equal(as_rows(read_label(tmp_path / "m.png").array), ROWS % 3)


def test_a_jpeg_mask_is_cut_at_half(save_picture, tmp_path):
    rows = np.zeros((32, 32), np.uint8)
    rows[9:20, 5:22] = 255
    path = save_picture(tmp_path / "m.jpg", rows)
    assert len(np.unique(np.asarray(Image.open(path)))) > 2
    np.testing.assert_array_equal(as_rows(read_label(path).array), rows)


def test_a_mask_in_colours_is_refused(save_picture, tmp_path):
    with pytest.raises(DataError, match=r"m\.png: expected one value a pixel, found colours"):
        read_label(save_picture(tmp_path / "m.png", COLOURS))


def test_a_mask_of_fractions_is_refused(save_picture, tmp_path):
    with pytest.raises(DataError, match=r"m\.tif: labels must be whole numbers, found 0\.5"):
        read_label(save_picture(tmp_path / "m.tif", np.full((3, 4), 0.5, np.float32)))


def test_values_that_are_not_finite_are_refused(save_picture, tmp_path):
    rows = np.ones((3, 4), np.float32)
    rows[1, 2] = np.nan
    with pytest.raises(DataError, match=r"a\.tif: 1 voxels are NaN or infinite"):
        read_image(save_picture(tmp_path / "a.tif", rows))


@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_truncated_picture_is_named(save_picture, tmp_path, read):
    rows = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = save_picture(tmp_path / "a.png", rows)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"a\.png: the 2D image cannot be read"):
        read(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_picture_is_turned_as_its_exif_says(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(ROWS).save(path, exif=exif)
    upright = {1: ROWS, 2: ROWS[:, ::-1], 3: ROWS[::-1, ::-1], 4: ROWS[::-1]}
    upright |= {5: ROWS.T, 6: ROWS.T[:, ::-1], 7: ROWS.T[::-1, ::-1], 8: ROWS.T[::-1]}
    for read in (read_image, read_label):
        np.testing.assert_array_equal(np.squeeze(as_rows(read(path).array)), upright[orientation])
    assert read_header(path).shape == (*upright[orientation].shape[::-1], 1)


def test_a_picture_may_have_more_pixels_than_pillow_allows(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30000, 20000, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "slide.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert read_header(tmp_path / "slide.png").shape == (30000, 20000, 1)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_what_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: not a readable 2D image"):
        read_header(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"b\.png: no such file"):
        read_header(tmp_path / "b.png")


def test_a_stack_of_pages_is_refused(tmp_path):
    pages = [Image.fromarray(ROWS + page) for page in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"a\.tif: expected one 2D image, found 3 pages"):
        read_header(tmp_path / "a.tif")


def test_pictures_are_known_by_their_suffix(tmp_path):
    assert [is_picture(tmp_path / name) for name in ("a.PNG", "a.jpeg", "a.nii.gz", "a")] == [True, True, False, False]
