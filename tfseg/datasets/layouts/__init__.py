"""The layouts in which datasets come, recognised by themselves and each read into a list of cases."""

from pathlib import Path

from tfseg.core.errors import DataError
from tfseg.datasets.layouts.bids import is_bids, read_bids
from tfseg.datasets.layouts.dataset import Case, Dataset, with_subjects
from tfseg.datasets.layouts.decathlon import is_decathlon, read_decathlon
from tfseg.datasets.layouts.dicom_series import is_dicom_series, read_dicom_series
from tfseg.datasets.layouts.folders import is_folders, read_folders
from tfseg.datasets.layouts.manifest import is_manifest, read_manifest
from tfseg.datasets.layouts.nnunet import is_nnunet, read_nnunet

__all__ = ["LAYOUTS", "Case", "Dataset", "read_dataset"]

# What each layout is called, whether a folder has it, and how it is read. The first that a folder has is taken.
LAYOUTS = {
    "a CSV manifest": (is_manifest, read_manifest),
    "nnU-Net": (is_nnunet, read_nnunet),
    "Medical Segmentation Decathlon": (is_decathlon, read_decathlon),
    "BIDS": (is_bids, read_bids),
    "images/ with masks/ or labels/": (is_folders, read_folders),
    "DICOM series with NIfTI labels": (is_dicom_series, read_dicom_series),
}


def read_dataset(folder: Path, subject_pattern: str | None = None) -> Dataset:
    """Recognise the layout of a folder and list its cases; whether their files are there and sound is not looked at.

    Args:
        folder: the dataset, or a CSV manifest.
        subject_pattern: a regular expression that finds the subject in a case's name; what the layout says if absent.

    Raises:
        DataError: where the folder is absent, or its layout is not known or damaged.
        ConfigError: where the pattern does not find every case's subject.
    """
    if not folder.exists():
        raise DataError(f"{folder}: no such folder")
    for recognised, read in LAYOUTS.values():
        if recognised(folder):
            dataset = read(folder)
            return with_subjects(dataset, subject_pattern) if subject_pattern else dataset
    raise DataError(
        f"{folder}: expected a dataset in one of the layouts {', '.join(LAYOUTS)}; "
        "list other files in a manifest.csv with the columns subject, image and label"
    )
