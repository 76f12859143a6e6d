"""All losses by name, and functions that make one."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tfseg.losses.base import SegmentationLoss
from tfseg.losses.blobs import BlobDice
from tfseg.losses.boundary import Boundary, DistancePenalizedCE, HausdorffDT, HausdorffErosion, LogHausdorffDT
from tfseg.losses.calibration import MarginalACE, NeighborAwareCalibration
from tfseg.losses.compound import DiceBCE, DiceCE, DiceFocal, DiceTopK, Hybrid
from tfseg.losses.compound_hausdorff import DiceFocalHausdorff, TverskyHausdorff
from tfseg.losses.compound_weighted import Combo, ExponentialLogarithmic
from tfseg.losses.correlation import MatthewsCorrelation
from tfseg.losses.distribution import (
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    LogCosh,
    TopK,
    WeightedBinaryCrossEntropy,
    WeightedCrossEntropy,
)
from tfseg.losses.generalized import GeneralizedDice, PenaltyGeneralizedDice
from tfseg.losses.lovasz import Lovasz
from tfseg.losses.mis_seg_focus import MisSegFocus
from tfseg.losses.region import (
    AsymmetricSimilarity,
    Dice,
    FocalTversky,
    Jaccard,
    LogCoshDice,
    LogDice,
    SensitivitySpecificity,
    SquaredDice,
    Tversky,
)
from tfseg.losses.skeleton import ClDice, SkeletonRecall
from tfseg.losses.structural import SSIM, MultiScaleSSIM
from tfseg.losses.unified_focal import AsymmetricUnifiedFocal, SymmetricUnifiedFocal
from tfseg.losses.wasserstein import GeneralizedWassersteinDice
from tfseg.losses.weighted_sum import RampCallback as RampCallback
from tfseg.losses.weighted_sum import Summable, WeightedSum

FAMILIES: dict[str, dict[str, type[SegmentationLoss]]] = {
    "distribution": {
        "bce": BinaryCrossEntropy,
        "weighted_bce": WeightedBinaryCrossEntropy,
        "ce": CrossEntropy,
        "weighted_ce": WeightedCrossEntropy,
        "top_k": TopK,
        "focal": Focal,
        "log_cosh": LogCosh,
        "nacl": NeighborAwareCalibration,
        "ml1_ace": MarginalACE,
    },
    "region": {
        "dice": Dice,
        "squared_dice": SquaredDice,
        "log_dice": LogDice,
        "log_cosh_dice": LogCoshDice,
        "generalized_dice": GeneralizedDice,
        "penalty_generalized_dice": PenaltyGeneralizedDice,
        "generalized_wasserstein_dice": GeneralizedWassersteinDice,
        "jaccard": Jaccard,
        "lovasz": Lovasz,
        "tversky": Tversky,
        "focal_tversky": FocalTversky,
        "asymmetric_similarity": AsymmetricSimilarity,
        "sensitivity_specificity": SensitivitySpecificity,
        "mcc": MatthewsCorrelation,
    },
    "structural": {
        "ssim": SSIM,
        "ms_ssim": MultiScaleSSIM,
        "cldice": ClDice,
        "skeleton_recall": SkeletonRecall,
    },
    "boundary": {
        "boundary": Boundary,
        "hausdorff_dt": HausdorffDT,
        "log_hausdorff_dt": LogHausdorffDT,
        "hausdorff_erosion": HausdorffErosion,
        "distance_penalized_ce": DistancePenalizedCE,
    },
    "compound": {
        "dice_ce": DiceCE,
        "dice_bce": DiceBCE,
        "dice_focal": DiceFocal,
        "dice_top_k": DiceTopK,
        "combo": Combo,
        "exponential_logarithmic": ExponentialLogarithmic,
        "symmetric_unified_focal": SymmetricUnifiedFocal,
        "asymmetric_unified_focal": AsymmetricUnifiedFocal,
        "hybrid": Hybrid,
        "tversky_hausdorff": TverskyHausdorff,
        "dice_focal_hausdorff": DiceFocalHausdorff,
        "mis_seg_focus": MisSegFocus,
        "blob_dice": BlobDice,
    },
}
"""Every family of losses: its name → name → class."""
LOSSES = {name: loss for family in FAMILIES.values() for name, loss in family.items()}
"""Every loss: name → class."""


def get(name: str, /, **params: Any) -> SegmentationLoss:
    """Return the loss `name` with the given parameters.

    Args:
        name: a key of `LOSSES`.
        **params: arguments of its class.

    Raises:
        ValueError: unknown loss or parameter, or a parameter out of its range.

    Example:
        >>> import numpy as np
        >>> from tfseg.losses import get
        >>> truth = np.array([1, 1, 0, 0]).reshape(1, 2, 2, 1)
        >>> prediction = np.array([0.8, 0.4, 0.2, 0.0]).reshape(1, 2, 2, 1)
        >>> round(float(get("tversky", alpha=0.3, beta=0.7)(truth, prediction)), 3)
        0.341
    """
    if not isinstance(name, str) or name not in LOSSES:
        raise ValueError(f"no loss is called {name!r}; {_nearest(name, LOSSES)}")
    parameters = LOSSES[name].parameters
    for param in params:
        if param not in parameters:
            raise ValueError(f"the loss {name} has no parameter {param!r}; {_nearest(param, parameters)}")
    return LOSSES[name](**params)


def make(spec: str | Mapping[str, Any], **defaults: Any) -> Summable:
    """Return the loss that a configuration describes.

    Args:
        spec: `{"name": "tversky", "alpha": 0.3}`, or `{"sum": [{"name": …, "weight": 0.9}, …]}` with a number ≥ 0
            or a ramp `{"from": a, "to": b, "epochs": n}` as weight, 1 by default; or just a name.
        **defaults: arguments for the losses that have them, unless `spec` sets them.

    Raises:
        ValueError: as `get`, or `spec` has another form.

    Example:
        >>> from tfseg.losses import make
        >>> loss = make({"sum": ["dice", {"name": "boundary", "weight": 0.1}]}, overlap_over="batch")
        >>> loss.weights
        [1.0, 0.1]
        >>> loss.terms[0].overlap_over
        'batch'
    """
    spec = _named(spec)
    if set(spec) == {"sum"} and isinstance(spec["sum"], list | tuple) and spec["sum"]:
        parts = [_named(part) for part in spec["sum"]]
        weights = [part.pop("weight", 1.0) for part in parts]
        return WeightedSum([make(part, **defaults) for part in parts], weights)
    if not isinstance(spec.get("name"), str):
        raise ValueError(
            f"expected a loss as {{name: dice}}, or {{sum: [{{name: dice, weight: 1}}, …]}}; received {spec}"
        )
    known = getattr(LOSSES.get(spec["name"]), "parameters", ())
    params = {argument: value for argument, value in defaults.items() if argument in known}
    return get(spec["name"], **{**params, **{key: value for key, value in spec.items() if key != "name"}})


def _named(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, Mapping):
        return {"name": spec}
    for key in spec:
        if not isinstance(key, str):
            raise ValueError(f"parameters of a loss have names; received {key!r} in {dict(spec)}")
    return dict(spec)


def _nearest(wrong: str, valid: Iterable[str]) -> str:
    by_letters = {_letters(name): name for name in valid}
    near = [by_letters[letters] for letters in difflib.get_close_matches(_letters(wrong), by_letters)]
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(valid)}"


def _letters(name: str) -> str:
    """A name reduced to its letters and digits, without the suffix "loss": `DiceCELoss` is `dice_ce` here."""
    return re.sub("[^a-z0-9]", "", str(name).lower()).removesuffix("loss")
