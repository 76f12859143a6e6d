"""Write and read checkpoints: arrays and a state in one file, with its checksum in its name; keep the newest two."""

import errno
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfseg.core import files

Array = np.ndarray[Any, np.dtype[Any]]

SUFFIX = ".npz"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training: arrays in the order the writer chose, and values that JSON can hold."""

    arrays: list[Array]
    state: dict[str, Any]


class CheckpointFolder:
    """The checkpoints of one training, `EPOCH.SHA256.npz`, of which the newest two are kept.

    Args:
        folder: created when the first checkpoint is written.
        say: receives a message for every damaged checkpoint.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._newest: Path | None = None

    def newest(self) -> Checkpoint | None:
        """Return the newest undamaged checkpoint; None if there is none."""
        paths = sorted(self._folder.glob(f"[0-9]*{SUFFIX}"))
        while paths:
            path = paths.pop()
            if (checkpoint := _read(path)) is not None:
                self._newest = path
                return checkpoint
            self._say(f"{path} is damaged; {'resuming from the previous one' if paths else 'starting over'}")
        return None

    def write(self, epoch: int, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and remove all others except the newest before it."""
        data = encode(checkpoint)
        path = self._folder / f"{epoch:06}.{hashlib.sha256(data).hexdigest()}{SUFFIX}"
        with files.replacing(path) as temporary:
            temporary.write_bytes(data)
        for other in self._folder.iterdir():
            if other not in (path, self._newest):
                other.unlink()
        self._newest = path

    def clear(self) -> None:
        """Remove all checkpoints, the newest first."""
        for path in sorted(self._folder.iterdir(), reverse=True):
            path.unlink()
        self._newest = None


def _read(path: Path) -> Checkpoint | None:
    """Return a checkpoint; None if its bytes have changed or the disk can no longer read them."""
    try:
        return decode(path.read_bytes(), checksum=path.name.split(".")[1])
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return None


def encode(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the bytes of an `.npz` archive."""
    named = {f"{index:06}": array for index, array in enumerate(checkpoint.arrays)}
    state = np.frombuffer(json.dumps(checkpoint.state).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, state=state, **named)
    return buffer.getvalue()


def decode(data: bytes, checksum: str) -> Checkpoint | None:
    """Return what `encode` wrote; None if the SHA-256 of the bytes differs."""
    if hashlib.sha256(data).hexdigest() != checksum:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = [archive[name] for name in sorted(archive.files) if name != "state"]
        return Checkpoint(arrays, json.loads(archive["state"].tobytes()))
