"""Estimate the memory that the prediction of a scan needs, and fit the work to what there is."""

import math
from collections.abc import Callable

from tfseg.datasets.grids import Header
from tfseg.prediction.description import Description
from tfseg.preparation.scan import make_grid

FLOAT = 4
# Values that a network holds at a time for each pixel of a batch; `unet_3d` of 16 filters has about 100.
ACTIVATIONS = 120
# Blocks that are being resampled, and what libraries hold.
SCRATCH = 2**27
# Copies of a block of probabilities: it is cut out, resampled along each axis, and decided.
BLOCK_COPIES = 3


def peak_bytes(
    header: Header, description: Description, batch_size: int, networks: int = 1, measures: int = 0, whole: int = 0
) -> int:
    """Estimate the peak memory of reading, preparing and predicting one scan, beside that of the process itself.

    Args:
        header: of the scan.
        description: of the networks.
        batch_size: slices or windows that are predicted at a time.
        networks: whose predictions are averaged.
        measures: values of each voxel that are predicted beside its probabilities.
        whole: images of probabilities that are kept whole, as flips across slices do.
    """
    grid = make_grid(header.shape, header.affine, description.recipe).grown()
    scan, channels, (slices, height, width) = math.prod(header.shape), header.channels, grid.padded_shape
    prepared = slices * height * width
    image = FLOAT * prepared * channels
    scaling = _scaling_bytes(scan, math.prod(grid.resampled or (0,))) + (image if channels > 1 else 0)
    cutting = FLOAT * (scan + prepared) + image
    preparing = scan * (FLOAT * channels + 1) + max(scaling, cutting) + SCRATCH
    values = description.targets.channels + measures
    depth = batch_size if description.by_slices else min(description.shape[0], slices)
    block = values * depth * height * width
    enlarged = scan / prepared if grid.resampled else 1
    predicting = (
        image
        + 2 * scan
        + FLOAT
        * (
            batch_size * math.prod(description.shape) * (ACTIVATIONS + values)
            + networks * block
            + BLOCK_COPIES * int(block * max(1, enlarged))
            + (whole + 1 if whole else 0) * prepared * values
        )
    )
    return max(preparing, predicting)


def _scaling_bytes(scan: int, resampled: int) -> int:
    """A channel of a scan beside copies of it: filtered, measured and scaled, or else at two stages of resampling."""
    return FLOAT * max(3 * scan, scan + max(scan, resampled) + resampled)


def fitted_batch(needs: Callable[[int], int], batch_size: int, available_bytes: int) -> int:
    """Return the images to predict at a time: as many as in training, or fewer if memory is short.

    Args:
        needs: the memory of a number of images at a time, in bytes.
        batch_size: that of training.
        available_bytes: the memory that there is.

    >>> fitted_batch(lambda images: 100 + 10 * images, batch_size=8, available_bytes=145)
    4
    """
    while batch_size > 1 and needs(batch_size) > available_bytes:
        batch_size //= 2
    return batch_size
