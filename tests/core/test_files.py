import hashlib
import os

import pytest

from tfseg.core import files
from tfseg.core.errors import DataError, RunError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_block_replaces_the_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with files.replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError, match="half way"), files.replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_temporary_name_lies_beside_and_keeps_the_suffixes(tmp_path):
    with files.replacing(tmp_path / "a.nii.gz") as temporary:
        temporary.touch()
    assert temporary.parent == tmp_path
    assert temporary.suffixes == [".nii", ".gz"]
    assert temporary.name != "a.nii.gz"


def test_missing_folders_are_made(tmp_path):
    files.write_text(tmp_path / "b" / "c" / "a.txt", "é")
    assert (tmp_path / "b" / "c" / "a.txt").read_bytes() == "é".encode()


def test_a_file_is_on_disk_before_it_takes_the_place_of_another(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: done.append(os.fstat(number).st_size) or fsync(number))
    monkeypatch.setattr(os, "replace", lambda source, target: done.append("renamed") or replace(source, target))
    files.write_text(tmp_path / "a.txt", "seven b")
    assert done == [7, "renamed"]


def test_a_folder_is_replaced_whole(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "old").touch()
    with files.replacing(tmp_path / "case") as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert names(tmp_path) == ["case"]
    assert names(tmp_path / "case") == ["new"]


def test_an_error_keeps_the_old_folder(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "old").touch()
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "case") as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
        raise RuntimeError
    assert names(tmp_path) == ["case"]
    assert names(tmp_path / "case") == ["old"]


def test_what_a_killed_run_left_is_cleared(tmp_path):
    class KilledError(BaseException):
        pass

    with pytest.raises(KilledError), files.replacing(tmp_path / "case") as temporary:
        raise KilledError
    temporary.mkdir()
    (temporary / "stale").touch()
    with files.replacing(tmp_path / "case") as again:
        assert not again.exists()
        again.mkdir()
    assert names(tmp_path) == ["case"]
    assert names(tmp_path / "case") == []


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"tfseg" * 100_000)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"tfseg" * 100_000).hexdigest()


def test_reading_names_the_file_and_keeps_what_names_a_path_already(tmp_path):
    path = tmp_path / "a.csv"
    for wrong, message in (
        (ValueError("two\nlines"), "two lines"),
        (KeyError("fold"), "it lacks 'fold'"),
        (EOFError(), "EOFError"),
    ):
        with pytest.raises(DataError) as refused, files.reading(path, DataError):
            raise wrong
        assert str(refused.value) == f"{path}: cannot be read: {message}"
    for known in (FileNotFoundError(2, "no such file", str(path)), RunError(f"{path}: no scores"), MemoryError()):
        with pytest.raises(type(known)) as same, files.reading(path, DataError):
            raise known
        assert same.value is known


def test_a_text_is_read_whatever_its_byte_order_mark(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        text = "é,1\n" if encoding[-3:] not in ("-le", "-be") else "\ufeffé,1\n"
        (tmp_path / "a.csv").write_bytes(text.encode(encoding))
        assert files.read_text(tmp_path / "a.csv") == "é,1\n"


def test_a_text_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(DataError, match=r"a\.json: cannot be read: No such file or directory"):
        files.read_text(path)
    path.write_bytes(b"{\xff}")
    with pytest.raises(DataError, match=r"a\.json: not a text file in UTF-8: byte 1: invalid start byte"):
        files.read_text(path)
    path.write_bytes("ab".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"a\.json: .* in UTF-16 without a byte order mark; save it as UTF-8"):
        files.read_text(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"a\.json: not a text file in UTF-16: byte 2: truncated data"):
        files.read_text(path)
