"""Name an image's channels if a layout declares no names."""

from collections.abc import Iterable
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets import formats

COLOURS = ("red", "green", "blue")


def channels_of(images: Iterable[Path], name: str | None = None) -> tuple[str, ...]:
    """Name the channels of the first readable image.

    A single channel is called `name`, several are called `name_0`, `name_1`, …. Without `name` they are called "image",
    and those of a 2D image "grey" or "red", "green" and "blue". If no image is readable, one channel is expected.
    """
    for path in images:
        try:
            header = formats.read_header(path)
        except DataError:  # reported as a fault of its case
            continue
        if name is None and header.in_pixels:
            return COLOURS if header.channels == len(COLOURS) else ("grey",)
        if header.channels > 1:
            return tuple(f"{name or 'image'}_{index}" for index in range(header.channels))
        break
    return (name or "image",)
