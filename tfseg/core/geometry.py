"""Compute surfaces, distance maps, components and morphology of boolean masks, in 2D and 3D, in millimetres."""

from collections.abc import Sequence

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_FACES = {2: 4, 3: 6}  # neighbours that share a face (in 2D, a side)
_CORNERS = {2: 8, 3: 26}  # neighbours that share a face, an edge or a corner


def validated_spacing(spacing_mm: Sequence[float], ndim: int) -> tuple[float, ...]:
    """Return the spacing as floats, one per axis.

    Raises:
        ValueError: if there are not `ndim` numbers, or one is not positive and finite.
    """
    spacing = tuple(float(step) for step in spacing_mm)
    if len(spacing) != ndim or not all(0 < step < np.inf for step in spacing):
        raise ValueError(f"spacing_mm: expected {ndim} positive finite numbers, received {spacing}")
    return spacing


def single_slice_axis(shape: Sequence[int]) -> int | None:
    """Return the last axis along which a 3D array is one voxel thick, a single slice; None if there is none.

    A single slice has no neighbours across this axis: its surfaces and distances lie in the plane.

    >>> single_slice_axis((48, 1, 40)), single_slice_axis((48, 2, 40)), single_slice_axis((48, 1))
    (1, None, None)
    """
    single = [axis for axis, voxels in enumerate(shape) if voxels == 1]
    return single[-1] if single and len(shape) == 3 else None


def diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """Return the diagonal of a volume or of a single slice, `√Σ (voxels·spacing)²`: no distance inside is larger."""
    sides_mm = np.multiply(shape, validated_spacing(spacing_mm, len(shape)))
    axis = single_slice_axis(shape)
    return float(np.linalg.norm(sides_mm if axis is None else np.delete(sides_mm, axis)))


def bounding_box(*masks: Mask, margin: int = 0) -> tuple[slice, ...]:
    """Return the smallest box that holds every True voxel of all masks.

    Args:
        masks: boolean arrays of one shape.
        margin: voxels (≥ 0) added on each side, up to the border of the array.

    Returns:
        One slice per axis; slices of length 0 if all masks are empty.
    """
    first = masks[0]
    box = [slice(None)] * first.ndim
    by_stride = np.argsort(first.strides)[::-1]  # the fastest axis first, the others within its box
    for axis in by_stride:
        others = tuple(other for other in range(first.ndim) if other != axis)
        occupied = np.flatnonzero(np.logical_or.reduce([mask[tuple(box)].any(axis=others) for mask in masks]))
        if occupied.size == 0:
            return (slice(0, 0),) * first.ndim
        box[axis] = slice(int(occupied[0]), int(occupied[-1]) + 1)
    return tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)


def fullest_slice(mask: Mask) -> int:
    """Return the index of the slice with the most True voxels; the middle slice if all are False.

    Args:
        mask: boolean `[slice, *spatial]`.

    >>> fullest_slice(np.array([[True, False], [True, True]]))
    1
    """
    voxels = np.count_nonzero(mask, axis=tuple(range(1, mask.ndim)))
    return int(voxels.argmax()) if voxels.any() else len(mask) // 2


def crop_to_joint_box(first: Mask, second: Mask, margin: int = 0) -> tuple[Mask, Mask]:
    """Crop both masks to the box that holds both, `margin` voxels wider on each side."""
    box = bounding_box(first, second, margin=margin)
    return np.ascontiguousarray(first[box]), np.ascontiguousarray(second[box])


def surface(mask: Mask) -> Mask:
    """Return the voxels that an erosion by face neighbours (4 in 2D, 6 in 3D) removes.

    Voxels beyond the array count as outside, so a mask that reaches the border has a surface there.
    An empty mask has an empty surface.
    """
    inner = mask.copy()
    for axis in range(mask.ndim):
        inner_first, mask_first = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        inner_first[1:] &= mask_first[:-1]
        inner_first[:-1] &= mask_first[1:]
        inner_first[:1] = False
        inner_first[-1:] = False
    return mask & ~inner


