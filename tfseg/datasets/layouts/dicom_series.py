"""Read folders of DICOM series with label maps in files of a volume format."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tfseg.core.errors import DataError
from tfseg.datasets import dicom, dicom_files
from tfseg.datasets.layouts.channels import channels_of
from tfseg.datasets.layouts.dataset import Case, Dataset, not_read
from tfseg.datasets.layouts.folders import image_and_label_folders
from tfseg.datasets.layouts.labels import labels_of
from tfseg.datasets.names import ITK, NIFTI, image_files, stem


class _Found(NamedTuple):
    """A case's folder, its series by the names of their folders, and the path of its label map, which may not exist."""

    folder: Path
    series: dict[str, Path]
    label: Path


def is_dicom_series(folder: Path) -> bool:
    """Whether a folder has a DICOM series with a label map."""
    return folder.is_dir() and any(case.series and case.label.is_file() for case in _find(folder))


def read_dicom_series(folder: Path) -> Dataset:
    """Read `images/CASE/` with `labels/CASE.nii.gz`, or `CASE/` with a label map in it, each case its own subject.

    The files of a series are in the case's folder or in a folder inside it. Several series are channels, named by
    their folders; a single one is named by its modality (`XC_0`, `XC_1`, `XC_2` in colour). Segmentations, structure
    sets and doses are no channels. Series without a label map and label maps without a series are cases too, whose
    missing file is a fault. Labels are declared in `labels.json`, or are the values found in the label maps.

    Raises:
        DataError: if no series can be read, or a folder has several label maps.
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
    series = [place for case in found for place in case.series.values()]
    labels = labels_of(folder, (case.label for case in found))
    return Dataset(
        name=folder.resolve().name,
        channels=tuple(names) if several else channels_of(series, _modality(series)),
        labels=labels.names,
        cases=tuple(cases),
        layout="dicom",
        ignore_label=labels.ignore_label,
        warnings=(*_left_out(folder, found), *labels.warnings),
    )


def _find(folder: Path) -> list[_Found]:
    beside = image_and_label_folders(folder)
    folders = set(_folders_in(beside[0] if beside else folder))
    maps: dict[Path, list[Path]] = defaultdict(list)
    for place in [beside[1]] if beside else folders:
        for path in image_files(place, (*NIFTI, *ITK))[0]:
            maps[beside[0] / stem(path) if beside else place].append(path)
    cases = []
    for case in sorted(folders | maps.keys()):
        places = [case, *_folders_in(case)] if case in folders else []
        series = {place.name: place for place in places if dicom.is_series(place)}
        labels = maps[case]
        if (series or beside) and len(labels) > 1:
            raise DataError(f"{case}: expected one label map, found {', '.join(path.name for path in labels)}")
        if series or len(labels) == 1:
            expected = beside[1] / f"{case.name}.nii.gz" if beside else case / "label.nii.gz"
            cases.append(_Found(case, series, labels[0] if labels else expected))
    return cases


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _left_out(folder: Path, found: Sequence[_Found]) -> list[str]:
    """Lines about files that are no images, and about folders of cases that hold neither images nor label maps."""
    beside = image_and_label_folders(folder)
    known = {case.folder for case in found}
    lines = [
        f"{place}: neither DICOM images nor a label map; it is not read"
        for place in _folders_in(beside[0] if beside else folder)
        if place not in known
    ]
    for case in found:
        places = (
            [place for place in _folders_in(case.folder) if place not in case.series.values()] if case.series else []
        )
        lines += [f"{line}, which is not read" for place in places for line in dicom_files.other_files(place)]
        lines += not_read(folder, _strangers(case), "not DICOM")
    if beside:
        lines += not_read(folder, image_files(beside[1], (*NIFTI, *ITK))[1], "not of a volume format")
    return lines


def _strangers(case: _Found) -> list[Path]:
    """The files beside the slices of a case that are neither DICOM nor its label map."""
    try:
        inside = [path for place in case.series.values() for path in dicom_files.not_dicom(place)]
    except DataError:  # a fault of the case
        return []
    return [path for path in inside if path != case.label]


def _modality(series: Iterable[Path]) -> str:
    error: DataError | None = None
    for folder in series:
        try:
            return dicom.modality(folder)
        except DataError as unreadable:
            error = error or unreadable
    raise error or DataError("no DICOM series")
