"""From scores per case to one row per loss, label and metric; the subject is the unit."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tfseg.metrics.outcomes import OUTCOMES, case_outcomes

MEAN_LABEL = "mean"
COLUMNS = ("loss", "seed", "fold", "subject", "case", "label", "metric", "value")

_STATISTICS = ["median", "mean_finite", "sd_finite", "penalised_mean"]


def summarise(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> pd.DataFrame:
    """Summarises scores over subjects, per loss, label and metric.

    A subject's value is the mean of its cases, then of its seeds; overlap and distances of a case that is
    empty in truth and prediction are NaN, and left out. Label "mean" holds the mean over labels of each
    statistic (labels without a value left out), for all metrics but volumes; there `n` counts the subjects
    with a value in any label, and the counts are sums over labels.

    Args:
        scores: columns `loss, seed, fold, subject, case, label, metric, value`, every case once per loss and
            seed, values as `tfseg.metrics.score` gives them, NaN and inf kept.
        diagonal_mm: case → diagonal of its volume, in the unit of the distances; asked only of failed cases.

    Returns:
        Columns `loss, label, metric`;
        `n`: subjects with a value, infinite ones among them;
        `both_empty, missed, false_alarm`: scored cases (one per seed) in which truth and prediction, the
        prediction alone, the truth alone are empty;
        `median`: of the subjects' raw values, inf the largest;
        `mean_finite, sd_finite`: over subjects, of finite values alone (SD with n-1);
        `penalised_mean`: over subjects, an infinite distance replaced by the diagonal.

    Raises:
        ValueError: a missing column, a case scored twice, a label named "mean", a failed case without a
            diagonal, a case and label without `hd` or `specificity`.
    """
    subjects = subject_values(scores, diagonal_mm)
    outcomes = case_outcomes(scores).groupby(["loss", "label"], sort=False)[OUTCOMES].sum().reset_index()
    keys = ["loss", "label", "metric"]
    grouped = subjects.groupby(keys, sort=False)
    per_label = grouped.agg(
        n=("raw", "count"),
        median=("raw", "median"),
        mean_finite=("finite", "mean"),
        sd_finite=("finite", "std"),
        penalised_mean=("penalised", "mean"),
    ).reset_index()
    per_label = per_label.merge(outcomes, on=["loss", "label"], how="left")

    scored = per_label[~per_label["metric"].str.startswith("volume_")]
    over_labels = scored.groupby(["loss", "metric"], sort=False)
    mean = over_labels[_STATISTICS].mean().join(over_labels[OUTCOMES].sum())
    with_value = subjects.dropna(subset="raw").groupby(["loss", "metric"])["subject"].nunique()
    mean["n"] = with_value.reindex(mean.index, fill_value=0)

    table = pd.concat([per_label, mean.reset_index().assign(label=MEAN_LABEL)], ignore_index=True)
    order = {loss: place for place, loss in enumerate(scores["loss"].unique())}
    table = table.sort_values("loss", key=lambda losses: losses.map(order), kind="stable", ignore_index=True)
    return table[[*keys, "n", *OUTCOMES, *_STATISTICS]]


def subject_values(scores: pd.DataFrame, diagonal_mm: Mapping[str, float]) -> pd.DataFrame:
    """One value per subject: the mean of its cases, then of its seeds. Both-empty cases have no value.

    Args:
        scores, diagonal_mm: as for `summarise`.

    Returns:
        Columns `loss, label, metric, subject`; `raw`: inf kept; `finite`: finite values alone; `penalised`:
        inf replaced by the diagonal. NaN where nothing is left.

    Raises:
        ValueError: a missing column, a case scored twice, a label named "mean", a failed case without a
            diagonal.
    """
    check_scores(scores)
    failed = np.isinf(scores["value"])
    diagonals = scores["case"].map(diagonal_mm)
    without = scores.loc[failed & ~(diagonals > 0), "case"].unique()
    if without.size:
        raise ValueError(f"diagonal_mm: expected the diagonal of every failed case, missing {list(without)}")
    values = scores.assign(
        raw=scores["value"],
        finite=scores["value"].mask(failed),
        penalised=scores["value"].mask(failed, diagonals),
    )
    keys = ["loss", "label", "metric", "subject"]
    columns = ["raw", "finite", "penalised"]
    per_seed = values.groupby([*keys, "seed"], sort=False, dropna=False)[columns].mean()
    return per_seed.groupby(keys, sort=False).mean().reset_index()


def check_scores(scores: pd.DataFrame) -> None:
    """Refuses a table that is not one of scores.

    Raises:
        ValueError: a missing column, a case scored twice, a label named "mean".
    """
    missing = [column for column in COLUMNS if column not in scores]
    if missing:
        raise ValueError(f"scores: expected the columns {', '.join(COLUMNS)}, missing {', '.join(missing)}")
    if (scores["label"] == MEAN_LABEL).any():
        raise ValueError(f'scores: expected labels other than "{MEAN_LABEL}", kept for the mean over labels')
    repeated = scores.loc[scores.duplicated(["loss", "seed", "case", "label", "metric"]), "case"]
    if repeated.size:
        raise ValueError(f"scores: expected every case once, received {repeated.iloc[0]} twice")
