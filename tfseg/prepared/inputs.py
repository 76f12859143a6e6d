"""Choose what a network sees: slices, patches or whole volumes."""

import math
from collections.abc import Sequence

from tfseg.config.config import TrainingConfig
from tfseg.config.training import InputConfig
from tfseg.core.errors import ConfigError
from tfseg.prepared.batches import Batches, SliceBatches, count_steps
from tfseg.prepared.patches import PatchBatches, VolumeBatches
from tfseg.prepared.prepared import Prepared

# As preparation pads rows and columns, a patch may pad slices to the next multiple.
SLICES_MULTIPLE = 16


def input_shape(seen: InputConfig, prepared: Prepared) -> tuple[int, ...]:
    """Return the shape of a network's input: `(h, w, channels)` for slices, else `(d, h, w, channels)`."""
    if seen.kind == "slices":
        return prepared.image_shape
    slices, height, width, channels = prepared.volume_shape
    return (*seen.patch, channels) if seen.kind == "patches" else (slices, height, width, channels)


def check_input(seen: InputConfig, prepared: Prepared) -> None:
    """Refuse patches that are larger than every prepared volume.

    Raises:
        ConfigError: if a side is longer than the longest volume's, slices rounded up to a multiple of 16.
    """
    slices, *sides, _ = prepared.volume_shape
    largest = (math.ceil(slices / SLICES_MULTIPLE) * SLICES_MULTIPLE, *sides)
    if seen.kind == "patches" and any(side > most for side, most in zip(seen.patch, largest, strict=True)):
        raise ConfigError(
            f"training.input.patch: expected at most {list(largest)}, the largest prepared volume, "
            f"received {list(seen.patch)}"
        )


def steps_per_epoch(training: TrainingConfig, prepared: Prepared, subjects: Sequence[str]) -> int:
    """Return the batches of an epoch on some subjects, without opening their cases."""
    seen = training.input
    cases = int(prepared.index["subject"].isin(list(subjects)).sum())
    samples = {"slices": prepared.slices_of(subjects), "patches": cases * seen.per_case, "volumes": cases}[seen.kind]
    return count_steps(samples, training.batch_size, training.steps_per_epoch)


def make_batches(training: TrainingConfig, prepared: Prepared, subjects: Sequence[str], seed: int) -> Batches:
    """Return the batches that a training on some subjects uses."""
    seen, cases, encode = training.input, prepared.cases_of(subjects), prepared.targets.encode
    size, steps = training.batch_size, training.steps_per_epoch
    if seen.kind == "slices":
        return SliceBatches(cases, size, seed, steps, training.foreground_share, encode)
    shape = input_shape(seen, prepared)[:-1]
    if seen.kind == "volumes":
        return VolumeBatches(cases, shape, size, seed, steps, encode)
    return PatchBatches(cases, shape, size, seed, seen.per_case, seen.centres, steps, encode)
