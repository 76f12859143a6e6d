"""Describe a recipe in sentences, in order, for someone who prepares an image without tfseg."""

from collections.abc import Iterator

from tfseg.preparation.steps import Recipe

ANY_CHANNEL = "the voxels that are not 0 in any channel"
INTERPOLATIONS = {
    "spline": "cubic B-splines, mirrored at the borders, kept within the channel's range",
    "linear": "linear interpolation, constant beyond the outermost centres",
}
IN_PLANE = {"sagittal": ("y", "z"), "coronal": ("x", "z"), "axial": ("x", "y")}


def preparation_steps(recipe: Recipe) -> list[str]:
    """Return the preparation of an image by a resolved recipe, one sentence per step."""
    return list(_steps(recipe))


def _steps(recipe: Recipe) -> Iterator[str]:
    inside = "" if recipe.inside == "nonzero" else f"the {recipe.inside}"
    over = inside if inside == "the brain" or recipe.scaling_over == "body" else ""
    if not over and recipe.scaling_over == "nonzero":
        over = "the channel's voxels that are not 0"
    box = ANY_CHANNEL if recipe.crop == "nonzero" and inside != "the brain" else inside

    yield "read the volume with its scale factors applied, as float32"
    if inside:
        yield _finding(recipe)
    if recipe.crop != "none":
        yield f"note the box of {box}, {recipe.crop_margin_mm:g} mm wider on every side, in whole voxels rounded up"
    yield from _intensity_steps(recipe, over)
    yield "note each channel's least value, for padding"
    if recipe.crop != "none":
        yield "crop to the box"
    yield from _geometry_steps(recipe)


def _finding(recipe: Recipe) -> str:
    if recipe.skull_strip == "region":
        return (
            f"find the brain in channel {recipe.skull_strip_channel}, counted from 0, as "
            "tfseg.preparation.skull_strip.skull_strip does"
        )
    if recipe.skull_strip == "mask":
        return f"take the brain mask {recipe.skull_strip_mask}"
    if recipe.skull_strip == "command":
        return f"find the brain in channel {recipe.skull_strip_channel}, counted from 0: {recipe.skull_strip_command}"
    return (
        "find the body in the first channel: blur by a Gaussian of 1 voxel, take what is above Otsu's threshold, of it "
        "the largest component, and fill its holes"
    )


def _intensity_steps(recipe: Recipe, over: str) -> Iterator[str]:
    of = over or "the whole volume"
    window = list(recipe.window_hu or ())
    low, high = recipe.scaling_percentiles
    if window:
        yield f"clip to {window} Hounsfield units"
    if recipe.median_kernel:
        kernel = recipe.median_kernel
        yield f"median filter of {kernel}×{kernel} pixels per {recipe.axis} slice, borders repeated"
    if recipe.blur_mm:
        yield f"Gaussian blur of standard deviation {recipe.blur_mm:g} mm, borders repeated"
    yield {
        "zscore": f"per channel, subtract the mean and divide by the standard deviation of {of}",
        "minmax": f"per channel, map {window or f'the least and greatest value of {of}'} to 0 and 1, clipped",
        "percentile": f"per channel, map percentiles {low:g} and {high:g} of {of} to 0 and 1, clipped",
    }.get(str(recipe.scaling), "intensities stay as they are")
    if over:
        yield f"outside {over}, set the least value inside"


def _geometry_steps(recipe: Recipe) -> Iterator[str]:
    height, width = recipe.size or (0, 0)
    slices = f" and {recipe.slices} slices" if recipe.slices else ""
    if grid := _new_grid(recipe, f"{height}×{width}", slices):
        yield f"resample once, over the same extent, to {grid}, by {INTERPOLATIONS[recipe.image_interpolation]}"
    rows, columns = IN_PLANE[str(recipe.axis)]
    yield "reorder the voxels to RAS+ (x to the right, y to the front, z to the top of the patient)"
    yield f"take {recipe.axis} slices: the row index runs along {rows}, the column index along {columns}"
    yield f"pad to {height}×{width} pixels{slices}, centred (the odd pixel at the end), with the values noted"


def _new_grid(recipe: Recipe, size: str, slices: str) -> str:
    """The new grid in words; empty if the scan is not resampled."""
    if recipe.fit == "stretch":
        return f"{size} pixels{slices}"
    spacings = zip("xyz", [] if isinstance(recipe.spacing_mm, str) else recipe.spacing_mm, strict=False)
    spacing = ", ".join(f"about {step:g} mm along {name}" for name, step in spacings if step)
    numbers = f"the whole number of voxels nearest to {spacing}" if spacing else ""
    if recipe.fit != "resize":
        return numbers
    scaled = f"rows and columns scaled alike until they fit {size} pixels, rounded"
    return f"{numbers}, of these {scaled}" if numbers else scaled
