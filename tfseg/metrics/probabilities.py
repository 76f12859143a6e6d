"""Score the probabilities of one label on one case: calibration, uncertainty, and the errors that it finds."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfseg.core.geometry import Mask
from tfseg.metrics import calibration, error_detection, retention
from tfseg.metrics.places import BAND_MM, PLACES, border_band
from tfseg.metrics.ranked import Array

CALIBRATION: Mapping[str, Callable[[NDArray, NDArray], float]] = {
    "ece": calibration.expected_calibration_error,
    "ace": calibration.adaptive_calibration_error,
    "brier": calibration.brier_score,
    "nll": calibration.negative_log_likelihood,
}
ENTROPY_BINS = 20  # of a histogram of entropies, from 0 to ln 2
CONFIDENCE_BINS = 20  # of a histogram of probabilities, from 0 to 1


class Label(NamedTuple):
    """One label on one case, over the voxels that count, `[n]` each; `entropy` is that of the probability."""

    probability: NDArray
    entropy: NDArray
    truth: Mask
    prediction: Mask
    band: Mask

    @classmethod
    def of(
        cls,
        probability: NDArray,
        truth: Mask,
        prediction: Mask,
        spacing_mm: Sequence[float],
        band_mm: float = BAND_MM,
        counted: Mask | None = None,
    ) -> "Label":
        """Keep the voxels that count.

        Args:
            probability: of the label, `[*spatial]` in [0, 1].
            truth, prediction: boolean `[*spatial]`.
            spacing_mm: distance between voxel centres along each axis.
            band_mm: width of the band on either side of the truth's border.
            counted: boolean `[*spatial]`; all voxels if None.

        Raises:
            ValueError: as `border_band`.
        """
        band = border_band(truth, spacing_mm, band_mm)
        kept: tuple[NDArray, ...] = tuple(
            part.ravel() if counted is None else part[counted] for part in (probability, truth, prediction, band)
        )
        return cls(kept[0], error_detection.binary_entropy(kept[0]), *kept[1:])

    def at(self, place: str) -> tuple[NDArray, Mask]:
        """Return the probabilities and the truths of one of `PLACES`."""
        if place == "volume":
            return self.probability, self.truth
        where = self.band if place == "band" else self.truth | self.prediction
        return self.probability[where], self.truth[where]


class Curves(NamedTuple):
    """Curves of one label on one case for figures: counts `[bins]` in the band, and the retention curve `[points]`.

    `reliability` has bins of probability; `entropy` counts voxels by entropy, `right` and `wrong` by probability.
    """

    reliability: calibration.Reliability
    retention: Array
    entropy: Array
    right: Array
    wrong: Array


def calibration_scores(label: Label) -> dict[str, float]:
    """Return `ece`, `ace`, `brier` and `nll`, each as `NAME_volume`, `NAME_foreground` and `NAME_band`.

    The foreground is where truth or prediction have the label. Most of a volume is background that no network gets
    wrong, so errors are small there. NaN if there is no such voxel.

    >>> probability = np.array([[0.1, 0.8, 0.6]], np.float32)
    >>> label = Label.of(probability, np.array([[False, True, True]]), probability > 0.5, spacing_mm=(1, 1))
    >>> round(calibration_scores(label)["brier_foreground"], 2)
    0.1
    """
    places = {place: label.at(place) for place in PLACES}
    return {f"{name}_{place}": score(*at) for name, score in CALIBRATION.items() for place, at in places.items()}


def uncertainty_scores(label: Label, curve: Array) -> dict[str, float]:
    """Return study K's columns, the uncertainty per voxel of the label's size, and how well entropy finds errors.

    `entropy_mean`, `entropy_sd`, `probability_mean`, `probability_sd`: over all voxels (Kethavath 2025,
    10.1088/2057-1976/ae2b73); `uncertainty`: as `uncertainty_per_voxel`; `error_auroc`, `error_aupr`: of entropy
    against wrong voxels in the band; `retention_dice`: the area under the retention curve. The functions in
    `tfseg.metrics.error_detection` and `tfseg.metrics.retention` define each.

    Args:
        label: on one case.
        curve: its retention curve, as `curves` returns it.
    """
    entropy = label.entropy
    wrong = (label.truth != label.prediction)[label.band]
    return {
        "entropy_mean": float(entropy.mean(dtype=np.float64)),
        "entropy_sd": float(entropy.std(dtype=np.float64)),
        "probability_mean": float(label.probability.mean(dtype=np.float64)),
        "probability_sd": float(label.probability.std(dtype=np.float64)),
        "uncertainty": error_detection.uncertainty_per_voxel(entropy, label.probability),
        "error_auroc": error_detection.auroc(entropy[label.band], wrong),
        "error_aupr": error_detection.aupr(entropy[label.band], wrong),
        "retention_dice": retention.retention_dice(curve),
    }


def curves(label: Label) -> Curves:
    """Return what figures show of a label."""
    probability, truth = label.at("band")
    wrong = (label.truth != label.prediction)[label.band]
    by_entropy, _ = np.histogram(label.entropy[label.band], ENTROPY_BINS, (0, float(np.log(2))))
    right, missed = (np.histogram(probability[which], CONFIDENCE_BINS, (0, 1))[0] for which in (~wrong, wrong))
    return Curves(
        calibration.reliability(probability, truth),
        retention.retention_curve(label.entropy, label.truth, label.prediction),
        by_entropy.astype(float),
        right.astype(float),
        missed.astype(float),
    )
