"""Take an output folder: refuse what another command made, remember what makes it, keep two writers apart."""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from tfseg.core import files
from tfseg.core.errors import ConfigError, DataError, RunError

LOCK = ".lock"

# Whether two texts of a file that says what made a folder mean the same.
Same = Callable[[str, str], bool]


class InUse(RunError):
    """A folder that another process works in."""


def claim(out: Path, records: Mapping[str, str], what: str = "run", same: Mapping[str, Same] | None = None) -> None:
    """Take a folder: write the records that say what makes it, or check that they say the same.

    Args:
        out: the folder; created if it does not exist.
        records: file names and their text, as `config.yaml`; a folder without the first of them must be empty.
        what: what the folder holds, for messages.
        same: for each file name, whether the earlier text and the new one mean the same; equal texts if absent.

    Raises:
        ConfigError: if `out` holds something else.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "run"
    >>> claim(folder, {"config.yaml": "seed: 1"})
    >>> claim(folder, {"config.yaml": "seed: 2"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tfseg.core.errors.ConfigError: ...: holds a run with another config.yaml; choose another folder
    """
    check(out, records, what, same)
    for name, text in records.items():
        if not (out / name).is_file():
            files.write_text(out / name, text)


def check(out: Path, records: Mapping[str, str], what: str = "run", same: Mapping[str, Same] | None = None) -> None:
    """Refuse a folder as `claim` does, and write nothing.

    Raises:
        ConfigError: if `out` holds something else, or a record that is damaged.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder to write, found a file")
    if out.is_dir() and not (out / next(iter(records))).is_file() and any(map(_is_foreign, out.iterdir())):
        raise ConfigError(f"{out}: holds files that are not a {what}'s; choose another folder")
    for name, text in records.items():
        if (out / name).is_file() and not _agree(out / name, text, (same or {}).get(name)):
            raise ConfigError(f"{out}: holds a {what} with another {name}; choose another folder")


def add_records(out: Path, records: Mapping[str, str], what: str = "run") -> None:
    """Write further records into a folder that is claimed, or check that they say the same.

    Raises:
        ConfigError: if `out` holds other ones.
    """
    for name, text in records.items():
        if not (out / name).is_file():
            files.write_text(out / name, text)
        elif not _agree(out / name, text, None):
            raise ConfigError(f"{out}: holds a {what} with another {name}; choose another folder")


@contextmanager
def claimed(
    out: Path, records: Mapping[str, str], what: str = "run", same: Mapping[str, Same] | None = None
) -> Iterator[None]:
    """Claim a folder and hold its lock while the block runs; a folder that is refused stays untouched.

    A call or data that is refused before anything is written gives the claim up, so that a corrected call can take it.

    Raises:
        ConfigError: as `claim`.
        RunError: as `locked`.
    """
    check(out, records, what, same)
    with locked(out):
        claim(out, records, what, same)
        try:
            yield
        except (ConfigError, DataError):
            if {path.name for path in out.iterdir() if _is_foreign(path)} <= records.keys():
                for name in records:
                    (out / name).unlink(missing_ok=True)
            raise


def claim_file(out: Path, is_own: Callable[[str], bool], what: str) -> None:
    """Refuse to overwrite a file, unless it is an earlier one of the same kind.

    Args:
        out: the file; it may not exist.
        is_own: whether a text is that of an earlier one; a ValueError means that it is not.
        what: what the file holds, for messages.

    Raises:
        ConfigError: if the file holds something else.
    """
    if not out.exists():
        return
    try:
        own = is_own(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        own = False
    if not own:
        raise ConfigError(f"{out}: exists and does not hold {what}; choose another file with --out")


def claim_new(out: Path) -> None:
    """Refuse a folder or file that exists.

    Raises:
        ConfigError: if it does.
    """
    if out.exists():
        raise ConfigError(f"{out}: exists; choose a new folder with --out")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock while the block runs, so that no other process writes into it.

    The lock file names its owner. The system releases a lock when its owner ends, however it ends. A folder that
    did not exist and into which the block wrote nothing is removed again.

    Raises:
        InUse: if another process holds it, with its id.
    """
    is_new = not folder.exists()
    path = folder / LOCK
    while True:
        with _open_lock(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = owner_of(folder)
                who = (
                    f"process {owner['pid']} on {owner['host']} since {owner['since']}" if owner else "another process"
                )
                raise InUse(f"{folder}: in use by {who}; wait until it ends, or stop it") from None
            if not _is_same_file(file.fileno(), path):
                continue  # the owner before removed the file between opening and locking it
            try:
                file.truncate(0)
                file.write(json.dumps(_this_process()))
                file.flush()
                yield
            finally:
                path.unlink(missing_ok=True)
                if is_new:
                    with suppress(OSError):  # it holds what the block wrote
                        folder.rmdir()
            return


def owner_of(folder: Path) -> dict[str, Any] | None:
    """Return who holds a folder's lock: `pid`, `host` and `since`; None if nobody is recorded."""
    try:
        owner = json.loads((folder / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) and owner.keys() >= {"pid", "host", "since"} else None


def _this_process() -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def _open_lock(path: Path) -> IO[str]:
    while True:
        try:
            with suppress(FileExistsError):
                path.parent.mkdir(parents=True)
            return path.open("a+", encoding="utf-8")
        except FileNotFoundError:  # its last owner removed the empty folder in between
            if path.parent.is_symlink():
                raise


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_foreign(path: Path) -> bool:
    return not files.is_unfinished(path) and path.name != LOCK


def _agree(path: Path, now: str, same: Same | None) -> bool:
    try:
        earlier = path.read_text(encoding="utf-8")
        return earlier == now or (same is not None and same(earlier, now))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: damaged: {error}") from error
