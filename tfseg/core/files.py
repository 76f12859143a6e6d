"""Writing files so that a half-written one is never mistaken for a finished one."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfseg.core.errors import RunError, TfsegError, is_fault, one_line

UNFINISHED = ".unfinished-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, and rename it to `path` when the block ends well; a file is on disk by then.

    The temporary name keeps the suffixes, by which libraries choose a format. What the block
    leaves behind after an error is removed.
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
    """Whether a path is the temporary name of `replacing`, as one that was killed leaves behind."""
    return path.name.startswith(UNFINISHED)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step."""
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


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    """Wait until a file's bytes are where they outlive a loss of power."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
