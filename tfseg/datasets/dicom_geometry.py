"""Locate the slices of a DICOM series, and compare their geometry across every slice or frame."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets.checks import naming
from tfseg.datasets.dicom_files import DicomFile
from tfseg.datasets.grids import Array

# Slices are at even distances if their steps differ by less than this share.
STEP_TOLERANCE = 0.05
# Directions are the same if no component differs by more, pixel spacings and slopes by no larger share.
DIRECTION_TOLERANCE, SHARE_TOLERANCE = 1e-3, 1e-3
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


class Frame(NamedTuple):
    """A slice: its file, position and orientation in LPS millimetres, pixel spacing, and what rescales its values."""

    path: Path
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    thickness_mm: float
    rescale: tuple[float, ...] | None


def frames_of(file: DicomFile) -> list[Frame]:
    """Return the frames of a file: one of a plain file, those that an enhanced one lists.

    Raises:
        DataError: if a file of several frames does not say where each of them is.
    """
    tags = file.tags
    number = int(tags.get("NumberOfFrames", 1) or 1)
    per_frame = tags.get("PerFrameFunctionalGroupsSequence") or []
    shared = (tags.get("SharedFunctionalGroupsSequence") or [None])[0]
    groups = [[tags]]
    if per_frame or number > 1:
        groups = [[group for group in (own, shared, tags) if group is not None] for own in per_frame]
    if len(groups) != number:
        raise DataError(f"{file.path}: {number} frames, but positions of {len(groups)}; they cannot be placed")
    with naming(file.path, "damaged tags"):
        return [_frame(file.path, each) for each in groups]


def place(frames: Sequence[Frame]) -> Array:
    """Return the affine `[4, 4]`, from column, row and slice to LPS millimetres, of frames in their order.

    Without a pixel spacing, it is 1; a single slice without a thickness is 1 mm thick.

    Raises:
        DataError: if frames differ in orientation or pixel spacing, are not at even distances in this order, or do not
            say where they are.
    """
    first = frames[0]
    if len(frames) > 1:
        for frame in frames:
            if frame.position_mm is None or frame.orientation is None or frame.spacing_mm is None:
                raise DataError(f"{frame.path}: a slice among others without position, orientation or pixel spacing")
        _check_same("ImageOrientationPatient", frames, [frame.orientation for frame in frames], DIRECTION_TOLERANCE)
        _check_same("PixelSpacing", frames, [frame.spacing_mm for frame in frames], SHARE_TOLERANCE)
    along_row, along_column = np.reshape(first.orientation or (1, 0, 0, 0, 1, 0), (2, 3))
    row_mm, column_mm = first.spacing_mm or (1, 1)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_row * column_mm, along_column * row_mm
    affine[:3, 3] = first.position_mm or (0, 0, 0)
    if len(frames) > 1:
        affine[:3, 2] = _step_mm(frames)
    else:
        affine[:3, 2] = np.cross(along_row, along_column) * first.thickness_mm
    return affine


def in_order(frames: Sequence[Frame]) -> list[int]:
    """Return the order of frames along their normal; frames that `place` refuses keep their order."""
    orientation, positions = frames[0].orientation, [frame.position_mm for frame in frames]
    if orientation is None or None in positions:
        return list(range(len(frames)))
    normal = np.cross(*np.reshape(orientation, (2, 3)))
    along = np.array(positions, float) @ normal
    return [int(index) for index in np.argsort(along, kind="stable")]


def _frame(path: Path, groups: Sequence[Any]) -> Frame:
    """A frame of the tags of its own group, the shared group and the file, the first that has each."""

    def numbers(keyword: str, count: int, inside: str | None = None) -> tuple[float, ...] | None:
        for group in groups:
            held = (group.get(inside) or [None])[0] if inside else None
            for place in (held, group):
                if place is not None and place.get(keyword) not in (None, ""):
                    value = np.atleast_1d(np.asarray(place.get(keyword), float))
                    if value.size != count or not np.isfinite(value).all():
                        raise DataError(f"{path}: {keyword} is {place.get(keyword)}, expected {count} numbers")
                    return tuple(value.tolist())
        return None

    spacings = (numbers(keyword, 2, "PixelMeasuresSequence") for keyword in SPACINGS)
    thickness = numbers("SliceThickness", 1, "PixelMeasuresSequence") or (1.0,)
    slope, intercept = (
        numbers(keyword, 1, "PixelValueTransformationSequence") for keyword in ("RescaleSlope", "RescaleIntercept")
    )
    return Frame(
        path=path,
        position_mm=numbers("ImagePositionPatient", 3, "PlanePositionSequence"),
        orientation=numbers("ImageOrientationPatient", 6, "PlaneOrientationSequence"),
        spacing_mm=next((spacing for spacing in spacings if spacing and min(spacing) > 0), None),
        thickness_mm=thickness[0] if thickness[0] > 0 else 1.0,
        rescale=(slope or (1.0,)) + (intercept or (0.0,)) if slope or intercept else None,
    )


def check_rescaled_alike(frames: Sequence[Frame]) -> None:
    """Refuse frames of one file with slopes or intercepts of their own.

    Raises:
        DataError: with two of them.
    """
    _check_same("RescaleSlope\\RescaleIntercept", frames, [frame.rescale or (1, 0) for frame in frames], 1e-6)


def _check_same(what: str, frames: Sequence[Frame], values: Sequence[Any], tolerance: float) -> None:
    """Refuse frames whose values differ from those of most, and name the file of one that does."""
    array = np.asarray(values, float)
    usual = np.median(array, axis=0)
    differ = np.abs(array - usual).max(axis=1) > tolerance * max(1.0, np.abs(usual).max())
    if differ.any():
        index = int(differ.argmax())
        which = f"{frames[index].path}: frame {index}: " if _is_one_file(frames) else f"{frames[index].path}: "
        furthest = array[np.abs(array - array[index]).max(axis=1).argmax()]
        others = "another slice" if 2 * differ.sum() >= len(array) else "most slices"
        raise DataError(f"{which}{what} {_listed(array[index])}, in {others} {_listed(furthest)}")


def _step_mm(frames: Sequence[Frame]) -> Array:
    """The mean vector from a slice to the next."""
    where = frames[0].path if _is_one_file(frames) else frames[0].path.parent
    steps = np.diff(np.array([frame.position_mm for frame in frames]), axis=0)
    gaps_mm = np.linalg.norm(steps, axis=1)
    usual: Array = np.median(steps, axis=0)
    usual_mm = float(np.linalg.norm(usual))
    positions = sorted(frame.position_mm for frame in frames if frame.position_mm)
    nearest_mm = min(float(np.linalg.norm(np.subtract(one, other))) for one, other in pairwise(positions))
    if nearest_mm <= STEP_TOLERANCE * max(usual_mm, float(np.median(gaps_mm))):
        raise DataError(f"{where}: several slices at one position; expected one volume a series")
    uneven = np.linalg.norm(steps - usual, axis=1)
    if uneven.max() > STEP_TOLERANCE * usual_mm:
        if _is_one_file(frames):
            raise DataError(f"{where}: its frames are not one stack of slices in order, at even distances")
        before, after = frames[uneven.argmax()].path.name, frames[uneven.argmax() + 1].path.name
        raise DataError(
            f"{where}: from {before} to {after} it is {gaps_mm[uneven.argmax()]:.3g} mm, between most slices "
            f"{usual_mm:.3g} mm: a slice may be missing, or lie aside"
        )
    mean: Array = steps.mean(axis=0)
    return mean


def _is_one_file(frames: Sequence[Frame]) -> bool:
    return len({frame.path for frame in frames}) == 1


def _listed(values: Array) -> str:
    return "\\".join(f"{value:.6g}" for value in values)
