"""Compressed voxels whose checksum is wrong are refused, which ITK reads as other values."""

import numpy as np
import pytest
import SimpleITK

from tfseg.core.errors import DataError
from tfseg.datasets.checksums import check_compressed
from tfseg.datasets.formats import read_image

ARRAY = np.random.default_rng(0).normal(size=(6, 20, 20)).astype(np.float32)


def save(path, compressed=True):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ARRAY), str(path), useCompression=compressed)
    return path


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.fixture(params=["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def volume(request, tmp_path):
    """A compressed volume, and the file with its voxels."""
    path = save(tmp_path / request.param)
    voxels = next((each for each in tmp_path.iterdir() if each != path), path)
    return path, voxels


def test_a_flipped_bit_of_compressed_voxels_is_found(volume):
    path, voxels = volume
    np.testing.assert_array_equal(read_image(path).array[..., 0], ARRAY.T)
    content = voxels.read_bytes()
    for place in (len(content) // 2, len(content) - 3, len(content) - 40):
        flip(voxels, place)
        with pytest.raises(DataError, match=rf"{path.name}: the voxels cannot be read: the compressed data are "):
            read_image(path)
        voxels.write_bytes(content)


def test_compressed_voxels_without_their_last_byte_are_cut_short(volume):
    path, voxels = volume
    voxels.write_bytes(voxels.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{path.name}: "):
        read_image(path)


def test_what_is_not_compressed_has_no_checksum(tmp_path):
    for name in ("a.nrrd", "a.nhdr", "a.mha", "a.mhd"):
        check_compressed(save(tmp_path / name, compressed=False))
    for text in (b"NRRD0004\nencoding: gzip", b"CompressedData = True\nElementDataFile = LIST\na.raw\n", b""):
        (tmp_path / "a.mhd").write_bytes(text)
        check_compressed(tmp_path / "a.mhd")
