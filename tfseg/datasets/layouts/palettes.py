"""Decide whether masks with palettes are read as indices or as the grey levels that they show."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets import formats, image_2d


def are_read_as_shown(masks: Sequence[Path]) -> bool:
    """Whether the palettes of masks give one index different meanings, and all of them show grey levels.

    Masks whose palettes agree are read as indices, the numbers of classes.

    Raises:
        DataError: if palettes in colours contradict each other.
    """
    images = [path for path in masks if formats.is_image_2d(path)]
    with ThreadPoolExecutor() as pool:
        palettes = dict(zip(images, pool.map(_palette_of, images), strict=True))
    colours: dict[int, tuple[Path, tuple[int, ...]]] = {}
    indices: dict[tuple[int, ...], tuple[Path, set[int]]] = {}
    for path, palette in palettes.items():
        for index, colour in palette.items():
            own = {each for each, shown in palette.items() if shown == colour}
            first, usual = colours.setdefault(index, (path, colour))
            other, numbers = indices.setdefault(colour, (path, own))
            if colour == usual and own & numbers:
                continue
            if all(len(set(each[:3])) == 1 for used in palettes.values() for each in used.values()):
                return True
            if colour != usual:
                meaning = f"index {index} shows {colour}, in {first} {usual}"
            else:
                meaning = f"{colour} is index {index}, in {other} {min(numbers)}"
            raise DataError(f"{path}: {meaning}: the palettes of these masks contradict each other; save label values")
    return False


def _palette_of(path: Path) -> dict[int, tuple[int, ...]]:
    """The colours that a mask with a palette uses, by index; a mask that cannot be read is a fault of its case."""
    try:
        return image_2d.palette_of(path) or {}
    except DataError:
        return {}
