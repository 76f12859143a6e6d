"""Summarise scores of cases as one row per arm, label and metric; the subject is the unit."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tfseg.core.errors import DataError
from tfseg.metrics.outcomes import OUTCOMES, arm_column, case_outcomes
from tfseg.metrics.table import metric_of

MEAN_LABEL = "mean"
COLUMNS = ("loss", "seed", "fold", "subject", "case", "label", "metric", "value")

_STATISTICS = ["median", "mean_finite", "sd_finite", "penalised_mean"]


def summarise(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> pd.DataFrame:
    """Summarise scores over subjects, per arm, label and metric.

    A subject's value is the mean of its cases, then of its seeds. Scores of a case that is empty in truth and
    prediction are NaN and are left out. Label "mean" holds the mean over labels of each statistic, without labels
    that have no value, for the metrics that `METRICS` averages over labels; there `n` counts the subjects with a value
    in any label, and the counts are sums over labels.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, and `arm` if arms are not losses;
            every case once per arm and seed, values as `tfseg.metrics.score` gives them, NaN and inf kept. Metrics
            that are not in `METRICS` are summarised too.
        diagonal_mm: case → diagonal of its volume, in the unit of the distances; needed for failed cases only.

    Returns:
        Columns `loss, label, metric` (and `arm`, first; `loss` then lists the losses of an arm that is tuned by fold);
        `n`: subjects with a value, infinite ones included;
        `both_empty, missed, false_alarm`: scored cases (one per seed) in which truth and prediction, only the
        prediction, only the truth are empty; no value for labels without scores of masks;
        `median`: of the subjects' raw values, inf the largest;
        `mean_finite, sd_finite`: over subjects, of finite values (SD with n-1);
        `penalised_mean`: over subjects, an infinite distance replaced by the diagonal.

    Raises:
        DataError: a missing column, a case scored twice, a label named "mean", a failed case without a diagonal, a
            case and label without `hd` or `specificity`.
    """
    subjects = subject_values(scores, diagonal_mm)
    arm = arm_column(scores)
    outcomes = case_outcomes(scores).groupby([arm, "label"], sort=False)[OUTCOMES].sum().astype("Int64").reset_index()
    keys = [arm, "label", "metric"]
    grouped = subjects.groupby(keys, sort=False)
    per_label = grouped.agg(
        n=("raw", "count"),
        median=("raw", "median"),
        mean_finite=("finite", "mean"),
        sd_finite=("finite", "std"),
        penalised_mean=("penalised", "mean"),
    ).reset_index()
    per_label = per_label.merge(outcomes, on=[arm, "label"], how="left")

    averaged = per_label[per_label["metric"].map(lambda name: metric_of(name).over_labels)]
    over_labels = averaged.groupby([arm, "metric"], sort=False)
    mean = over_labels[_STATISTICS].mean().join(over_labels[OUTCOMES].sum(min_count=1))
    with_value = subjects.dropna(subset="raw").groupby([arm, "metric"])["subject"].nunique()
    mean["n"] = with_value.reindex(mean.index, fill_value=0)

    table = pd.concat([per_label, mean.reset_index().assign(label=MEAN_LABEL)], ignore_index=True)
    order = {name: place for place, name in enumerate(scores[arm].unique())}
    table = table.sort_values(arm, key=lambda names: names.map(order), kind="stable", ignore_index=True)
    losses = scores.groupby(arm)["loss"].agg(lambda each: "; ".join(each.unique()))
    table["loss"] = table[arm].map(losses)
    return table[[*dict.fromkeys((arm, "loss", *keys)), "n", *OUTCOMES, *_STATISTICS]]


def count_outcomes(scores: pd.DataFrame) -> pd.DataFrame:
    """Count cases with empty masks for every arm and label, over seeds, and for the label "mean" their sums.

    Args:
        scores: as for `summarise`.

    Returns:
        Columns `arm, label`; `cases`: scored, each once per seed; `both_empty, missed, false_alarm`: of these.
    """
    arm = arm_column(scores)
    grouped = case_outcomes(scores).rename(columns={arm: "arm"}).groupby(["arm", "label"], sort=False)[OUTCOMES]
    counts = grouped.sum().assign(cases=grouped.size()).reset_index()
    total = counts.groupby("arm", sort=False)[["cases", *OUTCOMES]].sum().reset_index().assign(label=MEAN_LABEL)
    return pd.concat([counts, total], ignore_index=True)[["arm", "label", "cases", *OUTCOMES]]


def subject_values(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> pd.DataFrame:
    """Give one value per subject: the mean of its cases, then of its seeds. Both-empty cases have no value.

    Args:
        scores, diagonal_mm: as for `summarise`.

    Returns:
        Columns `loss` (or `arm`), `label, metric, subject`; `raw`: inf kept; `finite`: of finite values;
        `penalised`: infinite distances replaced by the diagonal. NaN if nothing is left.

    Raises:
        DataError: a missing column, a case scored twice, a label named "mean", a failed case without a diagonal.

    >>> row = {"loss": "dice", "fold": 0, "subject": "a", "label": "lesion", "metric": "hd", "value": 2.0}
    >>> scores = pd.DataFrame([{**row, "seed": 0, "case": "a1"}, {**row, "seed": 0, "case": "a2", "value": np.inf}])
    >>> subject_values(scores, {"a2": 100.0})
       loss   label metric subject  raw  finite  penalised
    0  dice  lesion     hd       a  inf     2.0       51.0
    """
    check_scores(scores)
    infinite = np.isinf(scores["value"])
    failed = infinite & scores["metric"].map(lambda name: metric_of(name).is_distance).astype(bool)
    diagonals = scores["case"].map(diagonal_mm)
    without = scores.loc[failed & ~(diagonals > 0), "case"].unique()
    if without.size:
        raise DataError(f"diagonal_mm: expected the diagonal of every failed case, missing {list(without)}")
    values = scores.assign(
        raw=scores["value"],
        finite=scores["value"].mask(infinite),
        penalised=scores["value"].mask(failed, diagonals),
    )
    keys = [arm_column(scores), "label", "metric", "subject"]
    columns = ["raw", "finite", "penalised"]
    per_seed = values.groupby([*keys, "seed"], sort=False, dropna=False)[columns].mean()
    return per_seed.groupby(keys, sort=False).mean().reset_index()


def check_scores(scores: pd.DataFrame) -> None:
    """Refuse a table that is not one of scores.

    Raises:
        DataError: a missing column, a case scored twice, a label named "mean".
    """
    missing = [column for column in COLUMNS if column not in scores]
    if missing:
        raise DataError(f"scores: expected the columns {', '.join(COLUMNS)}, missing {', '.join(missing)}")
    if (scores["label"] == MEAN_LABEL).any():
        raise DataError(f'scores: expected labels other than "{MEAN_LABEL}", kept for the mean over labels')
    repeated = scores.loc[scores.duplicated([arm_column(scores), "seed", "case", "label", "metric"]), "case"]
    if repeated.size:
        raise DataError(f"scores: expected every case once, received {repeated.iloc[0]} twice")
