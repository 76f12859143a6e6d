"""Read a scan without label map and prepare it as a network expects it."""

from dataclasses import dataclass

from tfseg.core.errors import DataError
from tfseg.core.words import counted
from tfseg.datasets.duplicates import digests_of
from tfseg.datasets.grids import AXES, Array, canonical_shape
from tfseg.datasets.layouts import Case
from tfseg.datasets.reading import read_case_header, read_case_image
from tfseg.prediction.description import Description
from tfseg.prediction.likeness import unlike
from tfseg.preparation.scan import prepare_scan
from tfseg.preparation.slicing import SliceGrid


@dataclass(frozen=True)
class PreparedScan:
    """A scan ready for prediction.

    Args:
        image: float32 `[slice, h, w, channels]`.
        grid: between the scan's voxels and the slices.
        affine: of the scan, to RAS+ millimetres.
        digests: of the voxels of its channels, in one orientation.
        subjects: whose scan it is in the training data, if it is one of theirs; none otherwise.
        warnings: in what it is unlike the training scans.
    """

    image: Array
    grid: SliceGrid
    affine: Array
    digests: tuple[str, ...]
    subjects: frozenset[str]
    warnings: tuple[str, ...]


def read_scan(case: Case, description: Description) -> PreparedScan:
    """Read a scan and take it through the recipe that a network was trained with.

    Raises:
        DataError: if it cannot be read or prepared, or has other channels or dimensions than the training scans.
    """
    check(case, description)
    image = read_case_image(case)
    digests = digests_of(image)
    warnings = unlike(image, description.scans, description.channels)
    scan = prepare_scan(image, case, description.recipe, grow=True)
    known = (description.subjects.get(digest) for digest in digests)
    return PreparedScan(scan.slices, scan.grid, image.affine, digests, frozenset(filter(None, known)), tuple(warnings))


def check(case: Case, description: Description) -> None:
    """Refuse a scan that the recipe cannot be meant for, by its header.

    Raises:
        DataError: with what is expected and what was received.
    """
    header, path = read_case_header(case), case.images[0]
    if header.channels != len(description.channels):
        raise DataError(
            f"{path}: expected {counted(len(description.channels), 'channel')} ({', '.join(description.channels)}), "
            f"received {header.channels}"
        )
    if header.in_pixels != description.in_pixels:
        kinds = ("a scan with millimetres", "a 2D image")
        raise DataError(
            f"{path}: expected {kinds[description.in_pixels]}, as in training, received {kinds[header.in_pixels]}"
        )
    shape, axis = canonical_shape(header), str(description.recipe.axis)
    if 1 in shape and shape[AXES.index(axis)] != 1:
        raise DataError(f"{path}: a single {AXES[shape.index(1)]} slice; the network expects {axis} slices")
