"""Checkpoints: read as they were written, or not at all."""

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


def test_none_is_there_at_first(folder, said):
    assert folder.newest() is None
    assert said == []


def test_what_is_read_is_what_was_written(folder, said):
    folder.write(7, checkpoint(7))
    found = folder.newest()
    for array, expected in zip(found.arrays, checkpoint(7).arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype
    assert repr(found.state) == repr(checkpoint(7).state)  # NaN and infinity among them
    assert said == []


def test_the_newest_two_are_kept(folder, tmp_path):
    for epoch in (8, 9, 10, 11):
        folder.write(epoch, checkpoint(epoch))
    assert [path.name.split(".")[0] for path in files_of(tmp_path)] == ["000010", "000011"]
    assert folder.newest().state["epoch"] == 11


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_one_is_told_and_the_one_before_is_used(folder, said, tmp_path, damage):
    for epoch in (1, 2):
        folder.write(epoch, checkpoint(epoch))
    older, newer = files_of(tmp_path)
    data = bytearray(newer.read_bytes())
    data[len(data) // 2] ^= 1
    newer.write_bytes({"flip": bytes(data), "cut": data[:-1], "empty": b""}[damage])
    assert folder.newest().state["epoch"] == 1
    assert said == [f"{newer} is damaged; going on from the one before it"]
    # The good one stays when the next is written; the damaged one goes.
    folder.write(2, checkpoint(2))
    assert [path.name.split(".")[0] for path in files_of(tmp_path)] == ["000001", "000002"]
    assert files_of(tmp_path)[0] == older
    assert folder.newest().state["epoch"] == 2


def test_one_that_the_disk_cannot_read_is_damaged(folder, said, tmp_path, monkeypatch):
    for epoch in (1, 2):
        folder.write(epoch, checkpoint(epoch))
    newer, read, wrong = files_of(tmp_path)[1], Path.read_bytes, [errno.EIO]

    def read_bytes(path):
        if path == newer:
            raise OSError(wrong[0], os.strerror(wrong[0]))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert folder.newest().state["epoch"] == 1
    assert said == [f"{newer} is damaged; going on from the one before it"]
    wrong[0] = errno.EACCES
    with pytest.raises(PermissionError):
        folder.newest()


def test_all_damaged_are_as_none(folder, said, tmp_path):
    for epoch in (1, 2):
        folder.write(epoch, checkpoint(epoch))
    older, newer = files_of(tmp_path)
    for path in (older, newer):
        path.write_bytes(b"")
    assert folder.newest() is None
    assert said == [
        f"{newer} is damaged; going on from the one before it",
        f"{older} is damaged; beginning again",
    ]


def test_a_half_written_file_is_no_checkpoint_and_goes(folder, said, tmp_path):
    folder.write(1, checkpoint(1))
    half = tmp_path / "checkpoint" / ".unfinished-000002.abc.npz"
    half.write_bytes(b"PK")
    assert folder.newest().state["epoch"] == 1
    assert said == []
    folder.write(2, checkpoint(2))
    assert not half.exists()
