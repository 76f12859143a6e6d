"""Decide how often each axis of an image is halved."""

from collections.abc import Sequence

SHORTEST = 4  # an axis is halved while it has at least so many voxels
FINER = 2.0  # an axis is halved while its spacing is less than this times that of the finest axis


def pooling_factors(size: Sequence[int], spacing_mm: Sequence[float], depth: int) -> tuple[tuple[int, ...], ...]:
    """Return the factor, 1 or 2, of each down-sampling along each axis.

    An axis that is coarse waits until the others are about as coarse, and a short one is left alone, so that few thick
    slices are halved less often than rows and columns. If every axis is short, those that are fine enough are halved
    anyway, since `depth` is given.

    Args:
        size: voxels along each axis.
        spacing_mm: of the axes, in the same order.
        depth: number of down-samplings.

    Example:
        >>> pooling_factors((12, 256, 256), (5.0, 0.8, 0.8), depth=4)
        ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))

    Source: after the anisotropic pooling of nnU-Net (Isensee 2021, 10.1038/s41592-020-01008-z), which halves an axis
    while it has 8 voxels, and chooses the depth too.
    """
    lengths, spacings = list(map(float, size)), list(spacing_mm)
    factors = []
    for _ in range(depth):
        long = [length >= SHORTEST for length in lengths]
        candidates = long if any(long) else [length > 1 for length in lengths]
        finest = min((spacing for spacing, halved in zip(spacings, candidates, strict=True) if halved), default=0.0)
        level = tuple(
            2 if halved and spacing < FINER * finest else 1
            for spacing, halved in zip(spacings, candidates, strict=True)
        )
        factors.append(level)
        lengths = [length / factor for length, factor in zip(lengths, level, strict=True)]
        spacings = [spacing * factor for spacing, factor in zip(spacings, level, strict=True)]
    return tuple(factors)
