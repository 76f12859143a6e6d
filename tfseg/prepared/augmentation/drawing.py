"""Draw what each image of an epoch undergoes."""

from collections.abc import Sequence

import numpy as np

from tfseg.config.augmentation import AugmentationConfig
from tfseg.datasets.grids import Array

# The range of each step but the flip, and the value that changes nothing.
RANGES = {
    "rotate": ("degrees", 0),
    "scale": ("factor", 1),
    "elastic": ("displacement_mm", 0),
    "bias_field": ("amplitude", 0),
    "brightness": ("shift", 0),
    "contrast": ("factor", 1),
    "gamma": ("log_gamma", 0),
    "blur": ("sd_voxels", 0),
    "anisotropy": ("factor", 1),
    "noise": ("sd", 0),
}


def parameters_of(rank: int) -> np.dtype:
    """Return the type of one image's parameters, numbers of eight bytes, for images of this rank without channels.

    `flip`: 1 for each axis that is mirrored. The steps of `RANGES`: the value drawn from the range; rotation has an
    angle about the slice, the row and the column axis. `coarse_axis`: of the anisotropy. `seed`: of fields and noise.
    """
    drawn = [(name, np.float64, (3,)) if name == "rotate" else (name, np.float64) for name in RANGES]
    return np.dtype([("flip", np.int64, (rank,)), *drawn, ("coarse_axis", np.int64), ("seed", np.int64)])


def draw(config: AugmentationConfig, flipped: Sequence[int], rank: int, count: int, key: Sequence[int]) -> Array:
    """Draw the parameters of images; each step has its own source of chance, whatever the other steps are.

    Args:
        config: the steps.
        flipped: axes of the images that may be mirrored.
        rank: 2 or 3.
        count: number of images.
        key: seeds of chance.

    Returns:
        `parameters_of(rank)` of each image, `[count]`.
    """
    drawn = np.zeros(count, parameters_of(rank))
    names = ("flip", *RANGES, "coarse_axis", "seed")
    chance = {name: np.random.default_rng([*key, number]) for number, name in enumerate(names)}
    if config.flip:
        made = chance["flip"].random((count, rank)) < config.flip.probability
        drawn["flip"][:, flipped] = made[:, flipped]
    for name, (setting, neutral) in RANGES.items():
        drawn[name] = neutral
        if step := getattr(config, name):
            made = chance[name].random(count) < step.probability
            low, high = getattr(step, setting)
            values = chance[name].uniform(low, high, size=np.shape(drawn[name]))
            drawn[name][made] = values[made]
    if rank == 2:
        drawn["rotate"][:, 1:] = 0
    drawn["coarse_axis"] = chance["coarse_axis"].integers(rank, size=count)
    drawn["seed"] = chance["seed"].integers(2**31, size=count)
    return drawn
