"""Behaviour of a loss on a small image: value and gradient on four inputs, and its course over prediction quality."""

from dataclasses import dataclass

import numpy as np
from keras import ops

from tfseg.losses.base import SegmentationLoss

SIDE, RADIUS = 32, 3
ENDS = np.array([(12.0, 6.0), (16.0, 25.0)])
SURE = (0.01, 0.98)  # probabilities of a trained network for no and yes; not symmetric, so that no errors tie
STEP = 1e-5

Array = np.ndarray


def tube(radius: float = RADIUS, shift: float = 0) -> Array:
    """A mask `[32, 32]`: the voxels within `radius` of a line, shifted sideways by `shift` voxels."""
    along = ENDS[1] - ENDS[0]
    start = ENDS[0] + shift * np.array([along[1], -along[0]]) / np.hypot(*along)
    offset = np.moveaxis(np.indices((SIDE, SIDE)), 0, -1) - start
    nearest = np.clip(offset @ along / (along @ along), 0, 1)[..., np.newaxis] * along
    return np.hypot(*np.moveaxis(offset - nearest, -1, 0)) <= radius


def four_inputs() -> dict[str, tuple[Array, Array]]:
    """Truth and prediction of each input, as masks."""
    structure = tube()
    empty = np.zeros_like(structure)
    return {
        "perfect": (structure, structure),
        "all wrong": (structure, ~structure),
        "empty truth": (empty, structure),
        "both empty": (empty, empty),
    }


@dataclass(frozen=True)
class Behaviour:
    """A loss on one input.

    Args:
        exact: the value for a prediction of 0 and 1.
        sure: the value for a prediction of 0.01 and 0.98.
        inside: dL/dp of the second, summed over the structure or, on an empty truth, over the predicted voxels;
            None if there are none.
        outside: the same, summed over all other voxels.
    """

    exact: float
    sure: float
    inside: float | None
    outside: float


def behaviour(loss_class: type[SegmentationLoss]) -> dict[str, Behaviour]:
    """The loss, with its defaults, on the four inputs."""
    return {name: _behave(loss_class, *images) for name, images in four_inputs().items()}


def _behave(loss_class: type[SegmentationLoss], truth: Array, mask: Array) -> Behaviour:
    inside = truth if truth.any() else mask
    sure = np.where(mask, SURE[1], SURE[0])
    moved = [sure + step * part for part in (inside, ~inside) for step in (STEP, -STEP)]
    exact, level, more_in, less_in, more_out, less_out = map(
        float, values_of(loss_class, [truth] * 6, [mask, sure, *moved])
    )
    slopes = (more_in - less_in) / (2 * STEP), (more_out - less_out) / (2 * STEP)
    return Behaviour(exact, level, slopes[0] if inside.any() else None, slopes[1])


def values_of(loss_class: type[SegmentationLoss], truths: list[Array], predictions: list[Array]) -> Array:
    """The loss of each pair of images `[32, 32]`, with its defaults, in float64."""
    loss = loss_class(reduction=None, dtype="float64")
    truth, prediction = (np.stack(images).astype(float)[..., np.newaxis] for images in (truths, predictions))
    return np.asarray(ops.convert_to_numpy(loss(truth, prediction)))


def courses(loss_class: type[SegmentationLoss]) -> dict[str, tuple[Array, Array]]:
    """Dice index and loss of four series of predictions that end at the tube itself.

    "shifted": the tube, shifted less and less. "too thin", "too thick": tubes of other radii. "unsure": the tube
    in its place, with a probability that rises from 0 to 1.
    """
    truth = tube().astype(float)
    series: dict[str, list[Array]] = {
        "shifted": [tube(shift=shift) for shift in np.arange(8, -0.1, -0.5)],
        "too thin": [tube(radius) for radius in (-1.0, *np.arange(0, RADIUS + 0.1, 0.25))],
        "too thick": [tube(radius) for radius in np.arange(3 * RADIUS, RADIUS - 0.1, -0.25)],
        "unsure": [probability * truth for probability in np.linspace(0, 1, 41)],
    }
    curves = {}
    for name, predictions in series.items():
        dice = np.array([2 * (image * truth).sum() / (image.sum() + truth.sum()) for image in predictions])
        curves[name] = (dice, values_of(loss_class, [truth] * len(predictions), predictions))
    return curves
