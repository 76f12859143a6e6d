"""Read a case into arrays, checked against each other and against what its dataset declares."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets import formats
from tfseg.datasets.duplicates import check_not_label
from tfseg.datasets.grids import (
    Array,
    Header,
    Opened,
    Volume,
    corners_apart_mm,
    header_stored_like,
    same_grid,
    spacing_of,
    stored_like,
)
from tfseg.datasets.layouts import Case, Dataset


def read_case_header(case: Case) -> Header:
    """Read the grid of a case and the number of its channels from the headers of its images.

    Raises:
        DataError: if a file cannot be read, or the channels' grids differ.
    """
    return join_headers(case, [formats.read_header(path) for path in case.images])


def read_case_image(case: Case) -> Volume:
    """Read a case's image as float32 `[x, y, z, channels]`; the case needs no label map.

    Raises:
        DataError: if a file cannot be read, a channel has one value everywhere, the channels' grids differ, or values
            are NaN or infinite.
    """
    first, *others = (_read_varied(path) for path in case.images)
    if not others:
        return first
    for path, image in zip(case.images[1:], others, strict=True):
        _check_grid(path, image.array.shape[:3], image.affine, case.images[0], first.array.shape[:3], first.affine)
    arrays = [first.array, *(image.array for image in others)]
    # Channel after channel, as NIfTI stores them: steps work on one at a time.
    joined = np.empty((*first.array.shape[:3], sum(array.shape[3] for array in arrays)), np.float32, order="F")
    return replace(first, array=np.concatenate(arrays, axis=-1, out=joined))


def read_case_label(case: Case, dataset: Dataset, header: Header | None = None) -> Volume:
    """Read a case's label values `[x, y, z]`, in the order in which the image is stored.

    Args:
        case: what to read.
        dataset: declares channels and labels.
        header: the image's, if it was read before.

    Raises:
        DataError: if the case has no label map, a file cannot be read, the dataset declares another number of
            channels or lacks a label value, or the label map's grid is not the image's.
    """
    return _read_label(case, dataset, header or read_case_header(case))


def read_case(case: Case, dataset: Dataset) -> tuple[Volume, Volume]:
    """Read a case's image `[x, y, z, channels]` and label map `[x, y, z]`, each file once.

    Raises:
        DataError: as `read_case_image` and `read_case_label`.
    """
    image = read_case_image(case)
    x, y, z, channels = image.array.shape
    label = _read_label(case, dataset, Header((x, y, z), channels, image.affine, image.in_pixels))
    check_not_label(case, image.array, label.array)
    return image, label


def _read_varied(path: Path) -> Volume:
    with formats.open_image(path) as image:
        return read_varied(path, image)


def _read_label(case: Case, dataset: Dataset, header: Header) -> Volume:
    check_channels(case, header, dataset)
    path = case.label_file
    label = stored_like(formats.read_label(path, dataset.masks_as_shown), header.affine)
    _check_label_grid(case, label.array.shape, label.affine, header)
    check_declared(path, label.array, dataset)
    return replace(label, affine=header.affine)


def read_varied(path: Path, opened: Opened) -> Volume:
    """Read an open image as float32 `[x, y, z, channels]`, and refuse a channel that has one value everywhere.

    Raises:
        DataError: if a channel has, the file cannot be read, or values are NaN or infinite.
    """
    image = opened.read()
    channels = image.array.shape[3]
    for index in range(channels):
        channel = image.array[..., index]
        if channel.min() == channel.max():
            which = f"channel {index}: " if channels > 1 else ""
            raise DataError(f"{path}: an empty image, {which}every voxel has the value {channel.flat[0]:g}")
    return image


def join_headers(case: Case, headers: Sequence[Header]) -> Header:
    """Join the headers of a case's images into one, with all their channels and warnings.

    Raises:
        DataError: if their grids differ.
    """
    first = headers[0]
    for path, header in zip(case.images, headers, strict=True):
        _check_grid(path, header.shape, header.affine, case.images[0], first.shape, first.affine)
    return replace(
        first,
        channels=sum(header.channels for header in headers),
        is_placed=all(header.is_placed for header in headers),
        warnings=tuple(line for header in headers for line in header.warnings),
    )


def check_channels(case: Case, header: Header, dataset: Dataset) -> None:
    """Refuse a case whose number of channels is not the one that its dataset declares.

    Raises:
        DataError: with both numbers.
    """
    if header.channels != len(dataset.channels):
        raise DataError(
            f"{case.images[0]}: {header.channels} channels, but {len(dataset.channels)} are declared: "
            f"{', '.join(dataset.channels)}"
        )


def check_label_grid(case: Case, label: Header, image: Header) -> None:
    """Refuse a label map on another grid than its image; the order in which it is stored may differ.

    Raises:
        DataError: if shapes or affines disagree, or the case has no label map.
    """
    turned = header_stored_like(label, image.affine)
    _check_label_grid(case, turned.shape, turned.affine, image)


def _check_label_grid(case: Case, shape: tuple[int, ...], affine: Array, image: Header) -> None:
    if not is_unscaled(image.shape, image.affine, shape, affine):
        _check_grid(case.label_file, shape, affine, case.images[0], image.shape, image.affine)


def is_unscaled(shape: tuple[int, ...], affine: Array, label_shape: tuple[int, ...], label_affine: Array) -> bool:
    """Whether a label map of one slice has the pixels of its image, but counts 1 mm for each.

    Programs that do not know the pixel spacing of a radiograph write such label maps.
    """
    unscaled = affine / [*spacing_of(affine)[:2], 1, 1]
    return shape == label_shape and shape[2] == 1 and same_grid(shape, unscaled, label_affine)


def check_declared(path: Path, label: Array, dataset: Dataset) -> None:
    """Refuse a label map with values that its dataset does not declare.

    Raises:
        DataError: with those values, ten at most.
    """
    declared = {0, *dataset.labels} | ({dataset.ignore_label} - {None})
    # Counting a few values takes a tenth of the time of finding all.
    if sum(np.count_nonzero(label == value) for value in declared) < label.size:
        undeclared = sorted(set(np.unique(label).tolist()) - declared)[:10]
        raise DataError(f"{path}: label values {undeclared} are not declared; {list(dataset.labels)} are")


def _check_grid(
    path: Path, shape: tuple[int, ...], affine: Array, first: Path, first_shape: tuple[int, ...], first_affine: Array
) -> None:
    if shape != first_shape:
        raise DataError(f"{path}: its shape is {shape}, that of {first.name} {first_shape}")
    if not same_grid(first_shape, first_affine, affine):
        apart_mm = corners_apart_mm(first_shape, first_affine, affine)
        raise DataError(f"{path}: its affine is not that of {first.name}: corners lie {apart_mm:.3g} mm apart")
