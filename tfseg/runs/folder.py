"""Read a run folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tfseg.config.config import Config, load_config
from tfseg.core import files
from tfseg.core.errors import ConfigError, RunError
from tfseg.core.folds import files_of_folds, fold_folder
from tfseg.evaluation.scored import scored_labels
from tfseg.prepared.prepared import Prepared

TEXT_COLUMNS = ("arm", "loss", "subject", "case", "label", "metric")
FAILURE, STOPPED = "failure.json", "stopped.json"
FINAL, FINAL_DESCRIPTION = "final", "final.json"


@dataclass(frozen=True)
class Run:
    """The content of a run folder and its prepared folder.

    `numbers`, `splits`, `histories` and `folds` have one entry per finished fold; `failed`: fold → reason; `final`
    describes the network that was trained on all subjects, if there is one.
    """

    folder: Path
    config: Config
    environment: dict[str, Any]
    numbers: list[int]
    failed: dict[int, str]
    splits: list[dict[str, list[str]]]
    histories: list[pd.DataFrame]
    folds: list[dict[str, Any]]
    scores: pd.DataFrame
    summary: pd.DataFrame
    prepared: Prepared
    final: dict[str, Any] | None = None

    @property
    def arm(self) -> str:
        """The name of the run's arm in a comparison; the loss's title if the run is not part of one."""
        return str(self.scores["arm"].iloc[0])

    @property
    def labels(self) -> list[str]:
        """The names of the scored labels or regions, in order."""
        return scored_labels(self.prepared, self.config.scoring)

    @property
    def planned_folds(self) -> int:
        """The number of planned folds."""
        return len(self.numbers) + len(self.failed)


def read_run(folder: Path) -> Run:
    """Read a run folder, and open the prepared folder that it was trained on.

    Raises:
        RunError: if a file is missing or damaged (naming it), or run and prepared folder do not belong together.
        DataError: if the prepared folder is missing or damaged.
    """
    names = ("config.yaml", "environment.json", "splits.json", "scores.csv", "summary.csv")
    require(*(folder / name for name in names))
    environment = read_json(folder / "environment.json")
    splits = read_folds(folder)
    failed = read_failures(folder)
    numbers = [fold for fold in range(len(splits)) if fold not in failed]
    parts = [fold_folder(folder, fold) for fold in numbers]
    require(*(part / name for part in parts for name in ("history.csv", "fold.json", "predictions")))
    prepared = open_prepared(folder)
    scores = read_scores(folder / "scores.csv")
    for fold in numbers:
        if unscored := set(splits[fold]["test"]) - set(scores.loc[scores["fold"] == fold, "subject"]):
            raise RunError(f"{folder / 'scores.csv'}: no scores in fold {fold} of {', '.join(sorted(unscored)[:5])}")
    return Run(
        folder=folder,
        config=load_config(folder / "config.yaml"),
        environment=environment,
        numbers=numbers,
        failed=failed,
        splits=[splits[fold] for fold in numbers],
        histories=[read_history(part / "history.csv") for part in parts],
        folds=[read_fold(part) for part in parts],
        scores=scores,
        summary=read_scores(folder / "summary.csv"),
        prepared=prepared,
        final=read_json(final) if (final := folder / FINAL / FINAL_DESCRIPTION).is_file() else None,
    )


def open_prepared(run: Path) -> Prepared:
    """Open the folder that a run was trained on, at its recorded place, in the run, or in the run's comparison.

    Raises:
        RunError: if it has changed since.
        DataError: if it is missing or damaged.
    """
    environment = read_json(run / "environment.json")
    with files.reading(run / "environment.json"):
        written = Path(environment["prepared"])
    places = [written, run / written.name, run.resolve().parents[1] / written.name]
    prepared = Prepared(next((place for place in places if (place / "index.csv").is_file()), written))
    if environment.get("prepared_sha256", prepared.digest) != prepared.digest:
        raise RunError(f"{prepared.folder}: changed since {run} was trained on it (its hash differs)")
    return prepared


def networks_of(run: Path, fold: int | None = None) -> list[Path]:
    """Return the networks of a run's finished folds, or of one fold.

    Raises:
        ConfigError: if the run or the fold is not finished.
    """
    if (run / "study.yaml").is_file():
        runs = sorted(f"{path}" for path in (run / "runs").glob("*"))
        raise ConfigError(f"{run} is a comparison; expected one of its runs, such as {', '.join(runs[:3]) or 'none'}")
    if not (run / "report.html").is_file():
        raise ConfigError(f"{run} is not a finished run: fit writes report.html last")
    numbers = [number for number in range(len(read_folds(run))) if is_finished(fold_folder(run, number))]
    if not numbers:
        raise ConfigError(f"{run}: no fold is finished")
    if fold is not None and fold not in numbers:
        raise ConfigError(f"--fold: expected one of {', '.join(map(str, numbers))}, received {fold}")
    return [fold_folder(run, number) / "best.keras" for number in numbers if fold in (None, number)]


def final_network_of(run: Path) -> Path:
    """Return the network that was trained on all subjects of a run.

    Raises:
        ConfigError: if there is none.
    """
    if not (run / FINAL / FINAL_DESCRIPTION).is_file():
        raise ConfigError(f"--final: {run} has no network trained on all subjects; tfseg fit --final adds it")
    return run / FINAL / "best.keras"


def read_failures(run: Path) -> dict[int, str]:
    """Return the failed folds of a run with the reasons.

    Raises:
        RunError: if a file is damaged, naming it.
    """
    reasons = {}
    for path in files_of_folds(run, FAILURE):
        failure = read_json(path)
        with files.reading(path):
            reasons[int(failure["fold"])] = str(failure["reason"])
    return dict(sorted(reasons.items()))


def read_folds(run: Path) -> list[dict[str, list[str]]]:
    """Read the `splits.json` of a run, the subjects of each fold.

    Raises:
        RunError: if it is damaged, naming it.
    """
    path = run / "splits.json"
    folds = read_json(path)
    with files.reading(path):
        if not folds:
            raise ValueError("expected at least one fold, received none")
        return [{part: list(map(str, fold[part])) for part in ("train", "val", "test")} for fold in folds]


def read_fold(folder: Path) -> dict[str, Any]:
    """Read the `fold.json` of a finished fold.

    Raises:
        RunError: if it is damaged, naming it.
    """
    path = folder / "fold.json"
    described = read_json(path)
    with files.reading(path):
        return {**described, "best_epoch": int(described["best_epoch"])}


def read_history(path: Path) -> pd.DataFrame:
    """Read the `history.csv` of a fold, with one row per epoch.

    Raises:
        RunError: if it is damaged, naming it.
    """
    with files.reading(path):
        return pd.read_csv(path).astype({"epoch": int})


def require(*paths: Path) -> None:
    """Raise `RunError` if a path does not exist."""
    if missing := [str(path) for path in paths if not path.exists()]:
        raise RunError(f"the run is not complete; missing {', '.join(missing[:5])}")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: if it is damaged, naming it.
    """
    with files.reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def read_scores(path: Path) -> pd.DataFrame:
    """Read a table of scores or a summary; only an empty number is NaN, since a label may be named NA.

    Raises:
        RunError: if it is damaged, naming it.
    """
    with files.reading(path):
        columns = pd.read_csv(path, nrows=0).columns
        if missing := {"label", "metric"} - set(columns):
            raise KeyError(*sorted(missing))
        empty = {column: [""] for column in columns if column not in TEXT_COLUMNS}
        dtypes = {column: str for column in TEXT_COLUMNS if column in columns}
        return pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=empty)


def is_finished(cell: Path) -> bool:
    """Return whether a cell's folder holds everything that `run_cell` writes."""
    return (cell / "scores.csv").is_file()
