"""Read the tags of DICOM files, and tell images from files of other kinds, such as segmentations."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tfseg.core.errors import DataError
from tfseg.datasets.checks import naming
from tfseg.datasets.names import is_file_or_lost, suffix

PREAMBLE = 128
SUFFIXES = (".dcm", ".dicom", ".ima")
TAGS = (
    "SOPClassUID",
    "ImageType",
    "Modality",
    "SeriesInstanceUID",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "RescaleIntercept",
    "RescaleSlope",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
# Modalities whose pixels, if any, are not what a scanner saw; a segmentation among the channels gives the answer away.
NOT_IMAGES = {
    "SEG": "segmentation",
    "RTSTRUCT": "structure set",
    "RTDOSE": "dose distribution",
    "RTPLAN": "treatment plan",
    "RTRECORD": "treatment record",
    "REG": "registration",
    "PR": "presentation state",
    "KO": "key object selection",
    "SR": "report",
    "FID": "fiducials",
    "RWV": "real world value mapping",
    "DOC": "document",
}
# The storage classes of the same, by the start of their UIDs: of segmentations, RT objects and registrations.
NOT_IMAGE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.": "SEG",
    "1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
}


class DicomFile(NamedTuple):
    """A DICOM file with the tags that say what it is and where it is."""

    path: Path
    tags: Any

    @property
    def other_kind(self) -> str | None:
        """Return the kind of a file that is no image, such as "SEG, a segmentation"; None for an image."""
        sop_class = str(self.tags.get("SOPClassUID", ""))
        of_class = (kind for uid, kind in NOT_IMAGE_CLASSES.items() if sop_class.startswith(uid))
        kind = next(of_class, str(self.tags.get("Modality", "")))
        if kind in NOT_IMAGES:
            return f"{kind}, a {NOT_IMAGES[kind]}"
        return None if "Rows" in self.tags else f"{kind or 'DICOM'} without pixels"


def files_in(folder: Path) -> Iterator[DicomFile]:
    """Yield the DICOM files of a folder itself, by name.

    Raises:
        DataError: if the folder or a DICOM file cannot be read.
    """
    with naming(folder, "the folder cannot be read"):
        paths = sorted(path for path in folder.iterdir() if is_file_or_lost(path) and path.name != "DICOMDIR")
    for path in paths:
        try:
            file = None if path.name.startswith(".") else _read(path)
        except DataError:
            if not suffix(path):  # a file of another format is reported when it is read
                raise
        else:
            if file is not None:
                yield file


def not_dicom(folder: Path) -> list[Path]:
    """Return the visible files of a folder itself that are not DICOM files.

    Raises:
        DataError: for one that is empty or has a suffix of DICOM: a slice that was lost.
    """
    others = []
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        with naming(path, "not a readable DICOM file"), path.open("rb") as file:
            if _is_dicom(file):
                continue
            if path.stat().st_size == 0:
                raise ValueError("it is empty")
            if path.suffix.lower() in SUFFIXES:
                raise ValueError("it does not begin as one")
        others.append(path)
    return others


def is_series(folder: Path) -> bool:
    """Whether a folder itself has DICOM files that are images, or that cannot be read."""
    try:
        return any(file.other_kind is None for file in files_in(folder))
    except DataError:
        return True


def other_files(folder: Path) -> list[str]:
    """Describe the DICOM files of a folder that are no images, one line each."""
    try:
        return [f"{file.path}: {file.other_kind}" for file in files_in(folder) if file.other_kind]
    except DataError:
        return []


def _read(path: Path) -> DicomFile | None:
    """Read a file's tags; None if it is not a DICOM file."""
    with naming(path, "not a readable DICOM file"), path.open("rb") as file:
        if not _is_dicom(file):
            return None
        file.seek(0)
        return DicomFile(path, _tags(path, file))


def _is_dicom(file: BinaryIO) -> bool:
    """Whether a file has the letters DICM after its preamble or, without a preamble, starts with a first tag."""
    start = file.read(PREAMBLE + 4)
    if start[PREAMBLE:] == b"DICM":
        return True
    group, element, length = (int.from_bytes(start[at : at + size], "little") for at, size in ((0, 2), (2, 2), (4, 4)))
    is_explicit = start[4:6].isalpha() and start[4:6].isupper()
    return len(start) > PREAMBLE and group in (2, 8) and element <= 0x18 and (is_explicit or length <= PREAMBLE)


def _tags(path: Path, file: BinaryIO) -> Any:
    from pydicom import config
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_partial

    config.settings.reading_validation_mode = config.IGNORE  # its warnings name no file
    warnings.filterwarnings("ignore", module="pydicom")
    pixels: list[int] = []  # where the pixels end

    def is_pixels(tag: Any, _: str | None, length: int) -> bool:
        if tag >> 16 != 0x7FE0:
            return False
        pixels.append(file.tell() + (0 if length == 0xFFFFFFFF else length))
        return True

    tags = read_partial(file, is_pixels, force=True, specific_tags=[tag_for_keyword(each) or 0 for each in TAGS])
    try:
        tags.walk(lambda *_: None)  # converts every value, so that a damaged one is found here
    except Exception as error:
        raise ValueError(str(error).partition("\nTraceback")[0]) from error
    if "Rows" not in tags and "SOPClassUID" not in tags:
        raise ValueError("it ends before the tags that say what it is")
    if "Rows" in tags and (not pixels or pixels[0] > path.stat().st_size):
        raise ValueError("its pixels are missing or cut short")
    return tags
