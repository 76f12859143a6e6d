"""Estimate the memory that the prediction of a scan needs, and fit the work to what there is."""

import math

from tfseg.datasets.grids import Header
from tfseg.prediction.description import Description

FLOAT = 4
# Values that a network holds at a time for each pixel of a batch; a U-Net of 16 filters has about half of them.
ACTIVATIONS = 128


def peak_bytes(header: Header, description: Description, batch_size: int, measures: int = 0) -> int:
    """Estimate the peak memory of reading, preparing and predicting one scan, beside that of the process itself.

    Args:
        header: of the scan.
        description: of the network.
        batch_size: slices or windows that are predicted at a time.
        measures: values of each voxel that are predicted beside its probabilities.
    """
    voxels, channels = math.prod(header.shape), header.channels
    height, width = description.recipe.size or (0, 0)
    # A scan is read, and each channel is filtered, scaled and resampled beside it.
    preparing = voxels * (FLOAT * channels + 3 * FLOAT + 1) + FLOAT * voxels * channels
    classes = description.targets.channels + measures
    inputs = batch_size * math.prod(description.shape)
    depth = batch_size if description.by_slices else description.shape[0]
    # The network's activations, and a block of probabilities while it is resampled, decided or averaged.
    blocks = FLOAT * (inputs * (ACTIVATIONS + classes) + 4 * depth * height * width * classes)
    predicting = voxels * (FLOAT * channels + 2) + blocks
    return max(preparing, predicting)


def fitted_batch(header: Header, description: Description, available_bytes: int, measures: int = 0) -> int:
    """Return the slices to predict at a time: those of training, or fewer if memory is short."""
    batch_size = description.batch_size
    while batch_size > 1 and peak_bytes(header, description, batch_size, measures) > available_bytes:
        batch_size //= 2
    return batch_size
