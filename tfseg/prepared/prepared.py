"""Read a prepared folder."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfseg.config.config import Config
from tfseg.config.yaml_files import read_yaml
from tfseg.core import files
from tfseg.core.errors import DataError, one_line
from tfseg.datasets.grids import Array
from tfseg.datasets.splits import Split, make_splits, read_splits
from tfseg.preparation.label_maps import to_values
from tfseg.preparation.slicing import SliceGrid
from tfseg.prepared.stored import Slices, StoredArray
from tfseg.prepared.targets import Targets

TEXT_COLUMNS = ("case", "subject", "strata", "skipped")


@dataclass(frozen=True)
class PreparedCase:
    """The slices of one case, read from disk when they are used.

    Args:
        name: name of the case.
        subject: name of its subject.
        image: float32 `[slice, h, w, channels]`.
        label: class indices uint8 `[slice, h, w]`; 255 is ignored.
        grid: maps between slices and the scan's own voxels.
        training_slices: indices of the slices used for training; all if None. Scoring uses every slice.
        truth: class indices on the scan's own grid `[i, j, k]`, if they cannot be restored from the slices.
        in_pixels: a 2D image without millimetres; distances are in pixels.
    """

    name: str
    subject: str
    image: Slices
    label: Slices
    grid: SliceGrid
    training_slices: Array | None = None
    truth: Slices | None = None
    in_pixels: bool = False

    def label_volume(self, labels: Iterable[int], ignore_label: int | None = None) -> Array:
        """Return the case's label values on the scan's own grid, as they were before any resampling."""
        return to_values(self.truth_classes(), labels, ignore_label)

    def truth_classes(self) -> Array:
        """Return the case's class indices on the scan's own grid, as they were before any resampling."""
        return self.grid.from_slices(np.asarray(self.label)) if self.truth is None else np.asarray(self.truth)


class Prepared:
    """A finished prepared folder: its cases, its channels and labels, the recipe that made it.

    `ignore_label` is the label value to ignore on a scan's grid; `regions` are unions of label values; `splits` are the
    dataset's own; `skipped` gives the reason for each case left out.

    Raises:
        DataError: if the folder is not a finished preparation, or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "index.csv").is_file():
            raise DataError(f"{folder}: not a finished prepared folder (no index.csv)")
        # A subject may be named NA.
        with files.reading(folder / "index.csv", DataError):
            index = pd.read_csv(folder / "index.csv", dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False)
            reasons = index.get("skipped", pd.Series("", index.index))
            self.index = index[reasons == ""]
            self.skipped: dict[str, str] = {
                case: reason for case, reason in zip(index["case"], reasons, strict=True) if reason
            }
        with files.reading(folder / "dataset.json", DataError):
            description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
            self.name: str = description["name"]
            self.channels: tuple[str, ...] = tuple(description["channels"])
            self.labels: dict[int, str] = {int(value): name for value, name in description["labels"].items()}
            self.ignore_label: int | None = description.get("ignore_label")
            self.regions: dict[str, tuple[int, ...]] = {
                name: tuple(values) for name, values in description.get("regions", {}).items()
            }
            self.splits = [Split(*map(tuple, split.values())) for split in description.get("splits", [])]
        self.recipe = read_yaml(folder / "recipe.yaml")

    @cached_property
    def in_pixels(self) -> bool:
        """Whether the cases are 2D images without millimetres."""
        return self.case(self.index["case"].iloc[0]).in_pixels

    @property
    def unit(self) -> str:
        """The unit of distances."""
        return "px" if self.in_pixels else "mm"

    @property
    def subjects(self) -> list[str]:
        """All subjects, sorted by name."""
        return sorted(self.index["subject"].unique())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of every slice."""
        height, width = self.recipe["size"]
        return height, width, len(self.channels)

    @property
    def volume_shape(self) -> tuple[int, int, int, int]:
        """Slices of the largest volume, and rows, columns and channels of every one."""
        return int(self.index["slices"].max()), *self.image_shape

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """The median spacing of slices, rows and columns over all cases; pixels have a spacing of 1."""
        across, down, along = np.median(self.spacings_mm, axis=0).tolist()
        return across, down, along

    @cached_property
    def spacings_mm(self) -> Array:
        """The spacing of slices, rows and columns of every case, `[cases, 3]`."""
        return np.array([self.case(name).grid.slice_spacing_mm for name in self.index["case"]])

    @cached_property
    def targets(self) -> Targets:
        """Return what a network learns and what is scored: the regions if there are any, else the labels."""
        return Targets(self.labels, self.regions)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the recipe and the index, which holds the hash of every source file."""
        both = "".join(files.sha256(self.folder / name) for name in ("index.csv", "recipe.yaml"))
        return hashlib.sha256(both.encode()).hexdigest()

    def slices_of(self, subjects: Iterable[str]) -> int:
        """Return the number of training slices of some subjects."""
        column = "training_slices" if "training_slices" in self.index else "slices"
        return int(self.index.loc[self.index["subject"].isin(list(subjects)), column].sum())

    def case(self, name: str) -> PreparedCase:
        """Open a case by its name.

        Raises:
            DataError: if its files are damaged.
        """
        folder = self.folder / "cases" / name
        try:
            image = StoredArray.open(folder / "image.npy")
            label = StoredArray.open(folder / "label.npy")
            description = json.loads((folder / "case.json").read_text(encoding="utf-8"))
            grid = SliceGrid.from_json(description["grid"])
            truth = StoredArray.open(folder / "truth.npy") if (folder / "truth.npy").is_file() else None
        except Exception as error:  # a description may lack keys, or hold a list
            raise DataError(f"{folder}: the prepared case is damaged: {one_line(error)}") from error
        subject = self.index.loc[self.index["case"] == name, "subject"].iloc[0]
        used = description.get("training_slices")
        return PreparedCase(
            name,
            subject,
            image,
            label,
            grid,
            training_slices=None if used is None else np.array(used, int),
            truth=truth,
            in_pixels=description.get("in_pixels", False),
        )

    def traits(self, name: str) -> dict[str, Any]:
        """Return what is kept of a case's scan to compare it with others: `digests` and `measures` of its channels.

        Raises:
            DataError: if its description is damaged.
        """
        path = self.folder / "cases" / name / "case.json"
        with files.reading(path, DataError):
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("traits", {})
            return kept

    def check(self) -> None:
        """Open every case, so that a damaged one is found before training.

        Raises:
            DataError: if a file is damaged, or a case has other slices than the recipe says.
        """
        with files.reading(self.folder / "index.csv", DataError):
            names = self.index[["case", "subject", "slices"]]["case"].tolist()
        with files.reading(self.folder / "recipe.yaml", DataError):
            expected = self.image_shape
        for name in names:
            image, label = self.case(name).image, self.case(name).label
            if (image.shape[1:], image.dtype) != (expected, np.float32) or label.shape != image.shape[:3]:
                raise DataError(
                    f"{self.folder / 'cases' / name}: the prepared case is damaged: {image.dtype} slices of "
                    f"{image.shape}, labels of {label.shape}; expected float32 slices of {expected}"
                )

    def cases_of(self, subjects: Iterable[str]) -> list[PreparedCase]:
        """Open every case of some subjects, in the order of the index."""
        names = self.index.loc[self.index["subject"].isin(list(subjects)), "case"]
        return [self.case(name) for name in names]


