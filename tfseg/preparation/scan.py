"""One scan through a recipe: from its voxels to slices, and labels there and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tfseg.core.errors import DataError
from tfseg.core.geometry import Mask, bounding_box
from tfseg.datasets.grids import Array, Volume, orientation_of, spacing_of
from tfseg.datasets.layouts import Case
from tfseg.preparation import intensity, resampling
from tfseg.preparation.body import beside, find_body, find_brain, read_mask
from tfseg.preparation.intensity import Scaling
from tfseg.preparation.label_maps import to_values, translate
from tfseg.preparation.slicing import SliceGrid
from tfseg.preparation.steps import Recipe

IMAGE_RESAMPLERS = {"spline": resampling.spline, "linear": resampling.linear}
LABEL_RESAMPLERS = {"linear": resampling.by_class, "nearest": resampling.nearest}


@dataclass(frozen=True)
class Scan:
    """A prepared scan.

    Args:
        slices: float32 `[slice, h, w, channels]`.
        grid: between the scan's voxels and the slices.
        scalings: each channel's.
        body: the brain after skull stripping, the body where a step needs it, or the voxels that are not 0 in all
            channels; `[i, j, k]`.
        body_is: which of them, "brain", "body" or "nonzero".
    """

    slices: Array
    grid: SliceGrid
    scalings: tuple[Scaling, ...]
    body: Mask
    body_is: str


def prepare_scan(image: Volume, case: Case, recipe: Recipe) -> Scan:
    """Take a case's scan `[i, j, k, channels]` through a resolved recipe.

    Padding takes each channel's least value, so that air goes on beyond the border.

    Raises:
        DataError: where a step cannot be carried out on it.
    """
    body, body_is = find_inside(image, case, recipe)
    with naming(case):
        return _prepare(image, recipe, body, body_is)


def _prepare(image: Volume, recipe: Recipe, body: Mask, body_is: str) -> Scan:
    grid = make_grid(image.array.shape[:3], image.affine, recipe, crop_to(image, body, body_is, recipe))
    slices = np.empty((*grid.padded_shape, image.array.shape[3]), np.float32)
    scalings = []
    for index in range(image.array.shape[3]):
        channel = image.array[..., index]
        if not channel.flags.forc:
            channel = channel.copy(order="K")
        channel = _filtered(channel, grid, recipe)
        channel, scaling = _scaled(channel, _measured_over(channel, body, body_is, recipe), recipe)
        resample = IMAGE_RESAMPLERS[recipe.image_interpolation]
        slices[..., index] = grid.to_slices(channel, fill=channel.min(), resample=resample)
        scalings.append(scaling)
    return Scan(slices, grid, tuple(scalings), body, body_is)


def find_inside(image: Volume, case: Case, recipe: Recipe) -> tuple[Mask, str]:
    """Return the brain, the body or what is not 0, `[i, j, k]`, whichever the recipe asks for, and which it is.

    Raises:
        DataError: where it is not found.
    """
    if recipe.skull_strip_mask:
        return read_mask(beside(case, recipe.skull_strip_mask), image), "brain"
    with naming(case):
        if recipe.skull_strip != "none":
            return find_brain(image, recipe), "brain"
        if recipe.needs_body:
            return find_body(image.array[..., 0], image.spacing_mm), "body"
        return np.any(image.array, axis=-1), "nonzero"


def crop_to(image: Volume, body: Mask, body_is: str, recipe: Recipe) -> Mask | None:
    """Return the mask that a recipe crops to, given what `find_inside` found."""
    if recipe.crop == "none":
        return None
    return np.any(image.array, axis=-1) if (recipe.crop, body_is) == ("nonzero", "body") else body


@contextmanager
def naming(case: Case) -> Iterator[None]:
    """Let an error say which case's image it is about.

    Raises:
        DataError: for a ValueError in the block.
    """
    try:
        yield
    except ValueError as error:
        raise DataError(f"{case.images[0]}: {error}") from error


def make_grid(shape: tuple[int, ...], affine: Array, recipe: Recipe, body: Mask | None = None) -> SliceGrid:
    """Return the grid that a resolved recipe gives a scan.

    Args:
        shape: voxels of the scan as stored.
        affine: 4×4, from voxel indices to RAS+ millimetres.
        recipe: resolved.
        body: what to crop to, `[i, j, k]`; no crop where absent.

    Raises:
        DataError: where there is nothing to crop to.
    """
    if recipe.axis is None or recipe.size is None or recipe.spacing_mm == "median":
        raise ValueError(f"recipe: expected one that is resolved, received {recipe}")
    crop = _crop(body, spacing_of(affine), recipe.crop_margin_mm) if body is not None else None
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


def _crop(body: Mask, spacing_mm: tuple[float, ...], margin_mm: float) -> tuple[tuple[int, int], ...] | None:
    if not body.any():
        raise DataError("no voxel to crop to: every one is 0")
    box = []
    for side, voxels, step_mm in zip(bounding_box(body), body.shape, spacing_mm, strict=True):
        margin = int(np.ceil(margin_mm / step_mm))
        box.append((max(0, side.start - margin), min(voxels, side.stop + margin)))
    return None if all(stop - start == n for (start, stop), n in zip(box, body.shape, strict=True)) else tuple(box)


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


def _measured_over(channel: Array, body: Mask, body_is: str, recipe: Recipe) -> Mask | None:
    """Where the scaling is measured; None for the whole volume."""
    if body_is == "brain" or recipe.scaling_over == "body":
        return body
    return channel != 0 if recipe.scaling_over == "nonzero" else None


def _scaled(channel: Array, inside: Mask | None, recipe: Recipe) -> tuple[Array, Scaling]:
    """Scale a channel by what is measured inside; what is outside takes the least value there."""
    if inside is None:
        scaling = _scaling(channel, recipe)
        return scaling.apply(channel), scaling
    # Numbers are picked much faster in the order in which they are stored.
    values = channel.T[inside.T] if channel.flags.f_contiguous else channel[inside]
    if not values.size:
        raise DataError("no voxel to measure the scaling over: every one is 0 or stripped")
    scaling = _scaling(values, recipe)
    scaled = scaling.apply(channel)
    np.copyto(scaled, scaling.apply(values.min(keepdims=True)), where=~inside)
    return scaled, scaling


def _scaling(values: Array, recipe: Recipe) -> Scaling:
    if recipe.scaling == "zscore":
        return intensity.zscore(values)
    if recipe.scaling == "minmax":
        return intensity.rescale(*(recipe.window_hu or (float(values.min()), float(values.max()))))
    if recipe.scaling == "percentile":
        return intensity.percentiles(values, recipe.scaling_percentiles)
    return Scaling(0, 1)
