"""Name an image's channels: as a description declares them, or by what the images are."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfseg.core.errors import DataError
from tfseg.datasets import formats
from tfseg.datasets.layouts.dataset import by_number
from tfseg.datasets.layouts.label_names import is_by_value

COLOURS = ("red", "green", "blue")


def declared_channels(channels: Mapping[str, Any]) -> tuple[str, ...]:
    """Return names in the order of their numbers, written `{"0": "CT"}` or, the other way round, `{"CT": 0}`.

    Raises:
        ValueError: if a number is not whole, or has no name or two.
    """
    expected = 'channels: expected number: name, as {"0": "CT"}'
    if not isinstance(channels, Mapping):
        raise ValueError(f"{expected}, received {channels}")
    pairs = channels.items() if is_by_value(channels) else ((number, name) for name, number in channels.items())
    try:
        return tuple(by_number(pairs).values())
    except ValueError as error:
        raise ValueError(f"{expected}, received {dict(channels)}") from error


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
        if name is None and formats.is_image_2d(path):
            return COLOURS if header.channels == len(COLOURS) else ("grey",)
        if header.channels > 1:
            return tuple(f"{name or 'image'}_{index}" for index in range(header.channels))
        break
    return (name or "image",)
