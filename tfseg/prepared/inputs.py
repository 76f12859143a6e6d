"""Choose what a network sees: slices, patches or whole volumes."""

import math
from collections.abc import Sequence

from tfseg.config.augmentation import AugmentationConfig
from tfseg.config.training import InputConfig, TrainingConfig
from tfseg.core.errors import ConfigError
from tfseg.prepared.augmentation.batches import AugmentedBatches
from tfseg.prepared.batches import Batches, SliceBatches, count_steps
from tfseg.prepared.patches import PatchBatches, VolumeBatches
from tfseg.prepared.prepared import Prepared, PreparedCase
from tfseg.prepared.stored import seen_together

# The axes of the body along which slices, rows and columns run.
BODY_AXES = {
    "sagittal": ("left_right", "anterior_posterior", "superior_inferior"),
    "coronal": ("anterior_posterior", "left_right", "superior_inferior"),
    "axial": ("superior_inferior", "left_right", "anterior_posterior"),
}
# Volumes whose slices lie further apart than others' by more than this factor look unlike to a 3D network.
UNEVEN = 1.05
# As preparation pads rows and columns, a patch may pad slices to the next multiple.
SLICES_MULTIPLE = 16


def input_shape(seen: InputConfig, prepared: Prepared) -> tuple[int, ...]:
    """Return the shape of a network's input: `(h, w, channels)` for slices, else `(d, h, w, channels)`."""
    if seen.kind == "slices":
        height, width, channels = prepared.image_shape
        return height, width, seen_together(seen.neighbours) * channels
    slices, height, width, channels = prepared.volume_shape
    return (*seen.patch, channels) if seen.kind == "patches" else (slices, height, width, channels)


def check_input(training: TrainingConfig, prepared: Prepared) -> None:
    """Refuse patches that are larger than every prepared volume, flips across slices, and neighbours of 2D images.

    Raises:
        ConfigError: if a side is longer than the longest volume's, slices rounded up to a multiple of 16, 2D images are
            to have neighbours, or as `flipped_axes`.
    """
    flipped_axes(training, prepared)
    seen = training.input
    if seen.neighbours and prepared.in_pixels:
        raise ConfigError(f"training.input.neighbours: 2D images have none; expected 0, received {seen.neighbours}")
    slices, *sides, _ = prepared.volume_shape
    largest = (math.ceil(slices / SLICES_MULTIPLE) * SLICES_MULTIPLE, *sides)
    if seen.kind == "patches" and any(side > most for side, most in zip(seen.patch, largest, strict=True)):
        raise ConfigError(
            f"training.input.patch: expected at most {list(largest)}, the largest prepared volume, "
            f"received {list(seen.patch)}"
        )


def caution_about_spacing(prepared: Prepared) -> str:
    """Return a warning for 3D networks if slices of the cases lie at different distances; "" if they do not."""
    nearest, furthest = prepared.spacings_mm[:, 0].min(), prepared.spacings_mm[:, 0].max()
    if furthest <= UNEVEN * nearest:
        return ""
    return (
        f"slices lie {nearest:g} to {furthest:g} mm apart, which a 3D network does not see; prepare scans with this "
        "configuration (tfseg prep --config), or with a recipe that sets spacing_mm along all axes"
    )


def flipped_axes(training: TrainingConfig, prepared: Prepared) -> list[int]:
    """Return the axes of an image that its augmentation mirrors.

    Raises:
        ConfigError: if slices are to be mirrored along the axis that runs across them.
    """
    flip, axis = training.augmentation.flip, prepared.recipe["axis"]
    if flip is None:
        return []
    axes = [BODY_AXES[axis].index(name) for name in flip.axes]
    if training.input.kind != "slices":
        return axes
    if 0 in axes:
        raise ConfigError(
            f"training.augmentation.flip.axes: expected axes within {axis} slices, {' or '.join(BODY_AXES[axis][1:])}; "
            f"received {BODY_AXES[axis][0]}"
        )
    return [each - 1 for each in axes]


def steps_per_epoch(training: TrainingConfig, prepared: Prepared, subjects: Sequence[str]) -> int:
    """Return the batches of an epoch on some subjects, without opening their cases."""
    seen = training.input
    cases = int(prepared.index["subject"].isin(list(subjects)).sum())
    samples = {"slices": prepared.slices_of(subjects), "patches": cases * seen.per_case, "volumes": cases}[seen.kind]
    return count_steps(samples, training.batch_size, training.steps_per_epoch)


def make_batches(training: TrainingConfig, prepared: Prepared, subjects: Sequence[str], seed: int) -> Batches:
    """Return the batches that a training on some subjects uses, augmented if the configuration says so."""
    cases = prepared.cases_of(subjects)
    batches = unchanged_batches(training, prepared, cases, seed)
    if training.augmentation == AugmentationConfig():
        return batches
    rank = len(batches.shapes[0]) - 2
    spacings_mm = [case.grid.slice_spacing_mm[3 - rank :] for case in cases]
    return AugmentedBatches(batches, training.augmentation, flipped_axes(training, prepared), seed, spacings_mm)


def unchanged_batches(
    training: TrainingConfig, prepared: Prepared, cases: Sequence[PreparedCase], seed: int
) -> Batches:
    """Return the batches of some cases without augmentation."""
    seen, encode = training.input, prepared.targets.encode
    size, steps = training.batch_size, training.steps_per_epoch
    if seen.kind == "slices":
        return SliceBatches(cases, size, seed, steps, training.foreground_share, encode, seen.neighbours)
    shape = input_shape(seen, prepared)[:-1]
    if seen.kind == "volumes":
        return VolumeBatches(cases, shape, size, seed, steps, encode)
    return PatchBatches(cases, shape, size, seed, seen.per_case, seen.centres, steps, encode)
