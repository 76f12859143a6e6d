"""One scan through a recipe: from its voxels to slices, and labels there and back."""

import math
from dataclasses import dataclass

import numpy as np

from tfseg.core import memory
from tfseg.core.errors import ConfigError, DataError
from tfseg.core.geometry import Mask, bounding_box
from tfseg.datasets.grids import Array, Volume, orientation_of, spacing_of
from tfseg.datasets.layouts import Case
from tfseg.preparation import intensity, resampling
from tfseg.preparation.body import find_body, find_brain, read_mask
from tfseg.preparation.case_files import beside, naming
from tfseg.preparation.intensity import Scaling
from tfseg.preparation.kept_masks import KeptMasks
from tfseg.preparation.label_maps import to_values, translate
from tfseg.preparation.slicing import SliceGrid
from tfseg.preparation.steps import Inside, Recipe

IMAGE_RESAMPLERS = {"spline": resampling.spline, "linear": resampling.linear}
LABEL_RESAMPLERS = {"linear": resampling.by_class, "nearest": resampling.nearest}
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Scan:
    """A prepared scan.

    Args:
        slices: float32 `[slice, h, w, channels]`.
        grid: between the scan's voxels and the slices.
        body: brain, body or voxels that are not 0, `[i, j, k]`.
        body_is: which of them.
    """

    slices: Array
    grid: SliceGrid
    body: Mask
    body_is: Inside


def prepare_scan(image: Volume, case: Case, recipe: Recipe, masks: KeptMasks | None = None, grow: bool = False) -> Scan:
    """Take a case's scan `[i, j, k, channels]` through a resolved recipe.

    Padding has each channel's least value, as air beyond the border would.

    Args:
        image: the scan.
        case: whose it is.
        recipe: resolved.
        masks: brains and bodies found before.
        grow: let slices be larger than the recipe's size if the scan needs it.

    Raises:
        DataError: if a step cannot be carried out on this scan, or the recipe asks for more memory than there is.
    """
    with naming(case, recipe):
        inside = find_inside(image, case, recipe, masks)
        box = None
        if recipe.cropped_to:
            box = bounding_box(inside if recipe.cropped_to == recipe.inside else nonzero(image))
        grid = make_grid(image.array.shape[:3], image.affine, recipe, box)
        grid = grid.grown() if grow else grid
        _check_memory(grid, image.array.shape[3])
        slices = np.empty((*grid.padded_shape, image.array.shape[3]), np.float32)
        for index in range(image.array.shape[3]):
            channel = image.array[..., index]
            if not channel.flags.forc:
                channel = channel.copy(order="K")
            channel = _filtered(channel, grid, recipe)
            channel = _scaled(channel, _measured_over(channel, inside, recipe), recipe)
            resample = IMAGE_RESAMPLERS[recipe.image_interpolation]
            slices[..., index] = grid.to_slices(channel, fill=channel.min(), resample=resample)
        return Scan(slices, grid, inside, recipe.inside)


def find_inside(image: Volume, case: Case, recipe: Recipe, masks: KeptMasks | None = None) -> Mask:
    """Return the voxels `[i, j, k]` that `recipe.inside` names, found in the image or taken from `masks`.

    Raises:
        DataError: if there is no brain or body.
    """
    if recipe.inside == "nonzero":
        return nonzero(image)
    kept = masks.read(case, recipe) if masks else None
    if kept is not None:
        return kept
    if recipe.skull_strip_mask:
        return read_mask(beside(case, recipe.skull_strip_mask), image)
    if recipe.inside == "brain":
        return find_brain(image, recipe)
    return find_body(image.array[..., 0], image.spacing_mm)


def nonzero(image: Volume) -> Mask:
    """Return the voxels `[i, j, k]` that are not 0 in some channel."""
    found: Mask = np.any(image.array, axis=-1)
    return found


def make_grid(shape: tuple[int, ...], affine: Array, recipe: Recipe, box: Box | None = None) -> SliceGrid:
    """Return the grid that a resolved recipe gives a scan.

    Args:
        shape: voxels of the scan as stored.
        affine: 4×4, from voxel indices to RAS+ millimetres.
        recipe: resolved.
        box: what to crop to, a slice per axis, before the recipe's margin is added; no crop if absent.

    Raises:
        ConfigError: if the recipe is not resolved.
        DataError: if the box is empty.
    """
    if recipe.axis is None or recipe.size is None or recipe.spacing_mm in ("median", "median_3d"):
        raise ConfigError(f"recipe: expected one that is resolved, received {recipe}")
    crop = _crop(box, shape, spacing_of(affine), recipe.crop_margin_mm) if box is not None else None
    kept = SliceGrid.of(shape, affine, recipe.axis, recipe.size, crop=crop)
    resampled = np.array(resampled_shape(kept, recipe))
    slices, rows_and_columns = kept.stored_axes[0], kept.stored_axes[1:]
    if recipe.fit == "stretch":
        resampled[rows_and_columns] = recipe.size
        resampled[slices] = recipe.slices or resampled[slices]
    elif recipe.fit == "resize":
        factor = min(np.divide(recipe.size, resampled[rows_and_columns]))
        resampled[rows_and_columns] = np.maximum(1, np.rint(resampled[rows_and_columns] * factor))
    i, j, k = resampled.tolist()
    changed = None if (i, j, k) == kept.cropped_shape else (i, j, k)
    return SliceGrid.of(shape, affine, recipe.axis, recipe.size, crop=crop, resampled=changed, slices=recipe.slices)


