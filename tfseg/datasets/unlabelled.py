"""List scans that have no label map: a file, a folder, a DICOM series, a CSV list, or a dataset in a known layout."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tfseg.core.errors import DataError
from tfseg.datasets import dicom
from tfseg.datasets.checks import check_encodable, check_exists
from tfseg.datasets.layouts import LAYOUTS, Case, check_names, read_dataset
from tfseg.datasets.layouts.dataset import MOST_LISTED, not_read
from tfseg.datasets.layouts.manifest import read_scan_list
from tfseg.datasets.names import image_files, parts, stem


class Scans(NamedTuple):
    """Cases without label maps, and lines to report: files that are not read."""

    cases: list[Case]
    warnings: tuple[str, ...] = ()


def find_scans(source: Path, channels: Sequence[str]) -> Scans:
    """List the scans of a source, without label maps; their files are not checked.

    The files of one scan share a name and differ in a suffix, the number of the channel (`CASE_0000`) or its name
    (`CASE_T1`); a file without one holds all channels. A file with such a suffix stands for all channels of its scan.
    In a CSV list, a column `image` or one `image_CHANNEL` per channel says which file is which. A folder of DICOM
    series holds a folder per scan, with the series in it or in a folder per channel.

    Args:
        source: what to list.
        channels: the names of the channels that a scan should have, in order.

    Raises:
        DataError: if the source is absent or holds no scan, two scans have one name, a name is not UTF-8, or scans
            have files of more channels.
    """
    check_exists(source)
    warnings: tuple[str, ...] = ()
    if source.suffix.lower() == ".csv":
        cases = read_scan_list(source, channels)
    elif source.is_file():
        name, channel = _split(stem(source), channels)
        siblings = image_files(source.parent)[0] if channel is not None and len(channels) > 1 else [source]
        cases = [case for case in _of_files(siblings, channels) if case.name in (name, stem(source))]
    elif dicom.is_series(source):
        cases = [_case(stem(source), [source])]
    else:
        paths = image_files(source)[0]
        warnings = _numbered(source, paths, channels)
        found = [*_of_files(paths, channels), *_of_series(source, channels)]
        if not found and not any(has_layout(source) for has_layout, _ in LAYOUTS.values()):
            inside = ", ".join(path.name for path in sorted(source.iterdir())[:MOST_LISTED]) or "nothing"
            formats = "NIfTI, NRRD, MetaImage, 2D images or DICOM series"
            raise DataError(f"{source}: no scan in it; expected {formats}, found {inside}")
        if found:
            cases, warnings = found, (*warnings, *_left_out(source, found))
        else:
            dataset = read_dataset(source)
            cases, warnings = [replace(case, label=None) for case in dataset.cases], dataset.warnings
    check_names(source, cases)
    for path in (path for case in cases for path in case.images):
        check_encodable(path)
    name, times = Counter(case.name for case in cases).most_common(1)[0]
    if times > 1:
        files = " and ".join(case.images[0].name for case in cases if case.name == name)
        raise DataError(f"{source}: {times} files or series are of the case {name}: {files}")
    return Scans(cases, warnings)


def _left_out(source: Path, cases: Sequence[Case]) -> tuple[str, ...]:
    """A line about the files in a folder of scans, and in the folders in it, that belong to no scan."""
    images = [path for case in cases for path in case.images]
    files = {part for path in images if not path.is_dir() for part in parts(path)}
    series = {path for path in images if path.is_dir()}
    inside = [path for each in image_files(source, recursive=True) for path in each]
    others = [path for path in inside if path not in files and series.isdisjoint(path.parents)]
    return not_read(source, others, "not among the scans of this folder")


def _of_files(paths: Sequence[Path], channels: Sequence[str]) -> list[Case]:
    """Group files by the name of their scan; suffixes count if there are several channels, or every file has one."""
    parts = {path: _split(stem(path), channels) for path in paths}
    if len(channels) == 1 and any(channel is None for _, channel in parts.values()):
        parts = {path: (stem(path), None) for path in paths}
    whole = [_case(name, [path]) for path, (name, channel) in parts.items() if channel is None]
    split: dict[tuple[str, Path], list[tuple[int, Path]]] = {}
    for path, (name, channel) in parts.items():
        if channel is not None:
            split.setdefault((name, path.parent), []).append((channel, path))
    return [*whole, *(_case(name, [path for _, path in sorted(listed)]) for (name, _), listed in split.items())]


def _numbered(source: Path, paths: Sequence[Path], channels: Sequence[str]) -> tuple[str, ...]:
    """Refuse names with more numbers, from 0000 on as nnU-Net numbers channels, than channels are expected.

    The numbers of a single name may be those of scans of one channel: a line says that they are read so.

    Raises:
        DataError: if several names have such numbers, or several channels are expected.
    """
    by_name: dict[str, dict[str, Path]] = {}
    for path in paths:
        if match := re.fullmatch(r"(.+)_(\d{4})", stem(path)):
            by_name.setdefault(match.group(1), {})[match.group(2)] = path
    excess = [files for files in by_name.values() if "0000" in files and len(files) > len(channels)]
    if not excess:
        return ()
    files = [excess[0][number].name for number in sorted(excess[0])]
    which = f"{source}: {files[0]} {'and' if len(files) == 2 else 'to'} {files[-1]}"
    if len(excess) > 1 or len(channels) > 1:
        raise DataError(
            f"{which} are numbered as {len(files)} channels of one scan; the networks take {', '.join(channels)}; list "
            "the files to predict in a CSV"
        )
    return (
        f"{which} are predicted as {len(files)} scans: the networks take one channel, {channels[0]}; if these are "
        "channels of one scan, list the files to predict in a CSV",
    )


def _split(name: str, channels: Sequence[str]) -> tuple[str, int | None]:
    """Split a name into that of the scan and the number of the channel, None if it ends in neither number nor name."""
    match = re.fullmatch(r"(.+)_([^_]+)", name)
    suffixes = {f"{number:04d}": number for number in range(len(channels))}
    suffixes |= {channel.lower(): number for number, channel in enumerate(channels) if len(channels) > 1}
    if match and match.group(2).lower() in suffixes:
        return match.group(1), suffixes[match.group(2).lower()]
    return name, None


def _of_series(folder: Path, channels: Sequence[str]) -> list[Case]:
    cases = []
    for place in _folders_in(folder):
        inner = {each.name: each for each in _folders_in(place) if dicom.is_series(each)}
        if dicom.is_series(place):
            cases.append(_case(place.name, [place]))
        elif inner:
            named = [inner[channel] for channel in channels if channel in inner]
            cases.append(_case(place.name, named if len(named) == len(inner) else list(inner.values())))
    return cases


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _case(name: str, images: Sequence[Path]) -> Case:
    return Case(name, name, tuple(images))
