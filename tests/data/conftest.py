"""Scans to prepare, and a writer of DICOM series."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfseg.data.layouts import Dataset, read_dataset


def _save_series(
    folder: Path, array: np.ndarray, affine: np.ndarray, slope: float = 1, intercept: float = 0, modality: str = "CT"
) -> Path:
    """Write int16 `[x, y, z]`, or uint8 `[x, y, z, colour]`, as a DICOM series, a file per slice.

    The files are named in another order than the slices have.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    to_lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    series, study = generate_uid(), generate_uid()
    for place in range(array.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        columns, rows = array.shape[:2]
        tags: dict[str, Any] = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "Modality": modality,
            "ImagePositionPatient": [f"{mm:.8g}" for mm in (to_lps @ [0, 0, place, 1])[:3]],
            "ImageOrientationPatient": [f"{part:.8g}" for part in (to_lps / [*spacing, 1])[:3, :2].T.ravel()],
            "PixelSpacing": [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"],
            "SliceThickness": f"{spacing[2]:.8g}",
            "Columns": columns,
            "Rows": rows,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "RescaleSlope": slope,
            "RescaleIntercept": intercept,
            "PixelData": array[:, :, place].swapaxes(0, 1).astype("<i2" if array.ndim == 3 else "u1").tobytes(),
        }
        if array.ndim == 4:
            colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
            tags |= {**colour, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
        for name, value in tags.items():
            setattr(file, name, value)
        file.save_as(folder / f"IM{array.shape[2] - place:04d}", enforce_file_format=True)
    return folder


@pytest.fixture(scope="session")
def save_series() -> Callable[..., Path]:
    """Writes a DICOM series; needs pydicom."""
    pytest.importorskip("pydicom")
    return _save_series


@pytest.fixture
def scans() -> dict[str, tuple[np.ndarray, ...]]:
    """Three scans as arrays and affines by case: other shapes, other orientations, labels 2 and 300."""
    made = {}
    for number, shape in enumerate([(6, 7, 4), (5, 4, 8), (7, 7, 3)]):
        rng = np.random.default_rng(number)
        affine = np.diag([1, 1, 3, 1.0])[:, [*np.roll(range(3), number), 3]]
        label = rng.choice([0, 2, 300], shape).astype(np.int16)
        made[f"case_{number}"] = rng.normal(0, 1, shape).astype(np.float32), label, affine, affine
    return made


@pytest.fixture
def write_scans(make_decathlon, tmp_path) -> Callable[..., Dataset]:
    """Writes scans as a dataset in the Decathlon's layout, and reads it."""

    def write(scans, channels=("MRI",), labels=MappingProxyType({2: "core", 300: "rim"})):
        images = {
            name: (nib.Nifti1Image(image, affine), nib.Nifti1Image(label, label_affine))
            for name, (image, label, affine, label_affine) in scans.items()
        }
        return read_dataset(make_decathlon(tmp_path / "data", images, labels, channels))

    return write


@pytest.fixture
def dataset(write_scans, scans) -> Dataset:
    """The three scans of `scans`."""
    return write_scans(scans)
