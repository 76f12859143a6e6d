"""Checkpoints are read exactly as written, or not at all."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from tfseg.training.checkpoint import Checkpoint, CheckpointFolder


def checkpoint(epoch):
    arrays = [np.full((2, 3), epoch, np.float32), np.array(epoch, np.int64), np.zeros((0, 4), np.float32)]
    return Checkpoint(arrays, {"epoch": epoch, "best": -np.inf, "rows": [{"loss": 0.1, "val": np.nan}]})


@pytest.fixture
def said():
    return []


@pytest.fixture
def folder(tmp_path, said):
    return CheckpointFolder(tmp_path / "checkpoint", said.append)


def files_of(tmp_path):
    return sorted((tmp_path / "checkpoint").iterdir())


def test_a_new_folder_has_no_checkpoint(folder, said):
    assert folder.newest() is None
    assert said == []


def test_a_checkpoint_is_read_as_it_was_written(folder, said):
    folder.write(7, checkpoint(7))
    read = folder.newest()
    for array, expected in zip(read.arrays, checkpoint(7).arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype
    assert repr(read.state) == repr(checkpoint(7).state)  # including NaN and infinity
    assert said == []


def test_the_newest_two_are_kept(folder, tmp_path):
    for epoch in (8, 9, 10, 11):
        folder.write(epoch, checkpoint(epoch))
    assert [path.name.split(".")[0] for path in files_of(tmp_path)] == ["000010", "000011"]
    assert folder.newest().state["epoch"] == 11


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(folder, said, tmp_path, damage):
    for epoch in (1, 2):
        folder.write(epoch, checkpoint(epoch))
    older, newer = files_of(tmp_path)
    data = bytearray(newer.read_bytes())
    data[len(data) // 2] ^= 1
    newer.write_bytes({"flip": bytes(data), "cut": data[:-1], "empty": b""}[damage])
    assert folder.newest().state["epoch"] == 1
    assert said == [f"{newer} is damaged; resuming from the previous one"]
    # When the next one is written, the undamaged one is kept and the damaged one removed.
    folder.write(2, checkpoint(2))
    assert [path.name.split(".")[0] for path in files_of(tmp_path)] == ["000001", "000002"]
    assert files_of(tmp_path)[0] == older
    assert folder.newest().state["epoch"] == 2


def test_a_checkpoint_that_the_disk_cannot_read_counts_as_damaged(folder, said, tmp_path, monkeypatch):
    for epoch in (1, 2):
        folder.write(epoch, checkpoint(epoch))
    newer, read, wrong = files_of(tmp_path)[1], Path.read_bytes, [errno.EIO]

    def read_bytes(path):
        if path == newer:
            raise OSError(wrong[0], os.strerror(wrong[0]))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert folder.newest().state["epoch"] == 1
    assert said == [f"{newer} is damaged; resuming from the previous one"]
    wrong[0] = errno.EACCES
    with pytest.raises(PermissionError):
        folder.newest()


def test_if_all_checkpoints_are_damaged_there_is_none(folder, said, tmp_path):
    for epoch in (1, 2):
        folder.write(epoch, checkpoint(epoch))
    older, newer = files_of(tmp_path)
    for path in (older, newer):
        path.write_bytes(b"")
    assert folder.newest() is None
    assert said == [
        f"{newer} is damaged; resuming from the previous one",
        f"{older} is damaged; starting over",
    ]


def test_a_partly_written_file_is_ignored_and_removed(folder, said, tmp_path):
    folder.write(1, checkpoint(1))
    partial = tmp_path / "checkpoint" / ".unfinished-000002.abc.npz"
    partial.write_bytes(b"PK")
    assert folder.newest().state["epoch"] == 1
    assert said == []
    folder.write(2, checkpoint(2))
    assert not partial.exists()
