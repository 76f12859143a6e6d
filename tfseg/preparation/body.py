"""Find the body or the brain: in the image, in a given mask, or by another program."""

import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfseg.core.errors import DataError
from tfseg.core.geometry import Mask, fill_holes, largest_component, single_slice_axis
from tfseg.datasets.formats import read_image
from tfseg.datasets.grids import Array, Volume, same_grid, stored_like
from tfseg.datasets.volume import write_volume
from tfseg.preparation.skull_strip import skull_strip
from tfseg.preparation.steps import Recipe

# Air fills at least this share of the outermost planes on both sides of a body, along some axis.
AIR_SHARE = 0.85
# Most voxels along an axis on which air is looked for, and on which a body is counted.
AIR_GRID, BODY_GRID = 16, 128


def find_body(channel: Array, spacing_mm: Sequence[float]) -> Mask:
    """Return the largest region brighter than air, by Otsu's threshold, with its holes filled.

    Args:
        channel: `[i, j, k]`; a single slice is searched in 2D.
        spacing_mm: voxel size along each axis.

    Raises:
        DataError: if every voxel has the same value.
    """
    if channel.min() == channel.max():
        raise DataError(f"every voxel has the value {channel.flat[0]:g}: there is no body to find")
    return _in_its_dimensions(lambda image, _: fill_holes(largest_component(_bright(image))), channel, spacing_mm)


def count_body_in_air(channel: Array, spacing_mm: Sequence[float]) -> int | None:
    """Count the voxels of a body in air, or on a background of one value other than 0; None if there is neither.

    The body is counted on at most 128 voxels along an axis, spread evenly.

    Args:
        channel: `[i, j, k]`.
        spacing_mm: voxel size along each axis.
    """
    ground = channel[0, 0, 0]
    if all((face == ground).all() for pair in _faces(channel) for face in pair):
        return int(np.count_nonzero(channel != ground)) if ground else None
    thinned = _thinned(channel, BODY_GRID)
    few = _thinned(thinned, AIR_GRID)
    if few.min() == few.max():
        return None
    bright = _above_otsu(few)
    if not any(all((~face).mean() >= AIR_SHARE for face in pair) for pair in _faces(bright)):
        return None
    body = find_body(thinned, np.multiply(spacing_mm, np.divide(channel.shape, thinned.shape)).tolist())
    return round(np.count_nonzero(body) * channel.size / thinned.size)


def find_brain(image: Volume, recipe: Recipe) -> Mask:
    """Return the brain in `[i, j, k, channels]`, by region or by the recipe's command.

    Raises:
        DataError: if there is no brain in it, or the command fails.
    """
    channel = image.array[..., recipe.skull_strip_channel]
    if recipe.skull_strip_command:
        return run_command(recipe.skull_strip_command, Volume(channel, image.affine))
    return _in_its_dimensions(skull_strip, channel, image.spacing_mm)


def read_mask(path: Path, image: Volume) -> Mask:
    """Read a mask: the voxels above 0 of a volume on the image's grid, in whatever order it is stored.

    Raises:
        DataError: if it cannot be read, is on another grid, or is empty.
    """
    mask = stored_like(read_image(path), image.affine)
    inside = mask.array[..., 0] > 0
    shape = image.array.shape[:3]
    if inside.shape != shape or not same_grid(shape, image.affine, mask.affine):
        raise DataError(f"{path}: the mask's grid, {inside.shape}, is not that of its image, {shape}")
    if not inside.any():
        raise DataError(f"{path}: the mask is empty")
    return inside


def run_command(command: str, image: Volume) -> Mask:
    """Run a program that writes a brain mask, or the brain on a background of 0; no shell is involved.

    Args:
        command: words as on a command line, with {image} for the file to read and {mask} for the file to write.
        image: what the program reads, `[x, y, z]`.

    Raises:
        DataError: if the program does not exist, fails, or writes no mask on the image's grid.
    """
    with tempfile.TemporaryDirectory(prefix="tfseg-") as folder:
        paths = {"{image}": Path(folder) / "image.nii.gz", "{mask}": Path(folder) / "mask.nii.gz"}
        write_volume(paths["{image}"], image.array, image.affine)
        words = shlex.split(command)
        for place, path in paths.items():
            words = [word.replace(place, str(path)) for word in words]
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        except OSError as error:
            raise DataError(f"skull_strip_command: {words[0]} cannot be run: {error.strerror}") from error
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
            raise DataError(f"skull_strip_command: {words[0]} failed with exit code {done.returncode}: {reason}")
        if not paths["{mask}"].is_file():
            raise DataError(f"skull_strip_command: {words[0]} wrote no file at {{mask}}")
        try:
            return read_mask(paths["{mask}"], image)
        except DataError as error:
            reason = str(error).removeprefix(f"{paths['{mask}']}: ")
            raise DataError(f"skull_strip_command: {words[0]} wrote no mask at {{mask}}: {reason}") from error


def _faces(volume: Array) -> list[tuple[Array, Array]]:
    """The first and the last plane along every axis of more than one voxel."""
    planes = (np.moveaxis(volume, axis, 0) for axis in range(3) if volume.shape[axis] > 1)
    return [(each[0], each[-1]) for each in planes]


def _thinned(volume: Array, most: int) -> Array:
    """At most so many voxels along each axis, spread evenly from the first to the last."""
    if max(volume.shape) <= most:
        return volume
    kept = (np.linspace(0, voxels - 1, min(voxels, most)).round().astype(int) for voxels in volume.shape)
    return volume[np.ix_(*kept)]


def _bright(image: Array) -> Mask:
    from scipy import ndimage

    return _above_otsu(ndimage.gaussian_filter(image.astype(np.float32, copy=False), 1))


def _above_otsu(image: Array) -> Mask:
    """Voxels brighter than Otsu's threshold; relative to the least value, so that float32 is precise enough."""
    from skimage.filters import threshold_otsu

    above_least = image - image.min()
    bright: Mask = above_least > threshold_otsu(above_least.ravel())
    return bright


def _in_its_dimensions(
    find: Callable[[Array, Sequence[float]], Mask], channel: Array, spacing_mm: Sequence[float]
) -> Mask:
    """Find a mask of `[i, j, k]`; of a single slice, in 2D."""
    axis = single_slice_axis(channel.shape)
    if axis is None:
        return find(channel, spacing_mm)
    return np.expand_dims(find(channel.squeeze(axis), np.delete(spacing_mm, axis).tolist()), axis)
