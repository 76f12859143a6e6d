"""The files that a case is made from: their paths, errors that name them, and whether they changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfseg.core.errors import ConfigError, DataError, is_fault, one_line
from tfseg.datasets.layouts import Case, Dataset
from tfseg.datasets.names import parts
from tfseg.preparation.steps import Recipe


def beside(case: Case, template: str) -> Path:
    """Fill in {case} and {subject}; a relative path starts at the folder of the case's image."""
    return case.images[0].parent / template.replace("{case}", case.name).replace("{subject}", case.subject)


def sources(case: Case, recipe: Recipe) -> dict[str, list[Path]]:
    """Return the files that a case is made from: images, label map, second label map and brain mask."""
    images = [file for image in case.images for file in parts(image)]
    made_from = {"image": images, **({"label": parts(case.label)} if case.label else {})}
    if recipe.second_map:
        made_from["second_map"] = [beside(case, recipe.second_map.path)]
    if recipe.skull_strip_mask:
        made_from["mask"] = [beside(case, recipe.skull_strip_mask)]
    return made_from


def check_has(dataset: Dataset, recipe: Recipe) -> None:
    """Check, before scans are read, that a dataset has the channels and the second label maps that a recipe needs.

    Raises:
        ConfigError: if the number of channels differs, or no case has a second label map.
    """
    if recipe.channels not in (None, len(dataset.channels)):
        expected = f"{dataset.name}: expected {recipe.channels} channels, as the recipe asks"
        raise ConfigError(f"{expected}; received {len(dataset.channels)} ({', '.join(dataset.channels)})")
    if recipe.second_map:
        paths = [beside(case, recipe.second_map.path) for case in dataset.cases]
        if not any(path.is_file() for path in paths):
            raise ConfigError(f"second_map.path: expected a second label map of every case, found none at {paths[0]}")


@contextmanager
def naming(case: Case, recipe: Recipe) -> Iterator[None]:
    """Name the case's image in every error that names none of its files.

    Raises:
        DataError: for a DataError in the block.
        MemoryError: if memory is short.
        RuntimeError: for an error that is a fault of tfseg.
    """
    try:
        yield
    except Exception as error:
        paths = tuple(str(path) for listed in sources(case, recipe).values() for path in listed)
        if str(error).startswith(paths):
            raise
        if isinstance(error, DataError | MemoryError):
            kind = DataError if isinstance(error, DataError) else MemoryError
            raise kind(f"{case.images[0]}: {one_line(error)}") from error
        if is_fault(error):
            raise RuntimeError(f"{case.images[0]}: {type(error).__name__}: {one_line(error)}") from error
        raise


def stamp(path: Path) -> list[list[str | int]]:
    """Return name, size and times of a file, or of every file in a folder: they change when it is written."""
    each = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in each]
    return [[name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in stats]
