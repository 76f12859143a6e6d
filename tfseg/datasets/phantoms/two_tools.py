"""A synthetic T1 of a healthy head with the label maps of two tools, which err in ways of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tfseg.datasets.phantoms.head import TISSUES, head
from tfseg.datasets.phantoms.shapes import Array

LABELS = {value: TISSUES[value] for value in (1, 2, 3)}  # of the first tool: skin, skull, CSF
CHANNELS = ("T1",)

_SKIN, _SKULL, _FLUID, _GREY, _WHITE = TISSUES


def two_tools(
    rng: np.random.Generator, size: int
) -> tuple[Array, NDArray[np.uint8], NDArray[np.float64], NDArray[np.uint8]]:
    """One subject: T1 [x, y, z, 1], the first tool's labels [x, y, z], affine (RAS+), the second tool's labels.

    The first tool knows no brain, and leaves islands of skull in the scalp and of skin in the air. The second knows
    only what is inside the skull (1 CSF, 2 grey and 3 white matter), and smooths its borders.
    """
    image, truth, affine = head(rng, size, tumour_chance=0)
    first = np.where(truth <= _FLUID, truth, 0).astype(np.uint8)
    for tissue, place in ((_SKULL, truth == _SKIN), (_SKIN, truth == 0)):
        voxels = np.argwhere(ndimage.binary_erosion(place))
        for corner in voxels[rng.choice(len(voxels), size=min(4, len(voxels)), replace=False)]:
            first[tuple(slice(at, at + 2) for at in corner)] = tissue
    inside = np.select([truth == _FLUID, truth == _GREY, truth == _WHITE], [1, 2, 3]).astype(np.uint8)
    smooth = ndimage.median_filter(inside, size=(3, 3, 1))
    return image[..., :1], first, affine, smooth
