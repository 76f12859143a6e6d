"""Count lesions: the connected components of two masks, detected, missed and false."""

from typing import NamedTuple

import numpy as np

from tfseg.core import geometry


class Lesions(NamedTuple):
    """Lesions of the truth, how many of them are detected, and predicted components that touch none."""

    truth: int
    detected: int
    false: int

    @property
    def missed(self) -> int:
        """Lesions of the truth that are not detected."""
        return self.truth - self.detected


def count_lesions(truth: geometry.Mask, prediction: geometry.Mask, min_overlap: float = 0.0) -> Lesions:
    """Count lesions: components whose voxels touch by a face, an edge or a corner (26 neighbours, 8 in 2D).

    A lesion of the truth is detected if the prediction covers at least one of its voxels, and at least the fraction
    `min_overlap` of them. A component of the prediction is false if it covers no voxel of the truth, whatever
    `min_overlap` is. Several detected lesions may lie under one predicted component, and the reverse.

    With the default, one voxel is enough, as in ISLES'22 and ATLAS. The WMH challenge also detects by one voxel, but
    divides the detected lesions by all predicted components for its precision. BraTS 2023 joins truth lesions that a
    dilation joins, drops small ones, and gives Dice and HD95 per lesion instead of counts. BONBID-HIE counts no
    lesions.

    Args:
        truth, prediction: boolean `[*spatial]` of one shape, 2D or 3D.
        min_overlap: fraction of a lesion's voxels, 0 to 1.

    Raises:
        ValueError: a fraction below 0 or above 1.

    Source: Hernandez Petzsche 2022, 10.1038/s41597-022-01875-5 (ISLES'22; github.com/ezequieldlrosa/isles22);
        Kuijf 2019, 10.1109/TMI.2019.2905770 (WMH); github.com/rachitsaluja/BraTS-2023-Metrics.

    >>> truth, prediction = np.array([[1, 0, 1, 1]], bool), np.array([[0, 0, 0, 1]], bool)
    >>> count_lesions(truth, prediction)
    Lesions(truth=2, detected=1, false=0)
    >>> count_lesions(truth, prediction, min_overlap=0.6).detected
    0
    """
    if not 0 <= min_overlap <= 1:
        raise ValueError(f"min_overlap: expected a fraction of 0 to 1, received {min_overlap}")
    truth_components, truth_voxels = geometry.components(truth)
    prediction_components, prediction_voxels = geometry.components(prediction)
    covered = np.bincount(truth_components[prediction], minlength=truth_voxels.size)[1:]
    touching = np.bincount(prediction_components[truth], minlength=prediction_voxels.size)[1:]
    detected = (covered > 0) & (covered / truth_voxels[1:] >= min_overlap)
    return Lesions(covered.size, int(np.count_nonzero(detected)), int(np.count_nonzero(touching == 0)))


def lesion_f1(lesions: Lesions) -> float:
    """F1 of the lesions, `2·detected / (2·detected + missed + false)`, 0 to 1.

    No lesion in truth and prediction: NaN (ISLES'22 gives 1). None in one of them: 0.
    Source: Hernandez Petzsche 2022, 10.1038/s41597-022-01875-5.

    >>> lesion_f1(Lesions(truth=3, detected=2, false=1))
    0.6666666666666666
    """
    total = 2 * lesions.detected + lesions.missed + lesions.false
    return 2 * lesions.detected / total if total else float("nan")
