"""Recognise the layout of a dataset and read it into a list of cases."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets.checks import check_exists
from tfseg.datasets.layouts.bids import is_bids, read_bids
from tfseg.datasets.layouts.dataset import Case, Dataset, check_names, some_subjects, with_subjects
from tfseg.datasets.layouts.decathlon import is_decathlon, read_decathlon
from tfseg.datasets.layouts.dicom_series import is_dicom_series, read_dicom_series
from tfseg.datasets.layouts.folders import is_folders, read_folders
from tfseg.datasets.layouts.manifest import is_manifest, read_manifest
from tfseg.datasets.layouts.nnunet import is_nnunet, read_nnunet

__all__ = ["LAYOUTS", "Case", "Dataset", "check_names", "read_dataset", "some_subjects"]

# Name of each layout, whether a folder has it, and how it is read; the first that matches is used.
LAYOUTS = {
    "a CSV manifest": (is_manifest, read_manifest),
    "nnU-Net": (is_nnunet, read_nnunet),
    "Medical Segmentation Decathlon": (is_decathlon, read_decathlon),
    "BIDS": (is_bids, read_bids),
    "images/ with masks/ or labels/": (is_folders, read_folders),
    "DICOM series with NIfTI labels": (is_dicom_series, read_dicom_series),
}
# By the layout that is used, those tried after it that the same folder may have, for other cases.
RIVALS = {
    "nnU-Net": ("BIDS", "images/ with masks/ or labels/"),
    "Medical Segmentation Decathlon": ("BIDS", "images/ with masks/ or labels/"),
    "BIDS": ("images/ with masks/ or labels/",),
}


def read_dataset(folder: Path, subject_pattern: str | None = None) -> Dataset:
    """Recognise the layout of a folder and list its cases; their files are not checked.

    Args:
        folder: the dataset, or a CSV manifest.
        subject_pattern: a regular expression that takes the subject from a case's name; without it, the layout does.

    Raises:
        DataError: if the folder is absent, or its layout is unknown or damaged.
        ConfigError: if the pattern does not match every case's name.
    """
    check_exists(folder)
    for name, (recognised, read) in LAYOUTS.items():
        if recognised(folder):
            dataset = _named(folder, read)
            dataset = replace(dataset, warnings=(*_others_in(folder, name), *dataset.warnings))
            return with_subjects(dataset, subject_pattern) if subject_pattern else dataset
    raise DataError(
        f"{folder}: expected a dataset in one of the layouts {', '.join(LAYOUTS)}; "
        "list other files in a manifest.csv with the columns subject, image and label"
    )


def _named(folder: Path, read: Callable[[Path], Dataset]) -> Dataset:
    """Read a folder; an error that names no path names the folder."""
    try:
        return read(folder)
    except DataError as error:
        if any(str(path) in str(error) for path in (folder, folder.resolve())):
            raise
        raise DataError(f"{folder}: {error}") from error


def _others_in(folder: Path, used: str) -> list[str]:
    """A line about the layouts that a folder has beside the one that is used, unless that is a manifest."""
    others = [name for name in RIVALS.get(used, ()) if _is_recognised(name, folder)]
    if not others:
        return []
    return [f"{folder}: read as {used}; what it holds as {' and as '.join(others)} is not read"]


def _is_recognised(name: str, folder: Path) -> bool:
    try:
        return LAYOUTS[name][0](folder)
    except DataError:  # several folders may hold the label maps
        return True
