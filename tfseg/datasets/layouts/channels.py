"""Names of an image's channels, where a layout declares none."""

from collections.abc import Iterable
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets import formats

COLOURS = ("red", "green", "blue")


def channels_of(images: Iterable[Path], name: str | None = None) -> tuple[str, ...]:
    """Name the channels that the first readable of some images has.

    A single channel is called `name`, several `name_0`, `name_1`, …; without a name, "image", or for a picture "grey"
    or "red", "green" and "blue". Where none can be read, one channel is expected.
    """
    for path in images:
        try:
            header = formats.read_header(path)
        except DataError:  # a fault of its own
            continue
        if name is None and header.in_pixels:
            return COLOURS if header.channels == len(COLOURS) else ("grey",)
        if header.channels > 1:
            return tuple(f"{name or 'image'}_{index}" for index in range(header.channels))
        break
    return (name or "image",)
