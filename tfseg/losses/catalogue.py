"""Every loss by name, and how to make one."""

import difflib
from collections.abc import Iterable
from typing import Any

from tfseg.losses.base import SegmentationLoss
from tfseg.losses.compound import DiceCE, Hybrid
from tfseg.losses.distribution import BinaryCrossEntropy, CrossEntropy, Focal, LogCosh
from tfseg.losses.region import Dice, FocalTversky, Jaccard, LogDice, Tversky
from tfseg.losses.structural import SSIM

LOSSES: dict[str, type[SegmentationLoss]] = {
    # distribution
    "bce": BinaryCrossEntropy,
    "ce": CrossEntropy,
    "focal": Focal,
    "log_cosh": LogCosh,
    # region
    "dice": Dice,
    "jaccard": Jaccard,
    "tversky": Tversky,
    "focal_tversky": FocalTversky,
    "log_dice": LogDice,
    # structural
    "ssim": SSIM,
    # compound
    "dice_ce": DiceCE,
    "hybrid": Hybrid,
}


def get(name: str, /, **params: Any) -> SegmentationLoss:
    """The loss called `name`.

    Args:
        name: a key of `LOSSES`.
        **params: arguments of its class.

    Raises:
        ValueError: no such loss, no such parameter, or a parameter out of its range.
    """
    if name not in LOSSES:
        raise ValueError(f"no loss is called {name!r}; {_nearest(name, LOSSES)}")
    parameters = LOSSES[name].parameters
    for param in params:
        if param not in parameters:
            raise ValueError(f"the loss {name} has no parameter {param!r}; {_nearest(param, parameters)}")
    return LOSSES[name](**params)


def _nearest(wrong: str, valid: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, list(valid))
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(valid)}"
