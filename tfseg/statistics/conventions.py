"""The other ways in which the field scores empty masks, and the ranking of losses under each."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, nan

import numpy as np
import pandas as pd

from tfseg.metrics.outcomes import OUTCOMES, case_keys, case_outcomes
from tfseg.metrics.summary import MEAN_LABEL, subject_values
from tfseg.metrics.table import METRICS
from tfseg.statistics.paired import paired_values

OWN = "tfseg"
COMPARED = ("dice", "hd95")
RANKING_COLUMNS = ("convention", "label", "metric", "loss", "n", "mean", "rank")

_BRATS_DIAGONAL_MM = hypot(240, 240, 155)  # 373.13 mm: 240 × 240 × 155 voxels of 1 mm


@dataclass(frozen=True)
class Convention:
    """What a case with an empty mask is given, as (Dice, HD95); NaN: it is left out of the mean."""

    name: str
    used_by: str
    both_empty: tuple[float, float]
    missed: tuple[float, float]
    false_alarm: tuple[float, float]


CONVENTIONS = (
    Convention(
        "BraTS",
        "BraTS 2020, as nnU-Net's copy of its scheme has it (nnunet/dataset_conversion/Task082_BraTS_2020.py); "
        "since 2023 BraTS scores every lesion, a missed or false one with 0 and 374 mm (synapse.org, syn51156910)",
        both_empty=(1, 0),
        missed=(0, _BRATS_DIAGONAL_MM),
        false_alarm=(0, _BRATS_DIAGONAL_MM),
    ),
    Convention(
        "nnU-Net",
        "nnU-Net's summary.json: Dice in nnunetv2/evaluation/evaluate_predictions.py, "
        "distances in version 1, nnunet/evaluation/metrics.py",
        both_empty=(nan, nan),
        missed=(0, nan),
        false_alarm=(0, nan),
    ),
    Convention(
        "MONAI",
        "MONAI's DiceMetric with its default ignore_empty=True, and HausdorffDistanceMetric(percentile=95), "
        "which drops failures (Project-MONAI/MONAI#9095)",
        both_empty=(nan, nan),
        missed=(0, nan),
        false_alarm=(nan, nan),
    ),
    Convention(
        "TransUNet",
        "TransUNet's utils.py, calculate_metric_percase (questioned in Beckschen/TransUNet#39)",
        both_empty=(0, 0),
        missed=(0, 0),
        false_alarm=(1, 0),
    ),
)


def apply_convention(scores: pd.DataFrame, convention: Convention) -> pd.DataFrame:
    """Gives every case with an empty mask the value that a convention gives it; Dice and HD95 alone are returned.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, with `hd` and `specificity`.

    Raises:
        ValueError: a case and label without `hd` or `specificity`.
    """
    compared = scores[scores["metric"].isin(COMPARED)].merge(case_outcomes(scores), on=case_keys(scores))
    is_distance = compared["metric"] == "hd95"
    given = [np.where(is_distance, *reversed(getattr(convention, outcome))) for outcome in OUTCOMES]
    value = np.select([compared[outcome] for outcome in OUTCOMES], given, default=compared["value"])
    return compared.assign(value=value).drop(columns=OUTCOMES)


def rankings(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> pd.DataFrame:
    """Ranks the losses by their mean Dice and HD95 under every convention for empty masks, tfseg's own first.

    The subject is the unit under all of them. Own: as `paired_values`, over subjects that every loss has; others:
    over the subjects that the convention leaves to each loss, which may differ between losses.

    Args:
        scores, diagonal_mm: as for `paired_values`, with `hd` and `specificity`.

    Returns:
        Columns `convention, label, metric, loss`; `n`: subjects; `mean`; `rank`: 1 the best, equals share the
        smaller rank, NaN without a value.
    """
    own = [
        each.values.dropna().melt(var_name="loss").assign(convention=OWN, label=each.label, metric=each.metric)
        for each in paired_values(scores[scores["metric"].isin(COMPARED)], diagonal_mm)
        if each.label != MEAN_LABEL
    ]
    others = [
        subject_values(apply_convention(scores, convention), {})
        .rename(columns={"raw": "value"})
        .assign(convention=convention.name)
        for convention in CONVENTIONS
    ]
    keys = ["convention", "label", "metric", "loss"]
    subjects = pd.concat([*own, *others]).groupby(keys, sort=False)["value"]
    table = subjects.agg(n="count", mean="mean").reset_index()
    higher_is_worse = table["mean"] * -table["metric"].map(lambda metric: METRICS[metric].sign)
    ranks = higher_is_worse.round(10).groupby([table[key] for key in keys[:3]]).rank(method="min")
    return table.assign(rank=ranks)[list(RANKING_COLUMNS)]
