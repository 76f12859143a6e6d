"""Other conventions for empty masks, and the ranking of arms under each."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, nan

import numpy as np
import pandas as pd

from tfseg.metrics.outcomes import OUTCOMES, arm_column, case_keys, case_outcomes
from tfseg.metrics.summary import subject_values
from tfseg.metrics.table import METRICS

OWN = "tfseg"
COMPARED = ("dice", "hd95")
RANKING_COLUMNS = ("convention", "label", "metric", "arm", "n", "mean", "rank")

_BRATS_DIAGONAL_MM = hypot(240, 240, 155)  # 373.13 mm: 240 × 240 × 155 voxels of 1 mm


@dataclass(frozen=True)
class Convention:
    """Values (Dice, HD95) of a case with an empty mask; NaN: it is left out of the mean."""

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
    """Give every case with an empty mask the value that a convention gives it; only Dice and HD95 are returned.

    Args:
        scores: as for `rankings`.

    Raises:
        DataError: a case and label without `hd` or `specificity`.
    """
    compared = scores[scores["metric"].isin(COMPARED)].merge(case_outcomes(scores), on=case_keys(scores))
    is_distance = compared["metric"] == "hd95"
    given = [np.where(is_distance, *reversed(getattr(convention, outcome))) for outcome in OUTCOMES]
    value = np.select([compared[outcome] for outcome in OUTCOMES], given, default=compared["value"])
    return compared.assign(value=value).drop(columns=OUTCOMES)


def rankings(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> pd.DataFrame:
    """Rank the arms by mean Dice and HD95 under every convention for empty masks, tfseg's own first.

    The subject is the unit under all of them, over the subjects to whom a convention gives a value under that arm.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, and `arm` if arms are not losses; with
            `hd` and `specificity`.
        diagonal_mm: case → diagonal of its volume, in the unit of the distances; needed for failed cases only.

    Returns:
        Columns `convention, label, metric, arm`; `n`: subjects; `mean`; `rank`: 1 the best, equals share the smaller
        rank, NaN without a value.
    """
    own = subject_values(scores[scores["metric"].isin(COMPARED)], diagonal_mm).rename(columns={"penalised": "value"})
    others = [
        subject_values(apply_convention(scores, convention), {})
        .rename(columns={"raw": "value"})
        .assign(convention=convention.name)
        for convention in CONVENTIONS
    ]
    subjects = pd.concat([own.assign(convention=OWN), *others]).rename(columns={arm_column(scores): "arm"})
    keys = ["convention", "label", "metric", "arm"]
    table = subjects.groupby(keys, sort=False)["value"].agg(n="count", mean="mean").reset_index()
    higher_is_worse = table["mean"] * -table["metric"].map(lambda metric: METRICS[metric].sign)
    ranks = higher_is_worse.round(10).groupby([table[key] for key in keys[:3]]).rank(method="min")
    return table.assign(rank=ranks)[list(RANKING_COLUMNS)]
