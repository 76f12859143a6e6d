"""Describe a recipe in sentences, in order, for someone who prepares an image and puts labels back without tfseg."""

from collections.abc import Iterator

from tfseg.preparation.steps import Recipe

ANY_CHANNEL = "the voxels that are not 0 in any channel"
INTERPOLATIONS = {
    "spline": "cubic B-splines, mirrored at the borders, clipped to the channel's range",
    "linear": "linear interpolation",
}
POSITIONS = (
    "new voxel i of n lies at position (i + 0.5)·m/n - 0.5 among the m old ones, clamped to the range 0 to m - 1: "
    "beyond the outermost centres the value is theirs"
)
ROUNDED = "rounded (halves to even), at least 1"
IN_PLANE = {"sagittal": ("x", "y", "z"), "coronal": ("y", "x", "z"), "axial": ("z", "x", "y")}
ROTATED = "pixel [i, j] of the result is pixel [rows - 1 - j, columns - 1 - i] of the image"


def preparation_steps(recipe: Recipe, in_pixels: bool = False) -> list[str]:
    """Return the preparation of an image by a resolved recipe, one sentence per step.

    Args:
        recipe: resolved.
        in_pixels: whether images are 2D images without millimetres, not scans.
    """
    return _worded(_steps(recipe, in_pixels), in_pixels)


def restoration_steps(recipe: Recipe, in_pixels: bool = False) -> list[str]:
    """Return the way from a network's output back to labels on the image's own grid, one sentence per step."""
    return _worded(_steps_back(recipe, in_pixels), in_pixels)


def _worded(steps: Iterator[str], in_pixels: bool) -> list[str]:
    """List steps; what is a voxel in a scan is a pixel in a 2D image."""
    return [step.replace("voxel", "pixel") if in_pixels else step for step in steps]


def _steps(recipe: Recipe, in_pixels: bool) -> Iterator[str]:
    inside = "" if recipe.inside == "nonzero" else f"the {recipe.inside}"
    over = inside if inside == "the brain" or recipe.scaling_over == "body" else ""
    if not over and recipe.scaling_over == "nonzero":
        over = "the channel's voxels that are not 0"
    box = ANY_CHANNEL if recipe.cropped_to == "nonzero" else inside
    unit = "pixels" if in_pixels else "mm"

    if in_pixels:
        yield (
            "read the image as float32, rows from top to bottom and columns from left to right, turned as its EXIF "
            "orientation says"
        )
    else:
        yield "read the volume with its scale factors applied, as float32"
    if inside:
        yield _finding(recipe)
    if recipe.cropped_to:
        yield f"note the box of {box}, {recipe.crop_margin_mm:g} {unit} wider on every side, in whole voxels rounded up"
    yield from _intensity_steps(recipe, over, in_pixels)
    yield "note each channel's least value, for padding"
    if recipe.cropped_to:
        yield "crop to the box"
    yield from _geometry_steps(recipe, in_pixels)


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


def _intensity_steps(recipe: Recipe, over: str, in_pixels: bool) -> Iterator[str]:
    whole = "the whole image" if in_pixels else "the whole volume"
    of = over or whole
    window = list(recipe.window_hu or ())
    low, high = recipe.scaling_percentiles
    if window:
        yield f"clip to {window}" if in_pixels else f"clip to {window} Hounsfield units"
    if recipe.median_kernel:
        kernel = recipe.median_kernel
        per = "" if in_pixels else f" per {recipe.axis} slice"
        yield f"median filter of {kernel}×{kernel} pixels{per}, borders repeated"
    if recipe.blur_mm:
        unit = "pixels" if in_pixels else "mm"
        yield f"Gaussian blur of standard deviation {recipe.blur_mm:g} {unit}, borders repeated"
    yield {
        "zscore": f"per channel, subtract the mean and divide by the standard deviation of {of}",
        "minmax": f"per channel, map {window or f'the least and greatest value of {of}'} to 0 and 1, clipped",
        "percentile": f"per channel, map percentiles {low:g} and {high:g} of {of} to 0 and 1, clipped",
    }.get(str(recipe.scaling), "intensities stay as they are")
    if over:
        yield f"outside {over}, set the least value inside"


def _geometry_steps(recipe: Recipe, in_pixels: bool) -> Iterator[str]:
    height, width = recipe.size or (0, 0)
    slices = f" and {recipe.slices} slices" if recipe.slices else ""
    if grid := _new_grid(recipe, slices, in_pixels):
        by = INTERPOLATIONS[recipe.image_interpolation]
        yield f"resample once, over the same extent, to {grid}, by {by}; {POSITIONS}"
    if in_pixels:
        yield f"swap rows and columns, and reverse both: {ROTATED}"
    else:
        _, rows, columns = IN_PLANE[str(recipe.axis)]
        yield (
            "flip and swap axes until the voxels are in the order nearest to RAS+ (x to the right, y to the front, z "
            "to the top of the patient)"
        )
        yield f"take {recipe.axis} slices: the row index runs along {rows}, the column index along {columns}"
    yield f"pad to {height}×{width} pixels{slices}, centred (the odd pixel at the end), with the values noted"


def _new_grid(recipe: Recipe, slices: str, in_pixels: bool) -> str:
    """The new grid in words; empty if the image is not resampled."""
    height, width = recipe.size or (0, 0)
    _, rows, columns = IN_PLANE[str(recipe.axis)]
    # Axes that become the rows and the columns of a slice.
    along = ("columns of the image", "rows of it") if in_pixels else (f"voxels along {rows}", f"along {columns}")
    if recipe.fit == "stretch":
        return f"{height} {along[0]}, {width} {along[1]}{slices}"
    names = ("its width", "its height", "its depth") if in_pixels else ("x", "y", "z")
    unit = "pixels" if in_pixels else "mm"
    spacings = zip(names, [] if isinstance(recipe.spacing_mm, str) else recipe.spacing_mm, strict=False)
    spacing = ", ".join(f"about {step:g} {unit} along {name}" for name, step in spacings if step)
    numbers = f"the number of voxels of {spacing}, {ROUNDED}" if spacing else ""
    if recipe.fit != "resize":
        return numbers
    alike = "rows and columns" if in_pixels else f"the numbers of voxels along {rows} and {columns}"
    scaled = f"{alike} scaled alike until they fit {height} {along[0]} and {width} {along[1]}, {ROUNDED}"
    return f"{numbers}, then {scaled}" if numbers else scaled


def _steps_back(recipe: Recipe, in_pixels: bool) -> Iterator[str]:
    yield "cut off the padding"
    if in_pixels:
        yield f"reverse rows and columns, and swap them, the reverse of the step before padding: {ROTATED}"
    else:
        across, rows, columns = IN_PLANE[str(recipe.axis)]
        yield f"stack the slices in order: they run along {across}, rows along {rows}, columns along {columns}"
        yield "flip and swap axes back to the order in which the scan is stored"
    cropped = ", cropped to the box" if recipe.cropped_to else ""
    if _new_grid(recipe, "", in_pixels):
        yield (
            f"resample every channel of the output to the voxels that the image had{cropped}, by "
            f"{INTERPOLATIONS['linear']}; {POSITIONS}"
        )
    yield "decide the value of every voxel, as the output's decision says"
    if recipe.cropped_to:
        yield "put the values at the place of the box, into zeros of the image's shape"
    if not in_pixels:
        yield "keep the scan's own affine"
