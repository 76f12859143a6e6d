"""Set the printed numbers of a study beside those of a comparison that follows its protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.metrics.outcomes import arm_column
from tfseg.metrics.summary import subject_values
from tfseg.statistics import t_interval

KEYS = ["arm", "label", "metric"]
COLUMNS = ["setting", *KEYS, "value"]
EPOCHS = "epochs"  # of a training that may stop early: a number of the arm, whatever the label


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
    printed: pd.DataFrame,
    means: pd.DataFrame,
    scores: pd.DataFrame,
    diagonal_mm: Mapping[str, float],
    epochs: Mapping[str, Sequence[float]],
) -> pd.DataFrame:
    """Return a row per printed number: the printed value, ours with its 95 % interval, and whether it lies inside.

    Numbers that the comparison does not have are left out.

    Args:
        printed: as `read_printed` returns it.
        means: of the arms, as `tfseg.statistics.arm_means` returns them; other metrics have Student's interval over
            the subjects.
        scores: of all cases, arms in the column `loss`.
        diagonal_mm: case → diagonal of its volume.
        epochs: arm → how many each of its networks was trained, if they may stop early; Student's interval over them.

    Returns:
        Columns `arm, label, metric, printed, here, low, high, inside` ("yes", "no", or "" if there is no interval).
    """
    own = _intervals(scores, diagonal_mm, set(printed["metric"]) - set(means["metric"]))
    trained = _trained(printed[printed["metric"] == EPOCHS], epochs)
    here = pd.concat([means.rename(columns={"mean": "here"})[[*KEYS, "here", "low", "high"]], own, trained])
    table = printed.rename(columns={"value": "printed"}).merge(here, on=KEYS)
    known = table.dropna(subset=["low", "high"])
    is_inside = known["printed"].between(known["low"], known["high"])
    return table.assign(inside=is_inside.map({True: "yes", False: "no"}).reindex(table.index, fill_value=""))


def reproduced(beside: pd.DataFrame) -> str:
    """Say in a sentence how many printed numbers lie inside their interval, as `beside_printed` returns them.

    >>> reproduced(pd.DataFrame({"inside": ["yes", "no", ""]}))
    '1 of 2 numbers of the printed study lies inside the 95 % interval found here; 1 more has no interval.'
    """
    counts = beside["inside"].value_counts()
    inside, without = counts.get("yes", 0), counts.get("", 0)
    if without == len(beside):
        return f"None of the {without} numbers of the printed study can be judged: they have no interval here."
    lies = "lies" if inside == 1 else "lie"
    more = f"; {without} more {'has' if without == 1 else 'have'} no interval" if without else ""
    judged = f"{inside} of {len(beside) - without} numbers of the printed study"
    return f"{judged} {lies} inside the 95 % interval found here{more}."


def _trained(printed: pd.DataFrame, epochs: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Return the mean and interval over networks of the epochs of every arm and label that has a printed number."""
    rows = [
        (arm, label, EPOCHS, np.mean(epochs[arm]), *t_interval(np.asarray(epochs[arm], float)))
        for arm, label in printed[["arm", "label"]].itertuples(index=False)
        if arm in epochs
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "here", "low", "high"])


def _intervals(scores: pd.DataFrame, diagonal_mm: Mapping[str, float], metrics: set[str]) -> pd.DataFrame:
    """Return the mean and interval over subjects of metrics by which arms are not compared."""
    rows = []
    chosen = scores[scores["metric"].isin(metrics)]
    if len(chosen):
        values = subject_values(chosen, diagonal_mm)
        arm = arm_column(chosen)
        for (name, label, metric), own in values.groupby([arm, "label", "metric"], sort=False)["penalised"]:
            rows.append((name, label, metric, own.mean(), *t_interval(own.dropna().to_numpy())))
    return pd.DataFrame(rows, columns=[*KEYS, "here", "low", "high"])
