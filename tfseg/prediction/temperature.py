"""Temperature scaling: soften or sharpen a network's probabilities, by numbers fitted on its validation subjects."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.special

from tfseg.datasets.grids import Array
from tfseg.prediction.predictor import Predictor
from tfseg.prepared.stored import Slices

LEAST = 1e-7  # probabilities are clipped to this distance from 0 and 1
RANGE = (0.05, 20.0)  # of a temperature


@dataclass(frozen=True)
class Temperature:
    """Divide a network's logits by temperatures.

    `softmax(ln p / T)` for classes, `σ(logit(p) / T)` for one channel and for regions. Above 1, probabilities become
    less extreme. One temperature for all channels changes no decision; one per class may.

    Args:
        values: one for all channels, or one per channel.
        activation: of the network, "softmax" or "sigmoid".

    Source: Guo 2017, arXiv:1706.04599.
    """

    values: tuple[float, ...]
    activation: str

    def apply(self, probabilities: Array) -> Array:
        """Return the probabilities float32 `[..., channels]` after scaling.

        >>> Temperature((2.0,), "sigmoid").apply(np.array([[0.9], [0.5]])).round(2).tolist()
        [[0.75], [0.5]]
        """
        p = np.clip(probabilities, LEAST, 1 - LEAST, dtype=np.float32)
        logits = np.log(p) if self.activation == "softmax" else scipy.special.logit(p)
        scaled = logits / np.array(self.values, np.float32)
        softened: Array = (
            scipy.special.softmax(scaled, -1) if self.activation == "softmax" else scipy.special.expit(scaled)
        )
        return softened


@dataclass(frozen=True)
class CalibratedPredictor:
    """A predictor of one network whose probabilities are scaled."""

    predictor: Predictor
    temperature: Temperature

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the scaled probabilities `[slice, h, w, classes]` of one block after another."""
        for block in self.predictor.blocks(image):
            yield self.temperature.apply(block)


def fit_temperature(probabilities: Array, truth: Array, activation: str, per_class: bool) -> Temperature:
    """Fit temperatures that make the negative log-likelihood of a truth least.

    Args:
        probabilities: `[n, channels]`.
        truth: class indices `[n]` for softmax, else 0 and 1 `[n, channels]`.
        activation: of the network, "softmax" or "sigmoid".
        per_class: one temperature per channel, that is per class or region, not one for all.

    Returns:
        Temperatures of 0.05 to 20. Classes of a softmax are fitted together, regions each by itself.
    """
    channels = probabilities.shape[-1]
    if activation == "sigmoid" and per_class and channels > 1:
        each = [
            fit_temperature(probabilities[:, [place]], truth[:, [place]], activation, False).values[0]
            for place in range(channels)
        ]
        return Temperature(tuple(each), activation)
    p = np.clip(probabilities, LEAST, 1 - LEAST, dtype=np.float64)
    logits = np.log(p) if activation == "softmax" else scipy.special.logit(p)

    def cost(logarithms: Array) -> float:
        scaled = logits / np.exp(logarithms)
        if activation == "softmax":
            of_truth = np.take_along_axis(scaled, truth[:, np.newaxis].astype(np.intp), -1)[:, 0]
            return float((scipy.special.logsumexp(scaled, axis=-1) - of_truth).mean())
        return float(np.logaddexp(0, np.where(truth, -scaled, scaled)).mean())

    low, high = np.log(RANGE)
    if not per_class or channels == 1:
        found = scipy.optimize.minimize_scalar(lambda one: cost(np.array([one])), bounds=(low, high), method="bounded")
        return Temperature((float(np.exp(found.x)),), activation)
    found = scipy.optimize.minimize(cost, np.zeros(channels), bounds=[(low, high)] * channels, method="L-BFGS-B")
    return Temperature(tuple(np.exp(found.x).tolist()), activation)
