"""Tune the arms of a comparison within each fold, on its validation subjects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfseg.cli.terminal import Terminal
from tfseg.cli.tune import Searching, opened_pool, search_space
from tfseg.comparison.study import Study
from tfseg.comparison.tuned import RECORD, Budget, is_tuned, read_budget, record_choice, with_tuned
from tfseg.config.config import Config
from tfseg.config.yaml_files import read_yaml
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split
from tfseg.prepared.prepared import Prepared
from tfseg.runs.cells import Cell
from tfseg.runs.folder import is_finished
from tfseg.runs.pools import Parallel
from tfseg.tuning.checks import check_space
from tfseg.tuning.proposals import resolve_search
from tfseg.tuning.search import SearchConfig
from tfseg.tuning.space import Space, parse_space
from tfseg.tuning.sweep import best_row
from tfseg.tuning.trials import inner_splits

# Fields that may differ between arms; any other would change what they see, or for how long.
SEARCHED = (
    "loss",
    *(
        f"training.{name}"
        for name in ("learning_rate", "weight_decay", "optimizer", "momentum", "clip_norm", "l1", "schedule")
    ),
)
SWEEPS = "sweeps"


@dataclass(frozen=True)
class Tuning:
    """Tuning of the arms of a comparison.

    Raises:
        ConfigError: if the space holds what a comparison holds equal, or a search of unequal cost.
    """

    budget: Budget

    def __post_init__(self) -> None:
        space = self.space
        for field in space.fields:
            if not any(field == each or field.startswith(f"{each}.") for each in SEARCHED):
                raise ConfigError(
                    f"--space: {field} is held equal in a comparison; it may search {', '.join(SEARCHED)}"
                )
        if space.search.halving or space.search.hours:
            raise ConfigError("--space: every loss gets the same trials and epochs; leave out halving and hours")

    @property
    def space(self) -> Space:
        """The fields to search."""
        return parse_space(dict(self.budget.space), "--space")

    def of_arm(self, name: str, config: Config) -> tuple[Space, SearchConfig]:
        """Return what is searched for an arm, and how, with the budget of all arms.

        Raises:
            ConfigError: if nothing can vary, the configuration does not take a value, or the budget is smaller than a
                batch or larger than the space.
        """
        check_space(self.space, config)
        space = self.space.applicable_to(config)
        asked = space.search.model_copy(
            update={"trials": self.budget.trials, "method": space.search.method or "random"}
        )
        resolved = resolve_search(asked, space, config)
        points = sum(1 for _ in space.points(config)) if all(each.is_list for each in space.parameters) else None
        if points is not None and points < self.budget.trials:
            raise ConfigError(
                "--tune-budget: every loss gets the same number of trials, "
                f"but the space has {points} combinations for {name}; received {self.budget.trials}"
            )
        return space, resolved

    def check_folds(self, folds: Iterable[Split]) -> None:
        """Check that every fold has enough subjects for the inner folds.

        Raises:
            ConfigError: if one has fewer.
        """
        for split in folds:
            inner_splits(split, self.space.search.inner_folds, seed=0)


def tuning_of(out: Path, trials: int | None, space: Path | None) -> Tuning | None:
    """Return how a comparison is tuned: as asked, or as it was begun; None if neither.

    Raises:
        ConfigError: if only one of trials and space is given, or a comparison was begun otherwise.
    """
    if (trials is None) != (space is None):
        raise ConfigError("--tune-budget and --space need each other: how many trials, and of what")
    if trials is None or space is None:
        return Tuning(read_budget(out / RECORD)) if (out / RECORD).is_file() else None
    budget = Budget(trials, read_yaml(space))
    budget.joined_to(out / RECORD)
    return Tuning(budget)


def tuned_study(study: Study, tuning: Tuning) -> Study:
    """Return a study with a tuned arm after every arm.

    Raises:
        ConfigError: as `Tuning.of_arm`.
    """
    study = replace(study, arms=with_tuned(study.arms))
    for arm, config in study.configs(study.config.seed):
        tuning.of_arm(arm.name, config)
    return study


def choose(
    cells: Sequence[Cell],
    tuning: Tuning,
    out: Path,
    prepared: Prepared,
    devices: str | None,
    parallel: Parallel | None,
    terminal: Terminal,
) -> list[Cell]:
    """Search for every tuned cell that is not finished; return all cells, these with the values that validate best.

    Raises:
        RunError: if every trial of a cell failed.
    """
    waiting = [cell for cell in cells if is_tuned(cell.arm) and not is_finished(cell.folder)]
    if not waiting:
        return list(cells)
    chosen: dict[Path, Cell] = {}
    with opened_pool(parallel, waiting[0].config, devices, terminal) as pool:
        for cell in waiting:
            space, search = tuning.of_arm(cell.arm, cell.config)
            how = Searching(space, search, prepared, devices, pool, parallel is not None, terminal)
            terminal.say(f"tuning {cell.name}")
            place = out / SWEEPS / cell.run.name / cell.folder.name
            sweep, table = search_space(place, cell.config, how, cell.split)
            best = best_row(table)
            trial = sweep.trial(best)
            cell.folder.mkdir(parents=True, exist_ok=True)
            record_choice(cell.folder, trial.values, float(best["score"]), len(table))
            chosen[cell.folder] = replace(cell, config=trial.config)
    return [chosen.get(cell.folder, cell) for cell in cells]
