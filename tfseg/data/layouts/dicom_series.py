"""Folders of DICOM series with NIfTI label maps."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tfseg.data import dicom
from tfseg.data.layouts.channels import channels_of
from tfseg.data.layouts.dataset import Case, Dataset, stem
from tfseg.data.layouts.folders import image_and_label_folders
from tfseg.data.layouts.labels import labels_of
from tfseg.data.volume import DataError


class _Found(NamedTuple):
    """A case's folder, the series in it by the names of their folders, and where its label map is or should be."""

    folder: Path
    series: dict[str, Path]
    label: Path


def is_dicom_series(folder: Path) -> bool:
    """Whether a folder has DICOM series, and a label map for one of them."""
    return folder.is_dir() and any(case.series and case.label.is_file() for case in _find(folder))


def read_dicom_series(folder: Path) -> Dataset:
    """Read `images/CASE/` with `labels/CASE.nii.gz`, or `CASE/` with a NIfTI file in it, each case its own subject.

    The files of a series lie in the case's folder or in one inside it; several series are channels, by the names of
    their folders, and a single one is named by its modality (`XC_0`, `XC_1`, `XC_2` in colour). Labels are those that
    `labels.json` declares, or else the values found.

    Raises:
        DataError: where no series can be read, or a folder has several NIfTI files.
    """
    found = _find(folder)
    names = sorted({name for case in found for name in case.series})
    several = any(len(case.series) > 1 for case in found)
    cases = []
    for case in found:
        if several:
            images = tuple(case.series.get(name, case.folder / name) for name in names)
        else:
            images = (next(iter(case.series.values()), case.folder),)
        cases.append(Case(case.folder.name, case.folder.name, images, case.label))
    first = [case.images[0] for case in cases]
    return Dataset(
        name=folder.resolve().name,
        channels=tuple(names) if several else channels_of(first, _modality(first)),
        labels=labels_of(folder, (case.label for case in cases)),
        cases=tuple(cases),
        layout="dicom",
    )


def _find(folder: Path) -> list[_Found]:
    beside = image_and_label_folders(folder)
    cases = []
    for case in sorted((beside[0] if beside else folder).iterdir()):
        if not case.is_dir():
            continue
        places = [case, *sorted(place for place in case.iterdir() if place.is_dir())]
        series = {place.name: place for place in places if dicom.is_series(place)}
        labels = sorted(
            path
            for path in (beside[1] if beside else case).glob("*.nii*")
            if not path.name.startswith(".") and (not beside or stem(path) == case.name)
        )
        if series and len(labels) > 1:
            raise DataError(f"{case}: expected one label map, found {', '.join(path.name for path in labels)}")
        if series or len(labels) == 1:
            expected = beside[1] / f"{case.name}.nii.gz" if beside else case / "label.nii.gz"
            cases.append(_Found(case, series, labels[0] if labels else expected))
    return cases


def _modality(series: Iterable[Path]) -> str:
    error: DataError | None = None
    for folder in series:
        try:
            return dicom.modality(folder)
        except DataError as unreadable:
            error = error or unreadable
    raise error or DataError("no DICOM series")
