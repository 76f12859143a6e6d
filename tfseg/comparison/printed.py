"""Set the printed numbers of a study beside those of a comparison that follows its protocol."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.metrics.outcomes import arm_columns
from tfseg.metrics.summary import subject_values
from tfseg.statistics import t_interval

KEYS = ["arm", "label", "metric"]
COLUMNS = ["setting", *KEYS, "value"]


def read_printed(path: Path, setting: str) -> pd.DataFrame:
    """Read the printed numbers of one setting of a study: columns `arm, label, metric, value`.

    Raises:
        ConfigError: if the file is not such a table, or has no such setting.
    """
    with files.reading(path, ConfigError):
        table = pd.read_csv(path, dtype=dict.fromkeys(COLUMNS[:-1], str), keep_default_na=False)
    if list(table.columns) != COLUMNS or not pd.api.types.is_numeric_dtype(table["value"]):
        raise ConfigError(f"{path}: expected the columns {', '.join(COLUMNS)}, received {', '.join(table.columns)}")
    if setting not in set(table["setting"]):
        known = ", ".join(table["setting"].unique())
        raise ConfigError(f"{path}: expected one of the settings {known}; received {setting}")
    return table.loc[table["setting"] == setting, [*KEYS, "value"]].reset_index(drop=True)


def beside_printed(
    printed: pd.DataFrame, means: pd.DataFrame, scores: pd.DataFrame, diagonal_mm: Mapping[str, float]
) -> pd.DataFrame:
    """Return a row per printed number: the printed value, ours with its 95 % interval, and whether it lies inside.

    Arms and labels that the comparison does not have are left out.

    Args:
        printed: as `read_printed` returns it.
        means: of the arms, as `tfseg.statistics.arm_means` returns them; other metrics have Student's interval over
            the subjects.
        scores: of all cases, arms in the column `loss`.
        diagonal_mm: case → diagonal of its volume.

    Returns:
        Columns `arm, label, metric, printed, here, low, high, inside` ("yes", "no", or "" if there is no interval).
    """
    own = _intervals(scores, diagonal_mm, set(printed["metric"]) - set(means["metric"]))
    here = pd.concat([means.rename(columns={"mean": "here"})[[*KEYS, "here", "low", "high"]], own])
    shared = printed[printed["arm"].isin(here["arm"]) & printed["label"].isin(here["label"])]
    table = shared.rename(columns={"value": "printed"}).merge(here, on=KEYS, how="left")
    known = table.dropna(subset=["low", "high"])
    is_inside = known["printed"].between(known["low"], known["high"])
    return table.assign(inside=is_inside.map({True: "yes", False: "no"}).reindex(table.index, fill_value=""))


def _intervals(scores: pd.DataFrame, diagonal_mm: Mapping[str, float], metrics: set[str]) -> pd.DataFrame:
    """Return the mean and interval over subjects of metrics by which arms are not compared."""
    rows = []
    chosen = scores[scores["metric"].isin(metrics)]
    if len(chosen):
        values = subject_values(chosen, diagonal_mm)
        arm = arm_columns(chosen)[0]
        for (name, label, metric), own in values.groupby([arm, "label", "metric"], sort=False)["penalised"]:
            rows.append((name, label, metric, own.mean(), *t_interval(own.dropna().to_numpy())))
    return pd.DataFrame(rows, columns=[*KEYS, "here", "low", "high"])
