"""Ways to break a file: cut it short, flip bits, write numbers that no image has, or replace it."""

import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sound_inputs import load_volume, save_volume

Change = Callable[[Path], None]
Named = Iterator[tuple[str, Change]]
ESCAPED = "escaped"  # the name that paths outside of the input try to reach


class Trap:
    """Makes a folder called `escaped` when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (ESCAPED,)


def cuts(header_bytes: int) -> Named:
    """Cut a file short: empty, in its header, at three places further on, and before its last byte."""

    def cut(place: Callable[[int], int]) -> Change:
        def change(path: Path) -> None:
            content = path.read_bytes()
            path.write_bytes(content[: place(len(content))])

        return change

    yield "empty", cut(lambda size: 0)
    yield "cut in its header", cut(lambda size: min(size, header_bytes) // 2)
    for share in (0.35, 0.6, 0.85):
        yield f"cut to {share:.0%}", cut(lambda size, share=share: int(share * size))  # type: ignore[misc]
    yield "without its last byte", cut(lambda size: size - 1)


def flips(seed: str, first: int, last: int, times: int) -> Named:
    """Flip three bits of a file between two places, counted from the end if negative."""

    def flip(number: int) -> Change:
        def change(path: Path) -> None:
            content = bytearray(path.read_bytes())
            places = range(*slice(first, last).indices(len(content)))
            draw = random.Random(f"{seed} {number}")
            for _ in range(3):
                content[draw.choice(places)] ^= 1 << draw.randrange(8)
            path.write_bytes(content)

        return change

    for number in range(times):
        yield f"bits flipped from byte {first}, draw {number}", flip(number)


def replaced() -> Named:
    """Put something else in the place of a file."""
    png = b"\x89PNG\r\n\x1a\n" + bytes(40)
    yield "text instead", lambda path: _write(path, b"not an image\n")
    yield "another format instead", lambda path: _write(path, png if path.suffix != ".png" else b"\x1f\x8b" + bytes(40))
    yield "a folder instead", _as_folder
    yield "missing", lambda path: path.unlink()
    yield "a broken link instead", lambda path: _as_link(path, "nowhere")
    yield "a link to itself", lambda path: _as_link(path, path.name)


def numbers() -> Named:
    """Write NaN, infinity, halves or other shapes into a volume."""

    def with_values(change: Callable[[np.ndarray], np.ndarray]) -> Change:
        def rewrite(path: Path) -> None:
            array, affine = load_volume(path)
            save_volume(path, change(array.astype(np.float32)), affine)

        return rewrite

    def put(value: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda array: np.where(np.arange(array.size).reshape(array.shape) == array.size // 2, value, array)

    yield "a voxel is NaN", with_values(put(np.nan))
    yield "a voxel is infinite", with_values(put(np.inf))
    yield "everywhere the same value", with_values(lambda array: np.full_like(array, 0.5))
    yield "a row fewer", with_values(lambda array: array[:-1])
    yield "a slice more", with_values(lambda array: np.concatenate([array, array[..., :1]], axis=2))


def grids() -> Named:
    """Move, scale, tilt or flatten the grid of a volume."""

    def with_affine(change: Callable[[np.ndarray], np.ndarray]) -> Change:
        def rewrite(path: Path) -> None:
            array, affine = load_volume(path)
            save_volume(path, array, change(affine.copy()))

        return rewrite

    tilt = np.eye(4)
    tilt[1, 2] = 0.4
    yield "moved", with_affine(lambda affine: np.vstack([affine[:3] + [[0, 0, 0, 5]] * 3, affine[3:]]))
    yield "of another voxel size", with_affine(lambda affine: affine @ np.diag([2.0, 1, 1, 1]))
    yield "tilted", with_affine(lambda affine: tilt @ affine)


def bytes_at(values: dict[str, tuple[int, str, tuple[Any, ...]]]) -> Named:
    """Write numbers at places of a header, packed as `struct` does."""
    for name, (place, form, packed) in values.items():

        def change(path: Path, place: int = place, content: bytes = struct.pack(form, *packed)) -> None:
            whole = bytearray(path.read_bytes())
            whole[place : place + len(content)] = content
            path.write_bytes(whole)

        yield name, change


def text(substitutions: dict[str, tuple[str, str]]) -> Named:
    """Replace a word of a text header, once."""
    for name, (old, new) in substitutions.items():

        def change(path: Path, old: bytes = old.encode(), new: bytes = new.encode()) -> None:
            content = path.read_bytes()
            assert old in content, f"{path} has no {old!r}"
            path.write_bytes(content.replace(old, new, 1))

        yield name, change


def contents(values: dict[str, str | bytes]) -> Named:
    """Replace a file by texts."""
    for name, content in values.items():
        yield name, lambda path, content=content: _write(path, content)  # type: ignore[misc]


def edited(changes: dict[str, dict[str, Any]]) -> Named:
    """Set keys of a JSON file; `...` removes one."""
    for name, values in changes.items():

        def change(path: Path, values: dict[str, Any] = values) -> None:
            merged = {**json.loads(path.read_text()), **values}
            path.write_text(json.dumps({key: value for key, value in merged.items() if value is not ...}))

        yield name, change


def png_size(columns: int, rows: int) -> Change:
    """Write another size into a PNG's header, with the checksum that belongs to it."""

    def change(path: Path) -> None:
        content = path.read_bytes()
        header = b"IHDR" + struct.pack(">II", columns, rows) + content[24:29]
        path.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])

    return change


def npy(array: np.ndarray | None = None, shape: tuple[int, ...] | None = None) -> Change:
    """Replace a `.npy` file by a pickled object, or by an array; its header may claim another shape."""

    def change(path: Path) -> None:
        stream = io.BytesIO()
        if shape:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)  # type: ignore[arg-type]
        np.save(stream, np.array([Trap()], object) if array is None else array, allow_pickle=True)
        path.write_bytes(stream.getvalue())

    return change


def zipped(members: dict[str, bytes | Callable[[bytes], bytes]], keep: bool = True) -> Change:
    """Replace or add members of a zip file; a function takes the member that is there."""

    def change(path: Path) -> None:
        with zipfile.ZipFile(path) as old:
            held = {name: old.read(name) for name in old.namelist()}
        new = {name: content(held[name]) if callable(content) else content for name, content in members.items()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in ({**held, **new} if keep else new).items():
                archive.writestr(name, content)

    return change


def pickled() -> bytes:
    """A pickle that makes a folder when it is loaded."""
    return pickle.dumps(Trap())


def _write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _as_link(path: Path, target: str) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(target)
