"""Boxes are read where they lie; what is beyond the volume is padding."""

import numpy as np

from tfseg.prepared.boxes import cut, start_of
from tfseg.prepared.stored import StoredArray


def test_a_box_is_moved_into_the_volume_or_holds_it_in_its_middle():
    for centre, side, length, first in (
        (5, 4, 10, 3),
        (5, 3, 10, 4),
        (0, 4, 10, 0),
        (9, 4, 10, 6),
        (2, 5, 5, 0),
        (0, 8, 5, -1),
        (4, 9, 5, -2),
    ):
        assert start_of((centre,), (side,), (length,)) == (first,)


def test_a_box_within_a_volume_is_its_voxels(tmp_path):
    volume = np.arange(4 * 5 * 6 * 2, dtype=np.float32).reshape(4, 5, 6, 2)
    np.save(tmp_path / "image.npy", volume)
    for stored in (volume, StoredArray.open(tmp_path / "image.npy")):
        box = cut(stored, (1, 2, 0), (2, 3, 4))
        np.testing.assert_array_equal(box, volume[1:3, 2:5, :4])
        assert type(box) is np.ndarray and box.flags.c_contiguous and box.flags.writeable


def test_beyond_a_volume_there_is_the_least_value_of_each_channel_in_the_box():
    volume = np.array([[[[5, -1], [7, -2]], [[6, -3], [1, -9]]]], np.float32)  # 1×2×2, two channels
    box = cut(volume, (-1, 0, -1), (3, 1, 3))
    assert box[1, 0].tolist() == [[5, -2], [5, -1], [7, -2]]
    assert np.unique(box[[0, 2]].reshape(-1, 2), axis=0).tolist() == [[5, -2]]
    assert cut(volume[..., 0], (0, 1, 1), (1, 2, 2), fill=0).tolist() == [[[1, 0], [0, 0]]]
