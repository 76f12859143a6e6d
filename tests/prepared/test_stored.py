"""Arrays in files are read as they were written, and no file stays open."""

import os
from pathlib import Path

import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.prepared.stored import Neighbouring, StoredArray, stack


@pytest.fixture(params=["C", "F"])
def stored(request, tmp_path):
    """Return an array in memory, and the same array in a file."""
    array = np.asarray(np.random.default_rng(0).random((5, 4, 3), np.float32), order=request.param)
    np.save(tmp_path / "a.npy", array)
    return array, StoredArray.open(tmp_path / "a.npy")


def test_an_array_is_read_as_it_was_written(stored):
    array, on_disk = stored
    assert (len(on_disk), on_disk.shape, on_disk.dtype) == (5, (5, 4, 3), np.float32)
    for index in (0, -1, slice(1, 3), (slice(None), 2), np.array([4, 0, 4])):
        np.testing.assert_array_equal(on_disk[index], array[index])
    np.testing.assert_array_equal(np.asarray(on_disk), array)
    assert np.asarray(on_disk, np.float64).dtype == np.float64
    with pytest.raises(IndexError):
        on_disk[5]


def test_slices_have_their_neighbours_as_channels(tmp_path):
    """Two channels, one neighbour on either side: the outermost slice is repeated beyond the ends."""
    array = np.random.default_rng(0).random((5, 4, 3, 2), np.float32)
    np.save(tmp_path / "a.npy", array)
    joined = np.concatenate([array[[0, 0, 1, 2, 3]], array, array[[1, 2, 3, 4, 4]]], axis=-1)
    for slices in (array, StoredArray.open(tmp_path / "a.npy")):
        seen = Neighbouring(slices, 1)
        assert (len(seen), seen.shape) == (5, (5, 4, 3, 6))
        for index in (slice(0, 5), slice(3, 5), (slice(1, 2), slice(0, 2), slice(1, 3))):
            np.testing.assert_array_equal(seen[index], joined[index])
    np.testing.assert_array_equal(Neighbouring(array[:1], 2)[0:1], np.tile(array[:1], 5))


def test_slices_of_arrays_in_files_and_in_memory_are_stacked(stored):
    array, on_disk = stored
    places = [(on_disk, 3), (2 * array, 0), (on_disk, -1), (on_disk, np.int64(0))]
    stacked = stack(places)
    np.testing.assert_array_equal(stacked, [array[3], 2 * array[0], array[-1], array[0]])
    assert stacked.dtype == np.float32
    with pytest.raises(IndexError):
        stack([(on_disk, 5)])


def test_a_file_truncated_after_opening_is_reported(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    on_disk = StoredArray.open(tmp_path / "a.npy")
    on_disk.path.write_bytes(on_disk.path.read_bytes()[:-1])
    assert stack([(on_disk, 1)]).tolist() == [[1, 1, 1, 1]]
    with pytest.raises(DataError, match=r"a\.npy: shorter than it was when it was opened"):
        stack([(on_disk, 2)])


def test_comparing_without_reading_is_refused_not_false(stored):
    array, on_disk = stored
    with pytest.raises(TypeError, match=r"a\.npy: an array on disk has no values to compare; np\.asarray reads them"):
        on_disk == 0  # noqa: B015
    assert (array == on_disk).all()
    assert (on_disk[:] == array).all()


def test_arrays_are_read_only(stored):
    _, on_disk = stored
    with pytest.raises(ValueError, match="read-only"):
        on_disk[0][0] = 1


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list open files in /proc")
def test_no_file_stays_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    arrays = []
    for number in range(20):
        np.save(tmp_path / f"{number}.npy", np.full((2, 2), number))
        arrays.append(StoredArray.open(tmp_path / f"{number}.npy"))
    assert [int(array[1][1]) for array in arrays] == list(range(20))
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_incomplete_file_is_refused(stored):
    _, on_disk = stored
    on_disk.path.write_bytes(on_disk.path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="mmap length"):
        StoredArray.open(on_disk.path)
