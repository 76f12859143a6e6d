"""Save a training after every epoch, so that one that was killed resumes with bit-identical results."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from tfseg.config.config import Config
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split
from tfseg.prepared.prepared import Prepared
from tfseg.training.checkpoint import Checkpoint, CheckpointFolder

Conditions = dict[str, str | int]


class Stateful(Protocol):
    """A part of a training whose state fits into JSON."""

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""


class Saving(keras.callbacks.Callback):
    """Write a checkpoint after every epoch: weights, optimiser, and the state of the other parts.

    It comes after the callbacks whose states it saves. The order of slices, the dropout masks and the ramps of losses
    are functions of seed and epoch, and need no saving.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        conditions: Conditions,
        stage: int,
        epochs_before: int,
        parts: Mapping[str, Stateful],
    ) -> None:
        super().__init__()
        self._folder = folder
        self._conditions = conditions
        self._stage = stage
        self._before = epochs_before
        self._parts = parts

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the checkpoint."""
        state = {
            "conditions": self._conditions,
            "stage": self._stage,
            "epochs_before": self._before,
            "epochs": epoch + 1,
            "parts": {name: part.state() for name, part in self._parts.items()},
        }
        arrays = [np.asarray(variable) for variable in variables_of(self.model)]
        self._folder.write(self._before + epoch + 1, Checkpoint(arrays, state))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the model, whose optimiser must be built, and the parts from a checkpoint."""
        for variable, array in zip(variables_of(self.model), checkpoint.arrays, strict=True):
            variable.assign(array)
        for name, part in self._parts.items():
            part.restore(checkpoint.state["parts"][name])


def variables_of(model: keras.Model) -> list[keras.Variable]:
    """Return the weights and the optimiser's variables."""
    return [*model.weights, *model.optimizer.variables]


def conditions_of(config: Config, prepared: Prepared, split: Split, seed: int, machine: Conditions) -> Conditions:
    """Return what must stay equal for bit-identical results: a digest of settings and data, and the machine."""
    decisive = config.decisive()
    inputs = {name: decisive[name] for name in ("loss", "model", "training", "stages")}
    inputs |= {"prepared": prepared.digest, "train": split.train, "val": split.val, "seed": seed}
    digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12]
    return machine | {"digest of settings and data": digest}


def check_conditions(checkpoint: Checkpoint, now: Conditions, out: Path) -> None:
    """Refuse to resume a training under conditions that differ from those it started with.

    Raises:
        ConfigError: naming the first condition that differs.
    """
    for name, value in now.items():
        was = checkpoint.state["conditions"].get(name, "unknown")
        if was != value:
            raise ConfigError(
                f"{out} was started with {name} {was}, but received {value}: "
                "resume under the same conditions, or choose another folder with --out"
            )
