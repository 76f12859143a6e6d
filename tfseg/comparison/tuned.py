"""Arms that are tuned within each fold, beside the same arms as they are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tfseg.comparison.study import Arm
from tfseg.config.yaml_files import read_yaml
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.runs.folder import read_json

RECORD, CHOSEN = "tuning.yaml", "tuned.json"
SUFFIX = " (tuned)"


@dataclass(frozen=True)
class Budget:
    """Budget of every arm's tuning: `trials` in every fold, and the `space` as its file holds it, with `search`."""

    trials: int
    space: Mapping[str, Any]

    def joined_to(self, path: Path) -> None:
        """Check that a comparison was tuned in the same way, if it was.

        Raises:
            ConfigError: if it was not, naming what differs.
        """
        if not path.is_file():
            return
        earlier = read_budget(path)
        if earlier != self:
            what = "--tune-budget" if earlier.trials != self.trials else "--space"
            raise ConfigError(f"{path.parent}: was tuned with another {what}; choose another folder with --out")

    def write(self, path: Path) -> None:
        """Write what `read_budget` reads."""
        files.write_text(path, yaml.safe_dump({"trials": self.trials, "space": dict(self.space)}, sort_keys=False))


def read_budget(path: Path) -> Budget:
    """Read how a comparison is tuned.

    Raises:
        ConfigError: if the file is damaged.
    """
    values = read_yaml(path)
    if not isinstance(values.get("trials"), int) or not isinstance(values.get("space"), dict):
        raise ConfigError(f"{path}: damaged: expected trials and a space")
    return Budget(values["trials"], values["space"])


def with_tuned(arms: Sequence[Arm]) -> tuple[Arm, ...]:
    """Return arms, each followed by the one that is tuned; tuned ones that are among them stay where they are.

    >>> [arm.name for arm in with_tuned([Arm.of_loss({"name": "dice"})])]
    ['dice', 'dice (tuned)']
    """
    own = [arm for arm in arms if not is_tuned(arm.name)]
    return tuple(each for arm in own for each in (arm, Arm(arm.name + SUFFIX, arm.overrides)))


def is_tuned(arm: str) -> bool:
    """Return whether an arm is tuned, by its name."""
    return arm.endswith(SUFFIX)


def record_choice(cell: Path, values: Mapping[str, Any], score: float, trials: int) -> None:
    """Write into a cell's folder which values were chosen for it."""
    files.write_text(cell / CHOSEN, json.dumps({"values": values, "score": score, "trials": trials}))


def read_choice(cell: Path) -> dict[str, Any]:
    """Read what `record_choice` wrote.

    Raises:
        RunError: if the file is damaged.
    """
    choice: dict[str, Any] = read_json(cell / CHOSEN)
    return choice


def side_by_side(means: pd.DataFrame, label: str, metric: str, is_higher_better: bool) -> pd.DataFrame:
    """Return every arm's mean as it is and tuned, and its place among the others, 1 for the best.

    Args:
        means: as `tfseg.statistics.arm_means` returns them.
        label, metric: of the primary question.
        is_higher_better: whether a higher value is better.

    Returns:
        Columns `arm, default, tuned, default_place, tuned_place`; arms of which both are finished.
    """
    asked = means[(means["label"] == label) & (means["metric"] == metric)].set_index("arm")["mean"]
    arms = [arm for arm in asked.index if not is_tuned(arm) and arm + SUFFIX in asked]
    table = pd.DataFrame(
        {"arm": arms, "default": [asked[arm] for arm in arms], "tuned": [asked[arm + SUFFIX] for arm in arms]}
    )
    for column in ("default", "tuned"):
        table[f"{column}_place"] = table[column].rank(ascending=not is_higher_better, method="min").astype(int)
    return table


def sentence(table: pd.DataFrame) -> str:
    """Say whether tuning turns the order of the arms.

    Args:
        table: as `side_by_side` returns it.
    """
    orders = [" > ".join(table.sort_values(f"{column}_place", kind="stable")["arm"]) for column in ("default", "tuned")]
    if orders[0] == orders[1]:
        return f"Tuned or not, the order of the means is {orders[0]}."
    return f"Tuning turns the order of the means: {orders[0]} as they are, {orders[1]} if each is tuned."
