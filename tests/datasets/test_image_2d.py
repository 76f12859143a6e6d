import itertools
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from tfseg.core.errors import DataError
from tfseg.datasets.formats import is_image_2d, read_header, read_image, read_label
from tfseg.datasets.image_2d import palette_of
from tfseg.preparation.slicing import SliceGrid

ROWS = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURS = np.stack([ROWS, ROWS + 50, ROWS + 100], axis=-1)


def as_rows(array):
    return array[:, :, 0].swapaxes(0, 1)


def test_rows_and_columns_survive(save_image_2d, tmp_path):
    for suffix in ("png", "tif", "bmp"):
        image = read_image(save_image_2d(tmp_path / f"a.{suffix}", ROWS))
        assert (image.array.shape, image.array.dtype) == ((4, 3, 1, 1), np.float32)
        np.testing.assert_array_equal(as_rows(image.array)[..., 0], ROWS)


def test_colours_are_red_green_and_blue(save_image_2d, tmp_path):
    image = read_image(save_image_2d(tmp_path / "a.png", COLOURS))
    np.testing.assert_array_equal(as_rows(image.array), COLOURS)


def test_jpeg_is_near_the_image(save_image_2d, tmp_path):
    smooth = np.tile(np.linspace(20, 200, 32).astype(np.uint8), (32, 1))
    np.testing.assert_allclose(
        as_rows(read_image(save_image_2d(tmp_path / "a.jpg", smooth)).array)[..., 0], smooth, atol=6
    )


def test_transparency_is_left_out(save_image_2d, tmp_path):
    opaque = np.full((3, 4, 1), 255, np.uint8)
    image = read_image(save_image_2d(tmp_path / "a.png", np.concatenate([COLOURS, opaque], axis=-1)))
    np.testing.assert_array_equal(as_rows(image.array), COLOURS)


def test_deep_images_keep_their_values(save_image_2d, tmp_path):
    for rows in (ROWS.astype(np.uint16) * 5000, ROWS.astype(np.float32) / 7):
        image = read_image(save_image_2d(tmp_path / "a.tiff", rows))
        np.testing.assert_array_equal(as_rows(image.array)[..., 0], rows)


def save_deep(path, rows):
    """Write 16-bit `[row, column, channel]`: RGB, in PNG with or without transparency."""
    if path.suffix == ".png":
        height, width, channels = rows.shape
        kind = {3: 2, 4: 6}[channels]
        lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in rows)
        content = [
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
            (b"IDAT", zlib.compress(lines)),
        ]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in [*content, (b"IEND", b"")]))
    else:
        path.write_bytes(cv2.imencode(".tiff", rows[..., ::-1])[1].tobytes())
    return path


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_colours_of_16_bits_keep_their_values(tmp_path):
    rows = np.random.default_rng(0).integers(0, 4096, (5, 6, 4)).astype(np.uint16)
    for name, stored in (("a.png", rows[..., :3]), ("b.png", rows), ("c.tiff", rows[..., :3])):
        path = save_deep(tmp_path / name, stored)
        np.testing.assert_array_equal(as_rows(read_image(path).array), rows[..., :3])
        assert read_header(path).channels == 3


def test_a_mask_of_16_bit_colours_keeps_its_values(tmp_path):
    values = ROWS.astype(np.uint16) * 300
    opaque = np.full((3, 4, 1), 65535, np.uint16)
    grey = np.repeat(values[..., np.newaxis], 3, axis=2)
    for name, stored in (("a.png", grey), ("b.png", np.concatenate([grey, opaque], axis=2)), ("c.tiff", grey)):
        np.testing.assert_array_equal(as_rows(read_label(save_deep(tmp_path / name, stored)).array), values)


def test_a_header_has_the_size_and_the_channels(save_image_2d, tmp_path):
    for rows, channels in ((ROWS, 1), (COLOURS, 3)):
        header = read_header(save_image_2d(tmp_path / "a.png", rows))
        assert (header.shape, header.channels, header.in_pixels) == ((4, 3, 1), channels, True)
        assert header.spacing_mm == (1, 1, 1)


