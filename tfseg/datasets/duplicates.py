"""Find the same voxels under two subjects, and images that are their own label map."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import nibabel as nib
import numpy as np

from tfseg.core.errors import DataError
from tfseg.datasets.grids import Array, Volume
from tfseg.datasets.layouts import Case


class Shared(NamedTuple):
    """A case whose voxels another case of another subject has too, and a line that says so."""

    case: Case
    message: str


def digests_of(image: Volume) -> tuple[str, ...]:
    """Return a digest of each channel's voxels, whatever the order in which they are stored; "" if all are equal.

    Args:
        image: `[x, y, z, channels]`.
    """
    orientation = nib.orientations.io_orientation(image.affine)
    canonical = nib.orientations.apply_orientation(image.array, orientation)
    return tuple(_digest(canonical[..., index]) for index in range(canonical.shape[3]))


def shared_voxels(cases: Iterable[tuple[Case, Sequence[str]]]) -> list[Shared]:
    """Find the cases that have a channel in common with an earlier case of another subject.

    Args:
        cases: with the digests of their channels.
    """
    first: dict[str, Case] = {}
    found = []
    for case, digests in cases:
        known = [first.setdefault(digest, case) for digest in digests if digest]
        others = [other for other in known if other.subject != case.subject]
        if others:
            other = others[0]
            found.append(
                Shared(
                    case,
                    f"{case.images[0]}: the same voxels as {other.images[0]}, of another subject ({case.subject}, "
                    f"{other.subject}); train and test may not share a scan: remove one, or give both one subject",
                )
            )
    return found


def check_not_label(case: Case, image: Array, label: Array) -> None:
    """Refuse an image that is its own label map, whatever value it has for the structures.

    Args:
        case: whose image it is.
        image: `[x, y, z, channels]`.
        label: values `[x, y, z]`, stored in the order of the image.

    Raises:
        DataError: if a channel is the label map, or a multiple of it.
    """
    highest = label.max()
    if highest <= 0:
        return
    some = tuple(slice(None, None, max(1, length // 16)) for length in label.shape)
    for channel in np.moveaxis(image, 3, 0):
        scale = channel.max() / highest
        parts = ((channel[part], scale * label[part]) for part in (some, ...))  # a few voxels are enough for most
        if scale > 0 and all(np.allclose(own, expected, 1e-6, 1e-3 * scale) for own, expected in parts):
            raise DataError(f"{case.images[0]}: the image is its label map, {case.label_file.name}")


def _digest(channel: Array) -> str:
    if channel.min() == channel.max():
        return ""
    order = np.asfortranarray(channel, np.float32)
    shape = "x".join(map(str, channel.shape))
    return f"{shape} {hashlib.blake2b(order.T.data, digest_size=16).hexdigest()}"
