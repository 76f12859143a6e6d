"""Make the network of a configuration, and check that it keeps the contract that a training relies on."""

from typing import Any

import keras
import numpy as np

from tfseg.config.model import ImportedModelConfig, NetworkConfig
from tfseg.core.errors import ConfigError
from tfseg.models import MODELS
from tfseg.models.imported import build_imported, module_digest
from tfseg.prepared.supervision import is_reduced
from tfseg.prepared.targets import Targets

SUM_TOLERANCE = 1e-2  # of softmax probabilities, which may be computed in half precision


def make_network(
    model: NetworkConfig, image_shape: tuple[int, ...], targets: Targets, synchronized: bool = False
) -> keras.Model:
    """Make a network from `image` to probabilities `[batch, *spatial, classes]`, or to a list of them.

    Args:
        model: which network.
        image_shape: `(*spatial, channels)`.
        targets: what its channels mean.
        synchronized: share batch statistics between replicas; imported networks decide for themselves.

    Raises:
        ConfigError: if the network does not take such images, or has other outputs than it should.
    """
    if isinstance(model, ImportedModelConfig):
        network = build_imported(model.import_, image_shape, targets.channels, model.settings)
        _check_outputs(model, network, targets.channels)
        return network
    settings = model.model_dump(exclude={"name"})
    settings |= {"output_activation": targets.activation, "synchronized": synchronized}
    try:
        return MODELS[model.name](image_shape, targets.channels, **settings)
    except ValueError as error:
        raise ConfigError(f"model: {error}") from error


def check_network(model: NetworkConfig, image_shape: tuple[int, ...], targets: Targets) -> None:
    """Make the network once, and run one that is imported on noise, before anything trains.

    Raises:
        ConfigError: as `make_network`, or if outputs are no probabilities.
    """
    network = make_network(model, image_shape, targets)
    if not isinstance(model, ImportedModelConfig):
        return
    image = np.random.default_rng(0).normal(size=(1, *image_shape)).astype(np.float32)
    for output in keras.tree.flatten(network(image, training=False)):
        values = np.asarray(output)
        received = f"received values from {values.min():.3g} to {values.max():.3g}"
        if not (values.min() >= 0 and values.max() <= 1):
            raise ConfigError(
                f"model.import: expected probabilities between 0 and 1 from {model.import_}, {received}; "
                f"end the network with a {targets.activation}"
            )
        sums = values.sum(axis=-1)
        if targets.activation == "softmax" and not np.allclose(sums, 1, atol=SUM_TOLERANCE):
            raise ConfigError(
                f"model.import: expected probabilities of {targets.channels} classes that sum to 1 from "
                f"{model.import_}, received sums from {sums.min():.3g} to {sums.max():.3g}"
            )


def record_of(model: NetworkConfig, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """Return what `load_network` rebuilds an imported network from, and the hash of its code; nothing for others.

    Raises:
        ConfigError: if there is no such function.
    """
    if not isinstance(model, ImportedModelConfig):
        return {}
    code = {"import": model.import_, "sha256": module_digest(model.import_)}
    return {**code, "image_shape": image_shape, "classes": classes, "settings": model.settings}


def supervision_weights(outputs: int) -> list[float]:
    """Return the weights of the losses of a network's outputs, `a_j = 2^-(j-1) / Σ_i 2^-(i-1)`, j = 1 the full size.

    >>> supervision_weights(1), [round(weight, 3) for weight in supervision_weights(3)]
    ([1.0], [0.571, 0.286, 0.143])

    Source: Isensee 2021 (10.1038/s41592-020-01008-z), He 2024 (10.3390/bioengineering11050427).
    """
    total = sum(2.0**-level for level in range(outputs))
    return [2.0**-level / total for level in range(outputs)]


def _check_outputs(model: ImportedModelConfig, network: keras.Model, classes: int) -> None:
    """Refuse a number of outputs other than the configured one, and sizes that are not the image's, reduced."""
    shapes = [tuple(output.shape[1:]) for output in network.outputs]
    if len(shapes) != model.deep_supervision:
        raise ConfigError(
            f"model.import: expected {model.deep_supervision} output{'s' * (model.deep_supervision > 1)} from "
            f"{model.import_}, received {len(shapes)}; model.deep_supervision is the number of outputs"
        )
    size = network.input_shape[1:-1]
    for number, (*coarse, channels) in enumerate(shapes):
        if channels != classes or not (is_reduced(size, coarse) if number else tuple(coarse) == size):
            expected = f"{classes} classes at a whole part of the image's size" if number else f"{(*size, classes)}"
            raise ConfigError(
                f"model.import: expected {expected} from output {number} of {model.import_}, received {shapes[number]}"
            )