def test_a_2d_image_lies_as_an_axial_slice_of_a_patient_on_the_back(save_image_2d, tmp_path):
    image = read_image(save_image_2d(tmp_path / "a.png", ROWS))
    grid = SliceGrid.of(image.array.shape[:3], image.affine, "axial", (4, 3))
    (canonical,) = grid.to_slices(image.array[..., 0])
    # Right to left and back to front: drawn with the right on the left and the front above, it is the image.
    np.testing.assert_array_equal(canonical[::-1, ::-1].T, ROWS)


def test_masks_keep_their_values(save_image_2d, tmp_path):
    for suffix, values in itertools.product(("png", "tif"), ([0, 255], [0, 1], [0, 3, 7])):
        rows = np.random.default_rng(0).choice(np.array(values, np.uint8), (5, 6))
        label = read_label(save_image_2d(tmp_path / f"m.{suffix}", rows)).array
        assert label.dtype.kind in "iu"
        np.testing.assert_array_equal(as_rows(label), rows)


def test_a_mask_of_equal_colours_is_one_of_grey(save_image_2d, tmp_path):
    label = read_label(save_image_2d(tmp_path / "m.png", np.repeat(ROWS[..., np.newaxis], 3, axis=2))).array
    np.testing.assert_array_equal(as_rows(label), ROWS)


def test_a_mask_of_two_tones_is_0_and_255(save_image_2d, tmp_path):
    rows = (ROWS > 5).astype(np.uint8) * 255
    label = read_label(save_image_2d(tmp_path / "m.png", rows, mode="1")).array
    np.testing.assert_array_equal(as_rows(label), rows)


def test_a_mask_with_a_palette_is_read_as_indices_or_as_shown(tmp_path):
    mask = Image.fromarray(ROWS % 3).convert("P")
    mask.putpalette([0, 0, 0, 128, 128, 128, 255, 255, 255])
    mask.save(tmp_path / "m.png")
    np.testing.assert_array_equal(as_rows(read_label(tmp_path / "m.png").array), ROWS % 3)
    shown = np.array([0, 128, 255])[ROWS % 3]
    np.testing.assert_array_equal(as_rows(read_label(tmp_path / "m.png", shown=True).array), shown)
    assert palette_of(tmp_path / "m.png") == {0: (0, 0, 0), 1: (128, 128, 128), 2: (255, 255, 255)}


SHAPE = np.zeros((32, 32), np.uint8)
SHAPE[9:20, 5:22] = 1


def test_a_lossy_mask_of_black_and_white_is_cut_at_half_whatever_its_suffix(save_image_2d, tmp_path):
    for name, kind in (("m.jpg", "JPEG"), ("m.png", "JPEG"), ("m.jpeg", "JPEG"), ("m.tif", "TIFF"), ("m.bmp", "WEBP")):
        options = {"compression": "jpeg"} if kind == "TIFF" else {}
        Image.fromarray(SHAPE * 255).save(tmp_path / name, kind, **options)
        assert len(np.unique(np.asarray(Image.open(tmp_path / name)))) > 2
        np.testing.assert_array_equal(as_rows(read_label(tmp_path / name).array), SHAPE * 255)
    # What is called JPEG but is not keeps its values.
    Image.fromarray(SHAPE * 7).save(tmp_path / "n.jpg", "PNG")
    np.testing.assert_array_equal(as_rows(read_label(tmp_path / "n.jpg").array), SHAPE * 7)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_mask_that_was_once_a_jpeg_is_refused(tmp_path, quality):
    rows, columns = np.indices((64, 64))
    disc = np.where((rows - 30) ** 2 + (columns - 33) ** 2 < 400, 255, 0).astype(np.uint8)
    Image.fromarray(disc).save(tmp_path / "m.jpg", quality=quality)
    np.testing.assert_array_equal(read_label(tmp_path / "m.jpg").array[:, :, 0].T, disc)
    Image.open(tmp_path / "m.jpg").save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"m\.png: \d+ grey levels near black and white, as JPEG and resizing leave"):
        read_label(tmp_path / "m.png")


