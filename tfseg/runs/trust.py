"""Measure how far a trained network's probabilities can be trusted, as a configuration asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras

from tfseg.config.config import Config
from tfseg.core.errors import ConfigError
from tfseg.datasets.grids import Array
from tfseg.datasets.splits import Split
from tfseg.evaluation.temperature import validation_temperature
from tfseg.evaluation.uncertainty import Measured, Probabilities, measure_uncertainty
from tfseg.prediction.choice import make_predictor
from tfseg.prediction.dropout import dropout_passes, has_dropout
from tfseg.prediction.forward import Forward
from tfseg.prediction.moments import Moments
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.sampling import sampling_predictor
from tfseg.prediction.temperature import Temperature
from tfseg.prepared.inputs import input_shape
from tfseg.prepared.prepared import Prepared, PreparedCase
from tfseg.prepared.stored import Slices
from tfseg.training.network import make_network

MAPS, CURVES = "uncertainty", "curves.csv"


def check_uncertainty(config: Config, prepared: Prepared, split: Split) -> None:
    """Refuse what could not be measured once the network is trained.

    Raises:
        ConfigError: a temperature per class with one validation subject, or passes of a network without dropout.
    """
    asked = config.uncertainty
    if asked is None:
        return
    if asked.temperature == "per_class" and len(split.val) < 2:
        raise ConfigError(
            "uncertainty.temperature: per_class needs at least 2 validation subjects in every fold, received "
            f"{len(split.val)}; one temperature for all channels (one) needs 1"
        )
    if asked.samples is not None:
        network = make_network(config.model, input_shape(config.training.input, prepared), prepared.targets, False)
        if not has_dropout(network):
            raise ConfigError(
                "uncertainty.samples: the network has no dropout, so every pass would be the same; set model.dropout, "
                "or leave samples out: networks of several seeds show uncertainty without dropout"
            )


def fitted_temperature(config: Config, predictor: Predictor, prepared: Prepared, split: Split) -> Temperature | None:
    """Fit a network's temperature on its validation subjects; None if the configuration asks for none."""
    if config.uncertainty is None or config.uncertainty.temperature == "none":
        return None
    per_class = config.uncertainty.temperature == "per_class"
    return validation_temperature(predictor, prepared.targets, prepared.cases_of(split.val), per_class)


def measure_network(
    config: Config,
    network: keras.Model,
    predictor: Predictor,
    temperature: Temperature | None,
    prepared: Prepared,
    split: Split,
    seed: int,
    out: Path,
) -> Measured | None:
    """Measure a network on its test subjects, and write maps of its entropy; None if the configuration asks for none.

    Args:
        config: what to measure.
        network: trained.
        predictor: of the network.
        temperature: of the network, or None.
        prepared: the prepared folder.
        split: whose test subjects.
        seed: of the dropout passes.
        out: folder of the network.
    """
    asked = config.uncertainty
    if asked is None:
        return None
    drawn = None if asked.samples is None else _Draws(config, network, prepared, asked.samples, seed).mean_of
    sources = Probabilities(predictor, drawn, temperature)
    return measure_uncertainty(sources, prepared, prepared.cases_of(split.test), asked.band_mm, out / MAPS)


class _Draws:
    """Dropout passes of a network, compiled once."""

    def __init__(self, config: Config, network: keras.Model, prepared: Prepared, samples: int, seed: int) -> None:
        targets = prepared.targets
        self._moments = Moments(targets.channels, targets.activation)
        self._passes = self._moments.of_passes(dropout_passes(network))
        self._config, self._prepared, self._samples, self._seed = config.training, prepared, samples, seed

    def mean_of(self, case: PreparedCase) -> Predictor:
        """Return a predictor of the mean over the passes of a case."""
        moments = sampling_predictor(
            [self._passes], self._moments, self._make, case.name, self._samples, self._seed, self._config.batch_size
        )
        return _Mean(moments, self._prepared.targets.channels)

    def _make(self, forward: Forward) -> Predictor:
        return make_predictor(forward, self._config, self._prepared)


@dataclass(frozen=True)
class _Mean:
    """The mean probabilities, which are the first of the moments."""

    moments: Predictor
    channels: int

    def blocks(self, image: Slices) -> Iterator[Array]:
        for block in self.moments.blocks(image):
            yield block[..., : self.channels]