def distance_map(mask: Mask, spacing_mm: Sequence[float]) -> NDArray[np.float32]:
    """Return the exact Euclidean distance of every voxel to the nearest True voxel, in millimetres.

    Distances are measured between voxel centres: 0 on the mask, inf everywhere if the mask is empty.

    Args:
        mask: boolean `[*spatial]`, 2D or 3D.
        spacing_mm: distance between voxel centres along each axis.

    Raises:
        ValueError: if the spacing has the wrong length, or is not positive and finite.

    Source: Felzenszwalb and Huttenlocher 2012, 10.4086/toc.2012.v008a019.
    """
    spacing = validated_spacing(spacing_mm, mask.ndim)
    if mask.size == 0:
        return np.zeros(mask.shape, np.float32)
    outside = ~np.ascontiguousarray(mask)  # edt is faster on bytes than on booleans
    return edt.edt(outside.view(np.uint8), anisotropy=spacing, black_border=False, parallel=1)


def within(distance_mm: NDArray[np.floating], limit_mm: float) -> Mask:
    """Return which distances are at most the limit, with tolerance for float32 rounding."""
    return distance_mm <= limit_mm * (1 + 1e-6)


def dilate(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Return the voxels whose centre lies within `radius_mm` (≥ 0) of the centre of a mask voxel."""
    return within(distance_map(mask, spacing_mm), radius_mm)


def erode(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Return the voxels that have no outside voxel within `radius_mm` (≥ 0).

    Voxels beyond the array are unknown and do not erode: a head cut by the field of view keeps its edge.
    """
    return ~dilate(~mask, radius_mm, spacing_mm)


def opening(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Erode, then dilate: remove parts and bridges thinner than a ball of `radius_mm`."""
    return dilate(erode(mask, radius_mm, spacing_mm), radius_mm, spacing_mm)


def closing(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Dilate, then erode: fill gaps and channels thinner than a ball of `radius_mm`."""
    return erode(dilate(mask, radius_mm, spacing_mm), radius_mm, spacing_mm)


def components(mask: Mask) -> tuple[NDArray[np.integer], NDArray[np.intp]]:
    """Label the connected components; voxels connect by a face, an edge or a corner (26 neighbours, 8 in 2D).

    Returns:
        The component of each voxel, from 1, with 0 outside; and the number of voxels of each, with 0 for outside.
    """
    # As bytes: for booleans connected by corners, cc3d 4.1.1 miscounts some (2D) and refuses some (lines in 3D).
    numbers = cc3d.connected_components(mask.view(np.uint8), connectivity=_CORNERS[mask.ndim])
    sizes = np.bincount(numbers.ravel(), minlength=1)
    sizes[0] = 0
    return numbers, sizes


def largest_component(mask: Mask) -> Mask:
    """Return the component with the most voxels; voxels connect by corners too. An empty mask stays empty."""
    numbers, sizes = components(mask)
    return numbers == sizes.argmax() if sizes.any() else mask.copy()


def remove_small_components(mask: Mask, min_voxels: int) -> Mask:
    """Remove components of fewer than `min_voxels`; voxels connect by corners too."""
    numbers, sizes = components(mask)
    return (sizes >= max(min_voxels, 1))[numbers]


def fill_holes(mask: Mask) -> Mask:
    """Fill every outside region that is not connected, by faces, to the border of the array."""
    outside, regions = cc3d.connected_components(~mask, connectivity=_FACES[mask.ndim], return_N=True)
    reaches_border = np.zeros(regions + 1, np.bool_)
    for axis in range(mask.ndim):
        reaches_border[outside.take([0, -1], axis=axis)] = True
    reaches_border[0] = False  # 0 is the mask itself
    return ~reaches_border[outside]
