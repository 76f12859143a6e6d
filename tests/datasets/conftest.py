"""Writers of DICOM files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

SERIES = "1.2.3.4"


def save_dicom(
    path: Path,
    tags: Mapping[str, Any],
    pixels: np.ndarray | None = None,
    *,
    preamble: bool = True,
    implicit: bool = False,
) -> Path:
    """Write a DICOM file of the given tags and pixels; a tag that is None is left out."""
    tags = {**tags, **({} if pixels is None else pixel_tags(pixels))}
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = tags.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    base = {"SOPClassUID": CTImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "StudyInstanceUID": "1.2"}
    for name, value in {**base, "SeriesInstanceUID": SERIES, **tags}.items():
        if value is not None:
            setattr(file, name, value)
    if preamble:
        file.save_as(path, enforce_file_format=True)
    else:
        del file.file_meta, file.preamble
        file.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return path


def pixel_tags(rows: np.ndarray) -> dict[str, Any]:
    """The tags of int16 pixels `[row, column]` or `[frame, row, column]`, or uint8 `[row, column, colour]`."""
    in_colour = rows.dtype == np.uint8 and rows.ndim == 3
    height, width = rows.shape[:2] if in_colour else rows.shape[-2:]
    bits = 8 if in_colour else 16
    return {
        "Rows": height,
        "Columns": width,
        "SamplesPerPixel": 3 if in_colour else 1,
        "PhotometricInterpretation": "RGB" if in_colour else "MONOCHROME2",
        **({"PlanarConfiguration": 0} if in_colour else {}),
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0 if in_colour else 1,
        "PixelData": rows.astype("u1" if in_colour else "<i2").tobytes(),
    }


def _save_series(
    folder: Path,
    array: np.ndarray,
    affine: np.ndarray,
    slope: float = 1,
    intercept: float = 0,
    modality: str = "CT",
    change: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda place, tags: tags,
    **options: Any,
) -> Path:
    """Write int16 `[x, y, z]`, or uint8 `[x, y, z, colour]`, as a DICOM series, a file per slice.

    The files are named in another order than the slices have; `change` may change the tags of each slice.
    """
    to_lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    series = generate_uid()
    for place in range(array.shape[2]):
        tags = {
            "SeriesInstanceUID": series,
            "Modality": modality,
            "ImagePositionPatient": [f"{mm:.8g}" for mm in (to_lps @ [0, 0, place, 1])[:3]],
            "ImageOrientationPatient": [f"{part:.8g}" for part in (to_lps / [*spacing, 1])[:3, :2].T.ravel()],
            "PixelSpacing": [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"],
            "SliceThickness": f"{spacing[2]:.8g}",
            "RescaleSlope": slope,
            "RescaleIntercept": intercept,
        }
        pixels = array[:, :, place].swapaxes(0, 1)
        save_dicom(folder / f"IM{array.shape[2] - place:04d}", change(place, tags), pixels, **options)
    return folder


def _group(**tags: Any) -> Dataset:
    """A functional group: sequences of one item with the given tags."""
    group = Dataset()
    for sequence, items in tags.items():
        item = Dataset()
        for name, value in items.items():
            setattr(item, name, value)
        setattr(group, sequence, DicomSequence([item]))
    return group


def _save_enhanced(
    path: Path,
    frames: np.ndarray,
    positions_mm: Sequence[Sequence[float]],
    orientations: Sequence[Sequence[float]] = ((1, 0, 0, 0, 1, 0),),
    slopes: Sequence[float] = (1.0,),
    spacing_mm: Sequence[float] = (0.5, 0.8),
) -> Path:
    """Write int16 `[frame, row, column]` as an enhanced MR; orientations and slopes repeat over the frames."""
    per_frame = [
        _group(
            PlanePositionSequence={"ImagePositionPatient": list(position)},
            PlaneOrientationSequence={"ImageOrientationPatient": list(orientations[index % len(orientations)])},
            PixelValueTransformationSequence={
                "RescaleSlope": slopes[index % len(slopes)],
                "RescaleIntercept": -10,
                "RescaleType": "US",
            },
        )
        for index, position in enumerate(positions_mm)
    ]
    tags = {
        "SOPClassUID": EnhancedMRImageStorage,
        "Modality": "MR",
        "NumberOfFrames": len(frames),
        "SharedFunctionalGroupsSequence": DicomSequence(
            [_group(PixelMeasuresSequence={"PixelSpacing": list(spacing_mm), "SliceThickness": 3})]
        ),
        "PerFrameFunctionalGroupsSequence": DicomSequence(per_frame),
    }
    return save_dicom(path, tags, frames)


@pytest.fixture(scope="session")
def save_series() -> Callable[..., Path]:
    """Writes a DICOM series: `_save_series`."""
    return _save_series


@pytest.fixture(scope="session")
def save_enhanced() -> Callable[..., Path]:
    """Writes an enhanced DICOM file: `_save_enhanced`."""
    return _save_enhanced


@pytest.fixture(scope="session")
def save_file() -> Callable[..., Path]:
    """Writes a DICOM file of given tags: `save_dicom`."""
    return save_dicom