def test_numbers_of_many_labels_are_no_traces_of_jpeg(save_image_2d, tmp_path):
    numbers = np.kron(np.r_[0:40, 231:255, 255].reshape(5, 13), np.ones((6, 6))).astype(np.uint8)
    np.testing.assert_array_equal(read_label(save_image_2d(tmp_path / "m.png", numbers)).array[:, :, 0].T, numbers)


def test_a_lossy_mask_of_other_levels_is_refused(tmp_path):
    several = [(0, 85, 170, 255), (0, 128), (0, 100, 200), (0, 1), (0, 3, 9), (90, 255)]
    for name, values in itertools.product(("m.jpg", "m.png"), several):
        level = np.repeat(np.repeat(np.resize(values, (4, 4)), 16, axis=0), 16, axis=1).astype(np.uint8)
        Image.fromarray(level).save(tmp_path / name, "JPEG")
        with pytest.raises(DataError, match=rf"{name}: a lossy (or transparent mask with areas of|mask without white)"):
            read_label(tmp_path / name)


def test_a_mask_in_the_transparency_alone_is_read(tmp_path):
    for grey, values in itertools.product((0, 255, 3), (SHAPE, 1 - SHAPE, 0 * SHAPE)):
        alpha = values * 255
        for colour in (np.full_like(SHAPE, grey),) * 1, (np.full_like(SHAPE, grey),) * 3:
            Image.fromarray(np.stack([*colour, alpha], axis=-1), "LA" if len(colour) == 1 else "RGBA").save(
                tmp_path / "m.png"
            )
            expected = values * (255 if grey in (0, 255) else grey)
            np.testing.assert_array_equal(as_rows(read_label(tmp_path / "m.png").array), expected)


def test_transparency_beside_a_mask_of_colours_must_agree(tmp_path):
    def save(grey, alpha):
        Image.fromarray(np.stack([grey] * 3 + [alpha], axis=-1)).save(tmp_path / "m.png")
        return tmp_path / "m.png"

    opaque = np.full_like(SHAPE, 255)
    for alpha in (opaque, SHAPE * 255):
        np.testing.assert_array_equal(as_rows(read_label(save(SHAPE * 7, alpha)).array), SHAPE * 7)
    soft = opaque - SHAPE * 100
    for alpha in (SHAPE[::-1] * 255, soft):
        with pytest.raises(DataError, match=r"m\.png: colours and transparency show two different masks"):
            read_label(save(SHAPE * 7, alpha))
    with pytest.raises(DataError, match=r"m\.png: a lossy or transparent mask with areas of the level 155"):
        read_label(save(opaque, soft))


def test_a_mask_in_colours_is_refused(save_image_2d, tmp_path):
    with pytest.raises(DataError, match=r"m\.png: expected one value a pixel, found colours"):
        read_label(save_image_2d(tmp_path / "m.png", COLOURS))


def test_a_mask_of_fractions_is_refused(save_image_2d, tmp_path):
    with pytest.raises(DataError, match=r"m\.tif: labels must be whole numbers, found 0\.5"):
        read_label(save_image_2d(tmp_path / "m.tif", np.full((3, 4), 0.5, np.float32)))


def test_values_that_are_not_finite_are_refused(save_image_2d, tmp_path):
    rows = np.ones((3, 4), np.float32)
    rows[1, 2] = np.nan
    with pytest.raises(DataError, match=r"a\.tif: 1 voxels are NaN or infinite"):
        read_image(save_image_2d(tmp_path / "a.tif", rows))


@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_truncated_image_is_named(save_image_2d, tmp_path, read):
    rows = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = save_image_2d(tmp_path / "a.png", rows)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"a\.png: the 2D image cannot be read"):
        read(path)


