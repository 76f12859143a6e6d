import numpy as np
import pytest
import SimpleITK as sitk

from tfseg.core.errors import DataError
from tfseg.datasets.formats import read_header, read_image, read_label, read_label_header

ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd", ".MHA")
ARRAY = np.arange(60).reshape(3, 4, 5)
AFFINE = np.array([[0, -2, 0, 10], [1.5, 0, 0, -20], [0, 0, 4, 5], [0, 0, 0, 1.0]])


def save(path, array, affine=AFFINE, is_vector=False):
    """Write `[x, y, z]`, or `[x, y, z, channels]` as components or as a fourth axis."""
    axes = (2, 1, 0, 3) if is_vector else tuple(range(array.ndim))[::-1]
    image = sitk.GetImageFromArray(array.transpose(axes), isVector=is_vector)
    rank = image.GetDimension()
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    direction = np.eye(rank)
    direction[:3, :3] = lps[:3, :3] / spacing
    image.SetSpacing([*spacing, 1][:rank])
    image.SetOrigin([*lps[:3, 3], 0][:rank])
    image.SetDirection(direction.ravel())
    sitk.WriteImage(image, str(path.with_suffix(path.suffix.lower())), useCompression=True)
    return path.with_suffix(path.suffix.lower()).rename(path)


def test_values_and_affine_are_those_of_the_file(tmp_path):
    for ending in ENDINGS:
        path = save(tmp_path / f"a{ending}", ARRAY.astype(np.int16))
        image, header = read_image(path), read_header(path)
        assert (header.shape, header.channels, image.array.dtype) == ((3, 4, 5), 1, np.float32)
        np.testing.assert_array_equal(image.array[..., 0], ARRAY)
        for affine in (image.affine, header.affine, read_label_header(path).affine):
            np.testing.assert_allclose(affine, AFFINE, atol=1e-6)
        np.testing.assert_array_equal(read_label(path).array, ARRAY)


def test_channels_are_components_or_the_fourth_axis(tmp_path):
    channels = np.arange(120).reshape(3, 4, 5, 2).astype(np.float32)
    for is_vector in (True, False):
        path = save(tmp_path / f"{is_vector}.nrrd", channels, is_vector=is_vector)
        assert read_header(path).channels == 2
        np.testing.assert_array_equal(read_image(path).array, channels)
        with pytest.raises(DataError, match="expected a label map with one value a voxel, it has 2"):
            read_label_header(path)


def test_a_label_map_of_fractions_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.mha: labels must be whole numbers, found 0\.5"):
        read_label(save(tmp_path / "a.mha", ARRAY / 2))


def test_2d_images_are_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5), np.int16)), str(tmp_path / "a.mha"))
    with pytest.raises(DataError, match=r"a\.mha: expected a 3D image"):
        read_header(tmp_path / "a.mha")


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_damaged_file_is_named_and_nothing_else_printed(tmp_path, capfd, ending):
    path = save(tmp_path / f"a{ending}", np.random.default_rng(0).integers(0, 999, (9, 9, 9)))
    whole = path.read_bytes()
    for length in (0, 3, 60, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"a\{ending}: ") as refused:
            read_image(path)
        assert "\n" not in str(refused.value)
    path.unlink()
    with pytest.raises(DataError, match=rf"a\{ending}: no such file"):
        read_header(path)
    assert capfd.readouterr() == ("", "")


def test_a_header_without_its_data_is_named(tmp_path):
    path = save(tmp_path / "a.mhd", ARRAY.astype(np.int16))
    (tmp_path / "a.zraw").unlink()
    with pytest.raises(DataError, match=r"a\.mhd: "):
        read_image(path)
