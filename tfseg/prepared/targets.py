"""Define what a network's output channels mean: mutually exclusive classes, or regions that may overlap."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.preparation.label_maps import IGNORED

THRESHOLD = 0.5
_LEAST = 1e-7  # probabilities are clipped to this distance from 0 and 1


@dataclass(frozen=True)
class Targets:
    """Classes to learn: one label (sigmoid), several labels and background (softmax), or regions (a sigmoid each).

    Args:
        labels: label value → name; classes 1, 2, … are the labels in this order, 0 is background.
        regions: name → the label values that form the region; empty if the labels themselves are learnt.
    """

    labels: dict[int, str]
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Output channels of a network."""
        if self.regions:
            return len(self.regions)
        return 1 if len(self.labels) == 1 else len(self.labels) + 1

    @property
    def activation(self) -> str:
        """The activation that turns outputs into probabilities, "softmax" or "sigmoid"."""
        return "softmax" if self.channels > 1 and not self.regions else "sigmoid"

    @property
    def scored(self) -> dict[str, tuple[int, ...]]:
        """Name → label values of everything that is scored: the regions if there are any, else the labels."""
        return self.regions or {name: (value,) for value, name in self.labels.items()}

    @property
    def members(self) -> Array:
        """Whether a class belongs to a scored label or region, bool `[1 + labels, scored]`."""
        values = (0, *self.labels)
        return np.array([[value in union for union in self.scored.values()] for value in values])

    @property
    def scored_channels(self) -> range:
        """The channel of each scored label or region, in order: the background of a softmax is none."""
        return range(int(self.activation == "softmax"), self.channels)

    @cached_property
    def _channels_of(self) -> Array:
        """The truth's channels for every class index, including `IGNORED`, uint8 `[256, regions]`."""
        table = np.zeros((IGNORED + 1, len(self.regions)), np.uint8)
        table[: 1 + len(self.labels)] = self.members
        table[IGNORED] = IGNORED
        return table

    def encode(self, classes: Array) -> Array:
        """Turn class indices uint8 `[...]` into the truth for losses: classes `[..., 1]`, or 0 and 1 `[..., regions]`.

        >>> Targets({1: "oedema", 4: "core"}, {"whole": (1, 4), "core": (4,)}).encode(np.uint8([0, 1, 2])).tolist()
        [[0, 0], [1, 0], [1, 1]]
        """
        return self._channels_of[classes] if self.regions else np.asarray(classes)[..., np.newaxis]

    def decide(self, probabilities: Array) -> Array:
        """Decide class indices uint8 `[...]` from probabilities `[..., channels]`.

        One channel: foreground if the probability is at least 0.5. Softmax: the most probable class. Regions: the most
        probable class c if regions are independent, which has the largest `Σ_r∋c log(p_r / (1 - p_r))`, 0 for the
        background; the first of several classes in the same regions.

        >>> Targets({1: "liver"}).decide(np.array([[0.4], [0.5]])).tolist()
        [0, 1]
        >>> Targets({1: "liver", 2: "spleen"}).decide(np.array([0.2, 0.3, 0.5])).item()
        2
        """
        if self.regions:
            p = np.clip(probabilities, _LEAST, 1 - _LEAST)
            evidence = np.log(p / (1 - p)) @ self.members.T.astype(p.dtype)
            return evidence.argmax(axis=-1).astype(np.uint8)
        if self.channels == 1:
            return (probabilities[..., 0] >= THRESHOLD).astype(np.uint8)
        return probabilities.argmax(axis=-1).astype(np.uint8)

    @property
    def background(self) -> Array:
        """The probabilities `[channels]` of certain background."""
        nothing = np.zeros(self.channels, np.float32)
        if self.activation == "softmax":
            nothing[0] = 1
        return nothing