def upright(rows, orientation):
    turned = rows.swapaxes(0, 1)
    first = {1: rows, 2: rows[:, ::-1], 3: rows[::-1, ::-1], 4: rows[::-1]}
    return {**first, 5: turned, 6: turned[:, ::-1], 7: turned[::-1, ::-1], 8: turned[::-1]}[orientation]


def test_an_image_is_turned_as_its_exif_says(tmp_path):
    for orientation, suffix in itertools.product(range(1, 9), ("png", "tif")):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        path = tmp_path / f"a{orientation}.{suffix}"
        Image.fromarray(ROWS).save(path, exif=exif)
        expected = upright(ROWS, orientation)
        for read in (read_image, read_label):
            np.testing.assert_array_equal(np.squeeze(as_rows(read(path).array)), expected)
        assert read_header(path).shape == (*expected.shape[::-1], 1)


def test_an_image_of_16_bit_colours_is_turned_too(tmp_path):
    rows = np.random.default_rng(0).integers(0, 4096, (5, 6, 3)).astype(np.uint16)
    png = save_deep(tmp_path / "a.png", rows).read_bytes()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        after_header = 8 + 25
        tag = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
        (tmp_path / "a.png").write_bytes(png[:after_header] + tag + png[after_header:])
        expected = upright(rows, orientation)
        np.testing.assert_array_equal(as_rows(read_image(tmp_path / "a.png").array), expected)
        assert read_header(tmp_path / "a.png").shape == (*expected.shape[1::-1], 1)


def test_an_image_may_have_more_pixels_than_pillow_allows(tmp_path):
    header = struct.pack(">IIBBBBB", 30000, 20000, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "slide.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert read_header(tmp_path / "slide.png").shape == (30000, 20000, 1)


def test_a_header_that_asks_for_more_pixels_than_the_file_can_hold_is_refused_unread(tmp_path):
    for name, options in (("a.tif", {}), ("b.tif", {"compression": "tiff_lzw"})):
        path = tmp_path / name
        Image.fromarray(ROWS).save(path, **options)
        content = path.read_bytes()
        for tag, old in ((256, 4), (257, 3)):  # width and height, as 16-bit or 32-bit numbers
            for kind, form in ((3, "<HHIHH"), (4, "<HHII")):
                entry = struct.pack(form, tag, kind, 1, old, *([0] if kind == 3 else []))
                large = struct.pack("<HHII", tag, 4, 1, 30000)
                content = content.replace(entry, large)
        path.write_bytes(content)
        assert read_header(path).shape == (30000, 30000, 1)
        for read in (read_image, read_label):
            with pytest.raises(DataError, match=rf"{name}: the 2D image cannot be read: it is cut short: its header"):
                read(path)


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_what_is_no_image_is_named(tmp_path, content):
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


def test_2d_images_are_known_by_their_suffix(tmp_path):
    assert [is_image_2d(tmp_path / name) for name in ("a.PNG", "a.jpeg", "a.nii.gz", "a")] == [True, True, False, False]


def test_a_png_whose_pixels_do_not_have_their_checksum_is_refused(tmp_path):
    """Pillow reads past the checksum of the pixels, and gives other values."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    deep = (noise.astype(np.uint16) * 257)[..., ::-1]
    for name, write in (("a.png", Image.fromarray(noise).save), ("b.png", lambda path: cv2.imwrite(str(path), deep))):
        path = tmp_path / name
        write(path)
        np.testing.assert_array_equal(as_rows(read_image(path).array) // (257 if name == "b.png" else 1), noise)
        content = bytearray(path.read_bytes())
        content[content.index(b"IDAT") + 400] ^= 16
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}: the 2D image cannot be read: broken PNG file"):
            read_image(path)


def test_a_damaged_tiff_is_refused_without_a_warning_beside_it(save_image_2d, tmp_path):
    path = save_image_2d(tmp_path / "a.tif", ROWS)
    path.write_bytes(path.read_bytes()[:30])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match=r"a\.tif: not a readable 2D image"):
            read_image(path)
    assert warned == []
