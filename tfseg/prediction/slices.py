"""From a network and a prepared case to probabilities, labels and a volume on the scan's grid."""

from collections.abc import Iterable, Iterator

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.prediction.forward import Forward
from tfseg.preparation.label_maps import to_values
from tfseg.preparation.resampling import linear
from tfseg.preparation.scan import restore_label
from tfseg.prepared.prepared import PreparedCase
from tfseg.prepared.stored import Slices
from tfseg.prepared.targets import Targets


def predict_slices(forward: Forward, image: Slices, batch_size: int) -> Array:
    """Return the probabilities float32 `[slice, h, w, classes]` of slices `[slice, h, w, channels]`."""
    starts = range(0, len(image), batch_size)
    return np.concatenate([forward(np.ascontiguousarray(image[s : s + batch_size])) for s in starts])


def predict_cases(
    forward: Forward, cases: Iterable[PreparedCase], batch_size: int
) -> Iterator[tuple[PreparedCase, Array]]:
    """Yield each case with its probabilities `[slice, h, w, classes]`, one case in memory at a time."""
    for case in cases:
        yield case, predict_slices(forward, case.image, batch_size)


def label_volume(probabilities: Array, case: PreparedCase, targets: Targets) -> Array:
    """Turn a case's probabilities into label values on its scan's own grid.

    Where the scan was resampled, probabilities are interpolated linearly before classes are decided; what was
    cropped off is background.
    """
    grid = case.grid
    if grid.resampled is None:
        return restore_label(targets.decide(probabilities), grid, targets.labels)
    on_grid = grid.from_slices(probabilities, fill=targets.background, resample=linear)
    return to_values(targets.decide(on_grid), targets.labels)
