"""Checkpoints on disk: arrays and a state in one file, whose name holds its checksum; the newest two are kept."""

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
    """Where a training stood: arrays in an order of the writer's, and what JSON can hold."""

    arrays: list[Array]
    state: dict[str, Any]


class CheckpointFolder:
    """The checkpoints of one training, `EPOCH.SHA256.npz`, of which the newest two are kept.

    Args:
        folder: made when the first is written.
        say: is told of every checkpoint that is damaged.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._newest: Path | None = None

    def newest(self) -> Checkpoint | None:
        """Return the newest one that is as it was written; None where there is none."""
        paths = sorted(self._folder.glob(f"[0-9]*{SUFFIX}"))
        while paths:
            path = paths.pop()
            if (found := _read(path)) is not None:
                self._newest = path
                return found
            self._say(f"{path} is damaged; {'going on from the one before it' if paths else 'beginning again'}")
        return None

    def write(self, epoch: int, checkpoint: Checkpoint) -> None:
        """Write one, and remove all but it and the newest before it."""
        data = encode(checkpoint)
        path = self._folder / f"{epoch:06}.{hashlib.sha256(data).hexdigest()}{SUFFIX}"
        with files.replacing(path) as temporary:
            temporary.write_bytes(data)
        for other in self._folder.iterdir():
            if other not in (path, self._newest):
                other.unlink()
        self._newest = path

    def clear(self) -> None:
        """Remove all, the newest first."""
        for path in sorted(self._folder.iterdir(), reverse=True):
            path.unlink()
        self._newest = None


def _read(path: Path) -> Checkpoint | None:
    """Return a checkpoint; None where its bytes are not what they were, or the disk can no longer read them."""
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
    """Return what `encode` wrote; None where the SHA-256 of the bytes is another."""
    if hashlib.sha256(data).hexdigest() != checksum:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = [archive[name] for name in sorted(archive.files) if name != "state"]
        return Checkpoint(arrays, json.loads(archive["state"].tobytes()))