def resampled_shape(grid: SliceGrid, recipe: Recipe) -> tuple[int, ...]:
    """Return the voxels along the stored axes at the recipe's spacing, of what a grid's crop keeps."""
    if isinstance(recipe.spacing_mm, str):
        return grid.cropped_shape
    targets = [recipe.spacing_mm[axis] for axis in orientation_of(grid.affine)[:, 0].astype(int)]
    steps = zip(grid.cropped_shape, grid.spacing_mm, targets, strict=True)
    return tuple(resampling.resampled_length(n, own, target) if target else n for n, own, target in steps)


def prepare_label(label: Array, grid: SliceGrid, labels: dict[int, str]) -> Array:
    """Turn label values `[i, j, k]` into class indices uint8 `[slice, h, w]`: 0 background, then `labels` in order."""
    classes = translate(label, {value: index for index, value in enumerate(labels, start=1)})
    return grid.to_slices(classes, resample=resampling.by_class)


def restore_label(classes: Array, grid: SliceGrid, labels: dict[int, str], ignore_label: int | None = None) -> Array:
    """Put class indices `[slice, h, w]` back on the scan's grid as label values; the inverse of `prepare_label`."""
    return to_values(grid.from_slices(classes, resample=resampling.by_class), labels, ignore_label)


def _check_memory(grid: SliceGrid, channels: int) -> None:
    largest = max(grid.padded_shape, grid.resampled or grid.shape, key=math.prod)
    needed, present = 4 * channels * math.prod(largest), memory.memory_bytes()
    if needed > present:
        raise DataError(
            f"the recipe asks for {needed / 1e9:.3g} GB ({'×'.join(map(str, largest))} voxels), "
            f"this machine has {present / 1e9:.3g} GB"
        )


def _crop(
    box: Box, shape: tuple[int, ...], spacing_mm: tuple[float, ...], margin_mm: float
) -> tuple[tuple[int, int], ...] | None:
    """The box with its margin, as (first, one past the last) voxel along each axis; None if that is all there is."""
    if any(side.start == side.stop for side in box):
        raise DataError("no voxel to crop to: every one is 0")
    sides = []
    for side, voxels, step_mm in zip(box, shape, spacing_mm, strict=True):
        margin = int(np.ceil(margin_mm / step_mm))
        sides.append((max(0, side.start - margin), min(voxels, side.stop + margin)))
    return None if all(stop - start == n for (start, stop), n in zip(sides, shape, strict=True)) else tuple(sides)


def _filtered(channel: Array, grid: SliceGrid, recipe: Recipe) -> Array:
    if recipe.window_hu:
        channel = intensity.clip_window(channel, recipe.window_hu)
        if channel.min() == channel.max():
            low, high = recipe.window_hu
            raise DataError(f"every voxel lies on one side of window_hu, {low:g} to {high:g}: nothing is left to see")
    if recipe.median_kernel:
        axes = grid.stored_axes
        filtered = intensity.median_filter(channel.transpose(axes), recipe.median_kernel)
        channel = filtered.transpose(np.argsort(axes))
    if recipe.blur_mm:
        channel = intensity.gaussian_blur(channel, recipe.blur_mm, grid.spacing_mm)
    return channel


def _measured_over(channel: Array, inside: Mask, recipe: Recipe) -> Mask | None:
    """Return the voxels over which the scaling is measured; None for the whole volume."""
    if recipe.inside == "brain" or recipe.scaling_over == "body":
        return inside
    return channel != 0 if recipe.scaling_over == "nonzero" else None


def _scaled(channel: Array, inside: Mask | None, recipe: Recipe) -> Array:
    """Scale a channel by what is measured inside; what is outside takes the least value there."""
    if inside is None:
        return _scaling(channel, recipe).apply(channel)
    # Numbers are picked much faster in the order in which they are stored.
    values = channel.T[inside.T] if channel.flags.f_contiguous else channel[inside]
    if not values.size:
        raise DataError("no voxel to measure the scaling over: every one is 0 or stripped")
    scaling = _scaling(values, recipe)
    scaled = scaling.apply(channel)
    np.copyto(scaled, scaling.apply(values.min(keepdims=True)), where=~inside)
    return scaled


def _scaling(values: Array, recipe: Recipe) -> Scaling:
    if recipe.scaling == "zscore":
        return intensity.zscore(values)
    if recipe.scaling == "minmax":
        return intensity.rescale(*(recipe.window_hu or (float(values.min()), float(values.max()))))
    if recipe.scaling == "percentile":
        return intensity.percentiles(values, recipe.scaling_percentiles)
    return Scaling(0, 1)
