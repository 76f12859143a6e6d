"""Verify the checksums of compressed voxels in NRRD and MetaImage files, which ITK reads past."""

from pathlib import Path
from typing import NamedTuple

from isal import isal_zlib

# A header of text is shorter. A chunk decompresses to at most a thousand times its size.
MOST_HEADER_BYTES, CHUNK_BYTES = 1 << 16, 1 << 14
# zlib's code for data with the header of zlib or of gzip.
ANY_HEADER = 47


class _Stream(NamedTuple):
    """Compressed voxels: their file, and where they begin."""

    path: Path
    start: int


def check_compressed(path: Path) -> None:
    """Decompress the voxels of a file to their checksum, if they are compressed; nothing is kept.

    Raises:
        ValueError: if they are damaged or cut short.
    """
    stream = _compressed(path)
    if stream is None:
        return
    decompressor = isal_zlib.decompressobj(wbits=ANY_HEADER)
    with stream.path.open("rb") as file:
        file.seek(stream.start)
        while not decompressor.eof and (chunk := file.read(CHUNK_BYTES)):
            try:
                decompressor.decompress(chunk)
            except Exception as error:
                raise ValueError(f"the compressed data are damaged: {error}") from error
    if not decompressor.eof:
        raise ValueError("the compressed data are cut short")


def _compressed(path: Path) -> _Stream | None:
    """Locate the compressed voxels of a NRRD or MetaImage file; None if they are not compressed or in many files."""
    with path.open("rb") as file:
        start = file.read(MOST_HEADER_BYTES)
    if start.startswith(b"NRRD"):
        ends = [place + len(end) for end in (b"\n\n", b"\r\n\r\n") if (place := start.find(end)) >= 0]
        fields = _fields(start[: min(ends, default=len(start))], ":")
        is_compressed = fields.get("encoding") in ("gzip", "gz") and not {"line skip", "byte skip"} & fields.keys()
        data = fields.get("data file", fields.get("datafile"))
    else:
        place = start.find(b"ElementDataFile")
        ends = [start.find(b"\n", place) + 1] if place >= 0 else []
        fields = _fields(start[: min(ends, default=len(start))], "=")
        is_compressed = fields.get("compresseddata", "").lower() == "true"
        data = fields.get("elementdatafile")
        data = None if data == "LOCAL" else data
    if not is_compressed:
        return None
    if data is None:
        return _Stream(path, ends[0]) if ends else None
    return _Stream(path.parent / data, 0) if (path.parent / data).is_file() else None


def _fields(header: bytes, separator: str) -> dict[str, str]:
    pairs = (line.split(separator, 1) for line in header.decode("latin-1").splitlines() if separator in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}
