"""Read a sweep folder, and decide whether a changed space may continue it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tfseg.config.config import Config, load_config, validate
from tfseg.config.yaml_files import read_yaml
from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.core.folds import files_of_folds
from tfseg.runs.folder import read_json, read_scores, require
from tfseg.tuning.search import SearchConfig
from tfseg.tuning.space import SEARCH, Space, read_space
from tfseg.tuning.sweep import FINISHED, TRIALS, best_row, elapsed_s

SPACE, LUCK, BEST, BEST_RUN = "space.yaml", "luck.json", "best.yaml", "best"
BUDGET = ("trials", "hours")  # may change


@dataclass(frozen=True)
class SweepFolder:
    """The content of a finished sweep.

    `again`: the score of the best values under another seed, on the same validation subjects; `summary`: of test
    subjects, by the network that was trained then; `seconds`: that the search took.
    """

    folder: Path
    config: Config
    space: Space
    search: SearchConfig
    trials: pd.DataFrame
    again: float
    summary: pd.DataFrame
    seconds: float
    environment: Mapping[str, Any]

    @property
    def best(self) -> dict[str, Any]:
        """The row of the best trial."""
        return best_row(self.trials)

    @property
    def finished(self) -> pd.DataFrame:
        """The trials that were trained to their end."""
        return self.trials[self.trials["status"] == FINISHED]


def read_sweep(folder: Path) -> SweepFolder:
    """Read a sweep folder.

    Raises:
        RunError: if a file is missing or damaged, naming it.
    """
    names = ("config.yaml", SPACE, TRIALS, LUCK, BEST, "environment.json")
    require(*(folder / name for name in names), folder / BEST_RUN / "summary.csv")
    space = read_space(folder / SPACE)
    with files.reading(folder / TRIALS):
        trials = pd.read_csv(folder / TRIALS)
    return SweepFolder(
        folder=folder,
        config=load_config(folder / "config.yaml"),
        space=space,
        search=space.search,
        trials=trials,
        again=float(read_json(folder / LUCK)["again"]),
        summary=read_scores(folder / BEST_RUN / "summary.csv"),
        seconds=elapsed_s(folder),
        environment=read_json(folder / "environment.json"),
    )


def sweeps_of(folder: Path) -> list[Path]:
    """Return the folders of the searches in a sweep folder: itself, or one per fold of a nested sweep."""
    return [path.parent for path in files_of_folds(folder, SPACE)] or [folder]


def space_text(space: Space, search: SearchConfig) -> str:
    """Return the text of `space.yaml`: the fields, and how they are searched."""
    values = space.to_values() | {SEARCH: search.model_dump(mode="json", exclude_none=True)}
    return yaml.safe_dump(values, sort_keys=False)


def check_same_space(out: Path, space: Space, search: SearchConfig) -> None:
    """Check that a search continues the one in a folder: the same space, or a grid that only has more values.

    Raises:
        ConfigError: if it differs, with the difference.
    """
    path = out / SPACE
    if not path.is_file():
        return
    earlier = read_yaml(path)
    before = validate(SearchConfig, earlier.pop(SEARCH, {}), str(path))
    now = json.loads(json.dumps(space.to_values()))
    if changed := [
        f"{name} {getattr(before, name)} → {getattr(search, name)}"
        for name in SearchConfig.model_fields
        if name not in BUDGET and getattr(before, name) != getattr(search, name)
    ]:
        raise ConfigError(
            f"{out}: was searched with other settings: {'; '.join(changed)}; choose another folder with --out"
        )
    grows = search.method == "grid"
    if differences := [each for each in _differences(earlier, now) if not (grows and each.startswith("+"))]:
        listed = "; ".join(differences)
        hint = "a grid may only gain values" if grows else f"what {search.method} proposes follows from the space"
        raise ConfigError(f"{out}: holds a sweep of another space: {listed}; {hint}; choose another folder with --out")


def _differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences between two spaces; values that were added to a list begin with +."""
    found = []
    for field in [*earlier, *(field for field in now if field not in earlier)]:
        before, after = earlier.get(field), now.get(field)
        if before == after:
            continue
        if before is None or after is None:
            found.append(f"{field} {'is new' if before is None else 'is gone'}")
            continue
        kind = next(iter(after))
        lists = before.get(kind), after[kind]
        same_rest = {**before, kind: None} == {**after, kind: None}
        if same_rest and kind in ("grid", "choice") and all(value in lists[1] for value in lists[0]):
            found.append(f"+{field} {[value for value in lists[1] if value not in lists[0]]}")
        else:
            found.append(f"{field} {before} → {after}")
    return found
