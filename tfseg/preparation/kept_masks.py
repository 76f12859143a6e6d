"""Keep brain and body masks from the pass that measures scans for the pass that prepares them."""

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfseg.core import files
from tfseg.core.geometry import Mask
from tfseg.datasets.layouts import Case
from tfseg.preparation.case_files import sources, stamp
from tfseg.preparation.steps import Recipe

# With `Recipe.inside`, what decides which voxels of an image a mask holds.
HOW_FOUND = {"skull_strip", "skull_strip_channel", "skull_strip_mask", "skull_strip_command"}


@dataclass(frozen=True)
class KeptMasks:
    """A folder with a packed mask per case: finding a brain can take minutes, its mask takes a few kilobytes."""

    folder: Path

    @classmethod
    def of(cls, out: Path) -> "KeptMasks":
        """Return the masks of a prepared folder; they have a temporary name until `finish`."""
        finished = out / "masks"
        return cls(finished if finished.is_dir() else out / f"{files.UNFINISHED}masks")

    def finish(self) -> None:
        """Give the folder its name."""
        if files.is_unfinished(self.folder) and self.folder.is_dir():
            self.folder.rename(self.folder.with_name("masks"))

    def read(self, case: Case, recipe: Recipe) -> Mask | None:
        """Return a case's mask `[i, j, k]`; None if there is none, or an image or the way to find it changed since."""
        try:
            with self._path(case).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if stored["made_from"].item() != _made_from(case, recipe):
                    return None
                shape = stored["shape"]
                bits = np.unpackbits(stored["bits"], count=int(shape.prod()))
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        mask: Mask = bits.view(np.bool_).reshape(shape, order="F")
        return mask

    def write(self, case: Case, recipe: Recipe, mask: Mask) -> None:
        """Keep a case's mask `[i, j, k]`."""
        packed = np.packbits(mask.ravel(order="F"))  # files store the first axis contiguously
        with files.replacing(self._path(case)) as unfinished:
            np.savez_compressed(unfinished, made_from=_made_from(case, recipe), shape=mask.shape, bits=packed)

    def _path(self, case: Case) -> Path:
        return self.folder / f"{case.name}.npz"


def _made_from(case: Case, recipe: Recipe) -> str:
    made_from = sources(case, recipe)
    paths = [*made_from["image"], *made_from.get("mask", [])]
    how = recipe.model_dump(mode="json", include=HOW_FOUND)
    return json.dumps([recipe.inside, how, *map(stamp, paths)], sort_keys=True)