def split_subjects(config: Config, prepared: Prepared, splits: Path | None) -> list[Split]:
    """Return the splits of a file, else the dataset's own, else new ones, balanced by strata if there are any.

    If `select_on` is "test", the test subjects validate too, and the validation subjects train.

    Raises:
        ConfigError: if a split cannot be used or there are too few subjects.
    """
    found = _splits(config, prepared, splits)
    if config.select_on == "validation":
        return found
    return [Split(tuple(sorted(split.train + split.val)), split.test, split.test) for split in found]


def _splits(config: Config, prepared: Prepared, splits: Path | None) -> list[Split]:
    if splits:
        return read_splits(splits, prepared.subjects, config.seed, config.validation_share)
    if prepared.splits:
        own = [split.among(prepared.subjects) for split in prepared.splits]
        for split in own:
            split.check(prepared.subjects, f"{prepared.folder}: the split of the dataset")
        return own
    return make_splits(prepared.subjects, config.folds, config.seed, _strata(prepared), config.validation_share)


def _strata(prepared: Prepared) -> dict[str, str]:
    """Return the stratum of each subject: the distinct strata of its cases, joined; empty if the data name none."""
    if "strata" not in prepared.index:
        return {}
    by_subject = prepared.index.groupby("subject")["strata"]
    return {str(subject): ", ".join(sorted(set(strata))) for subject, strata in by_subject}
