"""A writer of DICOM series."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


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
