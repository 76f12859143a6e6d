"""What a network's output channels mean: classes that exclude each other, or regions that may overlap."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tfseg.datasets.grids import Array
from tfseg.preparation.label_maps import IGNORED

THRESHOLD = 0.5
_LEAST = 1e-7  # probabilities count as this far from 0 and 1


@dataclass(frozen=True)
class Targets:
    """What is learnt: one label (sigmoid), several with the background (softmax), or regions (a sigmoid each).

    Args:
        labels: name of each label value; classes 1, 2, … are those in order, 0 is background.
        regions: name → the label values whose union a region is; empty where the labels themselves are learnt.
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
        """What makes probabilities of a network's outputs."""
        return "softmax" if self.channels > 1 and not self.regions else "sigmoid"

    @property
    def scored(self) -> dict[str, tuple[int, ...]]:
        """The label values of what is scored, by its name: the regions, or else every label."""
        return self.regions or {name: (value,) for value, name in self.labels.items()}

    @property
    def members(self) -> Array:
        """Whether a class is part of what is scored, bool `[1 + labels, scored]`."""
        values = (0, *self.labels)
        return np.array([[value in union for union in self.scored.values()] for value in values])

    @cached_property
    def _channels_of(self) -> Array:
        """The truth's channels for every class index, `IGNORED` among them, uint8 `[256, regions]`."""
        table = np.zeros((IGNORED + 1, len(self.regions)), np.uint8)
        table[: 1 + len(self.labels)] = self.members
        table[IGNORED] = IGNORED
        return table

    def encode(self, classes: Array) -> Array:
        """Turn class indices uint8 `[...]` into a truth for losses: labels `[..., 1]`, or 0 and 1 `[..., regions]`."""
        return self._channels_of[classes] if self.regions else np.asarray(classes)[..., np.newaxis]

    def decide(self, probabilities: Array) -> Array:
        """Decide class indices uint8 `[...]` from probabilities `[..., channels]`.

        One channel: foreground from 0.5 on. Softmax: the most probable class. Regions: the most probable class c
        where regions are independent, the one with the largest `Σ_r∋c log(p_r / (1 - p_r))`, 0 for the background;
        of classes in the same regions the first.
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
        """The probabilities `[channels]` of a voxel that is background for sure."""
        nothing = np.zeros(self.channels, np.float32)
        if self.activation == "softmax":
            nothing[0] = 1
        return nothing
