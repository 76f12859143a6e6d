"""Reading a prepared folder."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tfseg import files
from tfseg.config import read_yaml
from tfseg.data.slicing import SliceGrid
from tfseg.data.volume import Array, DataError


@dataclass(frozen=True)
class PreparedCase:
    """One case's slices, mapped from disk: `image` float32 `[slice, h, w, channels]`, `label` uint8 `[slice, h, w]`."""

    name: str
    subject: str
    image: Array
    label: Array
    grid: SliceGrid


class Prepared:
    """A finished prepared folder: its cases, the names of its channels and labels, the recipe that made it.

    Raises:
        DataError: where the folder is not a finished preparation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "index.csv").is_file():
            raise DataError(f"{folder}: not a finished prepared folder (no index.csv)")
        # A subject may be called NA.
        self.index = pd.read_csv(folder / "index.csv", dtype={"case": str, "subject": str}, keep_default_na=False)
        description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        self.name: str = description["name"]
        self.channels: tuple[str, ...] = tuple(description["channels"])
        self.labels: dict[int, str] = {int(value): name for value, name in description["labels"].items()}
        self.recipe = read_yaml(folder / "recipe.yaml")

    @property
    def subjects(self) -> list[str]:
        """Every subject, in order."""
        return sorted(self.index["subject"].unique())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of every slice."""
        height, width = self.recipe["size"]
        return height, width, len(self.channels)

    @property
    def classes(self) -> int:
        """Output channels of a network for these labels: one (sigmoid) for one label, else one more (softmax)."""
        return 1 if len(self.labels) == 1 else len(self.labels) + 1

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the index, which holds the hashes of every source file, and of the recipe, taken together."""
        both = "".join(files.sha256(self.folder / name) for name in ("index.csv", "recipe.yaml"))
        return hashlib.sha256(both.encode()).hexdigest()

    def slices_of(self, subjects: Iterable[str]) -> int:
        """Count the slices of some subjects."""
        return int(self.index.loc[self.index["subject"].isin(list(subjects)), "slices"].sum())

    def case(self, name: str) -> PreparedCase:
        """Open a case by its name."""
        folder = self.folder / "cases" / name
        try:
            image = np.load(folder / "image.npy", mmap_mode="r")
            label = np.load(folder / "label.npy", mmap_mode="r")
            grid = SliceGrid.from_json(json.loads((folder / "case.json").read_text())["grid"])
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise DataError(f"{folder}: the prepared case is damaged: {error}") from error
        subject = self.index.loc[self.index["case"] == name, "subject"].iloc[0]
        return PreparedCase(name, subject, image, label, grid)

    def cases_of(self, subjects: Iterable[str]) -> list[PreparedCase]:
        """Open every case of some subjects, in the order of the index."""
        names = self.index.loc[self.index["subject"].isin(list(subjects)), "case"]
        return [self.case(name) for name in names]
