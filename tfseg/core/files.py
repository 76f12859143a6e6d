"""Read text, and write files so that a half-written one is never mistaken for a finished one."""

import codecs
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfseg.core.errors import DataError, RunError, TfsegError, is_fault, one_line

UNFINISHED = ".unfinished-"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` if the block succeeds, once its bytes are on disk.

    The temporary name keeps the suffixes, because libraries choose a format by them. If the block fails, what it
    wrote is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{UNFINISHED}{path.name}")
    _remove(temporary)
    try:
        yield temporary
        if temporary.is_file():
            _to_disk(temporary)
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def is_unfinished(path: Path) -> bool:
    """Whether a path is a temporary name of `replacing`, as a killed process leaves behind."""
    return path.name.startswith(UNFINISHED)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def reading(path: Path, kind: type[TfsegError] = RunError) -> Iterator[None]:
    """Name the file in whatever goes wrong while it is read and taken apart.

    Raises:
        TfsegError: of `kind`, for an error that says nothing about a path.
    """
    try:
        yield
    except Exception as error:
        if not is_fault(error):
            raise
        reason = f"it lacks {error}" if isinstance(error, KeyError) else one_line(error)
        raise kind(f"{path}: cannot be read: {reason}") from error


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises:
        DataError: if the file cannot be read, or is in another encoding; the message names the file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    name, codec = ("UTF-16", "utf-16") if content.startswith(UTF_16) else ("UTF-8", "utf-8-sig")
    if name == "UTF-8" and 3 * content.count(0) > len(content):
        raise DataError(f"{path}: not a text file in UTF-8, but in UTF-16 without a byte order mark; save it as UTF-8")
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in {name}: byte {error.start}: {error.reason}") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    """Flush a file's bytes to storage that survives a loss of power."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
