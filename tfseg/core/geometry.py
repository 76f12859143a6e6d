"""Surfaces, distance maps, components and morphology of boolean masks, in 2D and 3D, in millimetres."""

from collections.abc import Sequence

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_FACES = {2: 4, 3: 6}  # neighbours that share a side
_CORNERS = {2: 8, 3: 26}  # neighbours that share a side, an edge or a corner


def validated_spacing(spacing_mm: Sequence[float], ndim: int) -> tuple[float, ...]:
    """The spacing as floats, one per axis.

    Raises:
        ValueError: not `ndim` numbers, or one of them not positive and finite.
    """
    spacing = tuple(float(step) for step in spacing_mm)
    if len(spacing) != ndim or not all(0 < step < np.inf for step in spacing):
        raise ValueError(f"spacing_mm: expected {ndim} positive finite numbers, received {spacing}")
    return spacing


def single_slice_axis(shape: Sequence[int]) -> int | None:
    """Return the axis across which a 3D array is a single slice, the last axis of one voxel; None if it has more.

    A single slice has no neighbours across it: its surfaces and distances lie in the plane.

    >>> single_slice_axis((48, 1, 40)), single_slice_axis((48, 2, 40)), single_slice_axis((48, 1))
    (1, None, None)
    """
    single = [axis for axis, voxels in enumerate(shape) if voxels == 1]
    return single[-1] if single and len(shape) == 3 else None


def diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """The diagonal of a volume or of a single slice, `√Σ (voxels·spacing)²`: no distance inside it is larger."""
    sides_mm = np.multiply(shape, validated_spacing(spacing_mm, len(shape)))
    axis = single_slice_axis(shape)
    return float(np.linalg.norm(sides_mm if axis is None else np.delete(sides_mm, axis)))


def bounding_box(*masks: Mask, margin: int = 0) -> tuple[slice, ...]:
    """The smallest box that holds every True voxel of all the masks.

    Args:
        masks: boolean arrays of one shape.
        margin: voxels (≥ 0) added on each side, as far as the array goes.

    Returns:
        One slice per axis; slices of length 0 when all masks are empty.
    """
    first = masks[0]
    box = [slice(None)] * first.ndim
    by_stride = np.argsort(first.strides)[::-1]  # cut first where it is quickest, the rest on what is left
    for axis in by_stride:
        others = tuple(other for other in range(first.ndim) if other != axis)
        occupied = np.flatnonzero(np.logical_or.reduce([mask[tuple(box)].any(axis=others) for mask in masks]))
        if occupied.size == 0:
            return (slice(0, 0),) * first.ndim
        box[axis] = slice(int(occupied[0]), int(occupied[-1]) + 1)
    return tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)


def fullest_slice(mask: Mask) -> int:
    """The index of the slice with the most True voxels; the middle slice if all are False.

    Args:
        mask: boolean `[slice, *spatial]`.

    >>> fullest_slice(np.array([[True, False], [True, True]]))
    1
    """
    voxels = np.count_nonzero(mask, axis=tuple(range(1, mask.ndim)))
    return int(voxels.argmax()) if voxels.any() else len(mask) // 2


def crop_to_joint_box(first: Mask, second: Mask, margin: int = 0) -> tuple[Mask, Mask]:
    """Both masks cut to the box that holds them both, `margin` voxels wider on each side."""
    box = bounding_box(first, second, margin=margin)
    return np.ascontiguousarray(first[box]), np.ascontiguousarray(second[box])


def surface(mask: Mask) -> Mask:
    """The voxels that an erosion by face neighbours (4 in 2D, 6 in 3D) removes.

    What lies beyond the array counts as outside, so a mask that reaches the border has a surface there.
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
    """The exact Euclidean distance of every voxel to the nearest True voxel, in millimetres.

    Distances run between voxel centres: 0 on the mask, inf everywhere when the mask is empty.

    Args:
        mask: boolean `[*spatial]`, 2D or 3D.
        spacing_mm: distance between voxel centres along each axis.

    Raises:
        ValueError: a spacing of the wrong length, or not positive and finite.

    Source: Felzenszwalb and Huttenlocher 2012, 10.4086/toc.2012.v008a019.
    """
    spacing = validated_spacing(spacing_mm, mask.ndim)
    if mask.size == 0:
        return np.zeros(mask.shape, np.float32)
    outside = ~np.ascontiguousarray(mask)  # as bytes, which edt walks faster than booleans
    return edt.edt(outside.view(np.uint8), anisotropy=spacing, black_border=False, parallel=1)


def within(distance_mm: NDArray[np.floating], limit_mm: float) -> Mask:
    """Which distances are at most the limit; one that equals it counts in spite of float32 rounding."""
    return distance_mm <= limit_mm * (1 + 1e-6)


def dilate(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """The voxels whose centre lies within `radius_mm` (≥ 0) of the centre of a mask voxel."""
    return within(distance_map(mask, spacing_mm), radius_mm)


def erode(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """The voxels that have no outside voxel within `radius_mm` (≥ 0).

    What lies beyond the array is unknown and erodes nothing: a head cut by the field of view keeps its edge.
    """
    return ~dilate(~mask, radius_mm, spacing_mm)


def opening(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Erosion, then dilation: parts and bridges thinner than a ball of `radius_mm` vanish."""
    return dilate(erode(mask, radius_mm, spacing_mm), radius_mm, spacing_mm)


def closing(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Dilation, then erosion: gaps and channels thinner than a ball of `radius_mm` are filled."""
    return erode(dilate(mask, radius_mm, spacing_mm), radius_mm, spacing_mm)


def components(mask: Mask) -> tuple[NDArray[np.integer], NDArray[np.intp]]:
    """Numbers the components, whose voxels touch by a face, an edge or a corner (26 neighbours, 8 in 2D).

    Returns:
        Each voxel's component from 1, 0 outside; and the voxels of each component, 0 for what is outside.
    """
    # As bytes: of booleans that touch by corners, cc3d 4.1.1 miscounts some (2D) and refuses some (lines in 3D).
    numbers = cc3d.connected_components(mask.view(np.uint8), connectivity=_CORNERS[mask.ndim])
    sizes = np.bincount(numbers.ravel(), minlength=1)
    sizes[0] = 0
    return numbers, sizes


def largest_component(mask: Mask) -> Mask:
    """The component with the most voxels; touching by a corner is enough to belong. Empty stays empty."""
    numbers, sizes = components(mask)
    return numbers == sizes.argmax() if sizes.any() else mask.copy()


def remove_small_components(mask: Mask, min_voxels: int) -> Mask:
    """The mask without components of fewer than `min_voxels`; touching by a corner is enough to belong."""
    numbers, sizes = components(mask)
    return (sizes >= max(min_voxels, 1))[numbers]


def fill_holes(mask: Mask) -> Mask:
    """The mask and every outside region that no path over faces joins to the border of the array."""
    outside, regions = cc3d.connected_components(~mask, connectivity=_FACES[mask.ndim], return_N=True)
    reaches_border = np.zeros(regions + 1, np.bool_)
    for axis in range(mask.ndim):
        reaches_border[outside.take([0, -1], axis=axis)] = True
    reaches_border[0] = False  # 0 is the mask itself
    return ~reaches_border[outside]
