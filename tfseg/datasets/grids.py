"""Scans and where they lie: voxels on a grid that an affine places in space, in whatever order they are stored."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Two grids are the same if their corners lie less than this share of the smallest voxel apart.
GRID_TOLERANCE = 0.1

AXES = ("sagittal", "coronal", "axial")
# Slices are cut across the direction in which voxels are at least this many times longer than in the others.
ANISOTROPY = 1.5


@dataclass(frozen=True)
class Volume:
    """An array as the file stores it, `[x, y, z]` or `[x, y, z, channels]`, with its 4×4 affine to RAS+ millimetres.

    A 2D image without a pixel size has no millimetres: `in_pixels` says that its spacing of 1 is one pixel.
    """

    array: Array
    affine: Array
    in_pixels: bool = False

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the three array axes."""
        return spacing_of(self.affine)


@dataclass(frozen=True)
class Header:
    """An image without its values: `shape` is `(x, y, z)`, affine and `in_pixels` are as in `Volume`.

    `is_placed` says whether the file states its orientation, or a default had to be assumed; `warnings` are lines that
    name the file and what in its header to look at.
    """

    shape: tuple[int, int, int]
    channels: int
    affine: Array
    in_pixels: bool = False
    is_placed: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the three array axes."""
        return spacing_of(self.affine)


class Opened(NamedTuple):
    """An open file: its header, and a function that reads its values while it is open."""

    header: Header
    read: Callable[[], Volume]


def spacing_of(affine: Array) -> tuple[float, float, float]:
    """Voxel size in millimetres along the three array axes of a 4×4 affine."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return x, y, z


def voxel_mm3(affine: Array) -> float:
    """Volume of a voxel of a 4×4 affine in mm³: the determinant, whatever the angles between its axes."""
    return abs(float(np.linalg.det(affine[:3, :3])))


def shear_degrees(affine: Array) -> float:
    """Largest angle by which two axes of a 4×4 affine miss a right angle, in degrees.

    >>> tilted = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, np.sqrt(3), 0], [0, 0, 0, 1]])
    >>> round(shear_degrees(tilted), 6)
    30.0
    """
    directions = affine[:3, :3] / spacing_of(affine)
    cosines = directions.T @ directions - np.eye(3)
    return float(np.degrees(np.arcsin(np.abs(cosines).max().clip(max=1))))


def corners_apart_mm(shape: tuple[int, ...], affine: Array, other: Array) -> float:
    """Largest distance between the corners of a grid `shape` under two affines."""
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, length - 1) for length in shape[:3]))])
    return float(np.linalg.norm((affine - other)[:3] @ corners.T, axis=0).max())


def same_grid(shape: tuple[int, ...], affine: Array, other: Array) -> bool:
    """Whether two affines place a grid `shape` on the same points, to a tenth of the smallest voxel."""
    return corners_apart_mm(shape, affine, other) <= GRID_TOLERANCE * min(spacing_of(affine))


def stored_like(volume: Volume, affine: Array) -> Volume:
    """Flip and swap the axes of a volume so that they run as those of `affine` do; if they already do, return it as is.

    Programs store the same scan in different orders of rows and columns, and record the order in the affine.
    """
    if same_grid(volume.array.shape, affine, volume.affine):
        return volume
    turn = _turn(volume.affine, affine)
    array = nib.orientations.apply_orientation(volume.array, turn)
    return replace(volume, array=array, affine=_turned(volume.affine, turn, volume.array.shape))


def header_stored_like(header: Header, affine: Array) -> Header:
    """Turn a header as `stored_like` turns its volume."""
    if same_grid(header.shape, affine, header.affine):
        return header
    turn = _turn(header.affine, affine)
    x, y, z = (header.shape[axis] for axis in np.argsort(turn[:, 0]).tolist())
    return replace(header, shape=(x, y, z), affine=_turned(header.affine, turn, header.shape))


def _turn(own: Array, other: Array) -> Array:
    turn: Array = nib.orientations.ornt_transform(*(nib.orientations.io_orientation(each) for each in (own, other)))
    return turn


def _turned(affine: Array, turn: Array, shape: tuple[int, ...]) -> Array:
    turned: Array = affine @ nib.orientations.inv_ornt_aff(turn, shape[:3])
    return turned


@lru_cache(maxsize=64)
def orientation_of(affine: tuple[tuple[float, ...], ...]) -> Array:
    """Return the axis of x, y, z that each stored axis is nearest to, and its direction, `[3, 2]`."""
    orientation: Array = nib.orientations.io_orientation(np.asarray(affine))
    return orientation


def canonical_spacing_mm(affine: Array) -> tuple[float, float, float]:
    """Voxel size along x, y and z, or the axes nearest to them."""
    x, y, z = np.asarray(spacing_of(affine))[np.argsort(nib.orientations.io_orientation(affine)[:, 0])].tolist()
    return x, y, z


def slice_axis(shapes: Array, spacings_mm: Array) -> str:
    """Return the axis across which slices are cut: the one of a single voxel in every case, or else the longest.

    Args:
        shapes: voxels of every case, `[case, (x, y, z)]`.
        spacings_mm: voxel sizes, `[case, (x, y, z)]`; the median decides.

    >>> slice_axis(np.array([[1, 48, 40]]), np.array([[1, 1, 1]]))
    'sagittal'
    """
    single = (np.asarray(shapes) == 1).all(axis=0)
    return AXES[int(single.argmax())] if single.any() else longest_axis(spacings_mm)


def canonical_shape(header: Header) -> tuple[int, int, int]:
    """Voxels along x, y and z, or the axes nearest to them."""
    x, y, z = np.asarray(header.shape)[np.argsort(nib.orientations.io_orientation(header.affine)[:, 0])].tolist()
    return x, y, z


def longest_axis(spacings_mm: Array) -> str:
    """Return the axis along which voxels are longest, axial if they are near cubes.

    Args:
        spacings_mm: voxel sizes of every case, `[case, (x, y, z)]`; the median decides.
    """
    median_mm = np.median(spacings_mm, axis=0)
    longest = int(median_mm.argmax())
    others = np.delete(median_mm, longest)
    return AXES[longest] if median_mm[longest] >= ANISOTROPY * others.max() else "axial"
