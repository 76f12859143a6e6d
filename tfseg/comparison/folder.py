"""Read a comparison folder."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from tfseg import statistics
from tfseg.comparison import fairness
from tfseg.comparison.contestants import caution, contestants_of, note, with_contestants
from tfseg.comparison.endpoint import Endpoint, read_endpoint
from tfseg.comparison.grid import by_arm
from tfseg.comparison.means import means_and_failures
from tfseg.comparison.printed import KEYS, beside_printed
from tfseg.comparison.study import arm_names, without_seed
from tfseg.comparison.tuned import RECORD, Budget, is_tuned, read_budget, read_choice, side_by_side
from tfseg.config.yaml_files import read_yaml
from tfseg.core import files
from tfseg.core.errors import ConfigError, RunError
from tfseg.core.folds import fold_folder
from tfseg.datasets.splits import Split
from tfseg.evaluation.networks import diagonals_mm
from tfseg.metrics import metric_of
from tfseg.metrics.summary import MEAN_LABEL
from tfseg.prediction.model import Model, joined
from tfseg.prepared.prepared import Prepared
from tfseg.runs.folder import FAILURE, Run, read_json, read_run, read_scores, require
from tfseg.runs.members import model_of
from tfseg.statistics import Question

PRINTED = "printed.csv"  # numbers of the study whose protocol a comparison follows


@dataclass(frozen=True)
class Comparison:
    """The content of a comparison folder: finished runs, their scores, and failures with their reasons."""

    folder: Path
    runs: list[Run]
    scores: pd.DataFrame
    failed: Mapping[str, str]
    environment: dict[str, Any]

    @property
    def prepared(self) -> Prepared:
        """The prepared folder that all runs were trained on."""
        return self.runs[0].prepared

    @property
    def losses(self) -> list[str]:
        """The names of the arms, in the order of the study."""
        return list(self.scores["loss"].unique())

    @property
    def labels(self) -> list[str]:
        """The names of what is scored, in order, followed by "mean" if there are several."""
        names = self.runs[0].labels
        return [*names, MEAN_LABEL] if len(names) > 1 else names

    @cached_property
    def diagonals(self) -> Mapping[str, float]:
        """Case → diagonal of its volume, in the unit of distances."""
        return diagonals_mm(self.prepared.cases_of(self.scores["subject"].unique()))

    @cached_property
    def questions(self) -> dict[tuple[str, str], Question]:
        """Label and metric → the values of every arm on the same subjects."""
        asked = statistics.questions(self.scores, self.diagonals, masks=self.contestants)
        return {(each.label, each.metric): each for each in asked}

    @cached_property
    def contestants(self) -> dict[str, dict[str, str]]:
        """The masks of methods that were trained elsewhere: name → case → path."""
        return contestants_of(self.folder)

    @property
    def mask_folders(self) -> dict[str, str]:
        """The folder of every contestant's masks."""
        return {name: os.path.commonpath(map(os.path.dirname, of.values())) for name, of in self.contestants.items()}

    @property
    def caution(self) -> list[str]:
        """A sentence about the contestants, if there are any."""
        return [caution(self.contestants)] if self.contestants else []

    @cached_property
    def budget(self) -> Budget | None:
        """Return the budget that the arms were tuned with, if they were."""
        return read_budget(self.folder / RECORD) if (self.folder / RECORD).is_file() else None

    @cached_property
    def tuned(self) -> pd.DataFrame:
        """Every arm as it is and tuned, by the primary question."""
        label, metric = self.primary
        return side_by_side(self.means, label, metric, metric_of(metric).better == "higher")

    @cached_property
    def choices(self) -> pd.DataFrame:
        """Return the values chosen for every tuned network: columns `arm, seed, fold, values, score`."""
        chosen = [
            {"arm": run.arm, "seed": run.config.seed, "fold": fold, **read_choice(fold_folder(run.folder, fold))}
            for run in self.runs
            if is_tuned(run.arm)
            for fold in run.numbers
        ]
        return pd.DataFrame(chosen, columns=["arm", "seed", "fold", "values", "score"])

    @cached_property
    def endpoint(self) -> Endpoint:
        """Return the primary question of the study."""
        path = self.folder / "study.yaml"
        return read_endpoint(read_yaml(path), str(path))

    @property
    def primary(self) -> tuple[str, str]:
        """Label and metric of the primary question."""
        return self.endpoint.question(self.runs[0].labels)

    @cached_property
    def tests(self) -> pd.DataFrame:
        """Every pair of arms on every question, with its verdict."""
        trained = [len(split["train"]) for run in self.runs for split in run.splits]
        return statistics.compare_arms(
            list(self.questions.values()),
            primary=self.primary,
            margins=self.endpoint.margins,
            training_subjects=sum(trained) / len(trained),
        )

    @cached_property
    def means(self) -> pd.DataFrame:
        """The mean of every arm on every question, and the number of its cases in which masks are empty."""
        return means_and_failures(self.scores, list(self.questions.values()))

    @cached_property
    def beside_printed(self) -> pd.DataFrame | None:
        """The numbers of the printed study beside these; None if the comparison follows none, or shares no number."""
        path = self.folder / PRINTED
        if not path.is_file():
            return None
        with files.reading(path):
            printed = pd.read_csv(path, dtype=dict.fromkeys(KEYS, str), keep_default_na=False)
        if self.prepared.in_pixels:  # printed distances are millimetres
            printed = printed[[not metric_of(name).is_distance for name in printed["metric"]]]
        stopping = {run.arm for run in self.runs if run.config.training.patience is not None}
        epochs = {str(arm): own["epochs"].to_list() for arm, own in self.cells.groupby("loss") if arm in stopping}
        table = beside_printed(printed, self.means, self.scores, self.diagonals, epochs)
        return table if len(table) else None

    @property
    def protocol(self) -> dict[str, Any]:
        """The mode and scale of the study that the comparison follows, and the number of subjects it keeps to."""
        found: dict[str, Any] = read_yaml(self.folder / "study.yaml").get("protocol", {})
        return found

    @property
    def selects_on_test(self) -> bool:
        """Whether subjects that are scored also chose the epoch."""
        return fairness.selects_on_test([split for run in self.runs for split in run.splits])

    @cached_property
    def noted_tests(self) -> pd.DataFrame:
        """As `tests`; the note of a pair also says if its networks are doubtful, or its masks of unknown making."""
        masks = {name: note(name) for name in self.contestants}
        return fairness.with_notes(self.tests, {**fairness.network_notes(self.cells), **masks})

    @property
    def caveat(self) -> list[str]:
        """A sentence that names the doubtful networks behind the primary question, if there are any."""
        primary = self.tests[self.tests["role"] == statistics.Role.PRIMARY]
        return fairness.caveat(primary, fairness.network_notes(self.cells))

    @property
    def answers(self) -> list[fairness.Answer]:
        """Whether this was a fair experiment, question by question."""
        splits = [split for run in self.runs for split in run.splits]
        configs = [run.config for run in self.runs]
        return [*fairness.network_answers(self.cells), *fairness.study_answers(configs, splits, self.cells)]

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per network: arm, seed, fold, and the content of its `fold.json`."""
        return pd.DataFrame(
            {"checks": {}, "loss": run.arm, "seed": run.config.seed, "fold": fold, **cell}
            for run in self.runs
            for fold, cell in zip(run.numbers, run.folds, strict=True)
        )


def read_comparison(folder: Path) -> Comparison:
    """Read a comparison folder: its study, and the scores of all finished runs and of contestants.

    Raises:
        ConfigError: if the study is damaged.
        RunError: if a file is missing or damaged, a run was made with other splits, naming it, or no run is finished.
    """
    require(*(folder / name for name in ("study.yaml", "splits.json", "environment.json")))
    folds = read_json(folder / "splits.json")
    paths = [path for path in sorted((folder / "runs").iterdir()) if (path / "scores.csv").is_file()]
    for path in paths:
        require(path / "splits.json")
        if read_json(path / "splits.json") not in folds.values():
            raise RunError(f"{path}: made with other splits than {folder / 'splits.json'}: no fair comparison")
    runs = [read_run(path) for path in paths]
    if not runs:
        raise RunError(f"{folder}: no run is finished; run tfseg compare again")
    order = {arm: place for place, arm in enumerate(arm_names(folder / "study.yaml"))}
    runs.sort(key=lambda run: (order.get(run.arm, len(order)), run.config.seed))
    scores = by_arm(with_contestants(pd.concat([run.scores for run in runs], ignore_index=True), folder))
    failures = map(read_json, sorted(folder.glob(f"runs/*/*/{FAILURE}")))
    failed = {f"{each['arm']}, seed {each['seed']}, fold {each['fold']}": each["reason"] for each in failures}
    return Comparison(folder, runs, scores, failed, read_json(folder / "environment.json"))


def keep_splits(path: Path, folds: Mapping[int, Sequence[Split]]) -> None:
    """Write the folds of every seed of a comparison; those of seeds that it holds from before must be the same.

    Raises:
        ConfigError: if they differ.
    """
    written = {str(seed): [asdict(split) for split in own] for seed, own in folds.items()}
    plain = json.loads(json.dumps(written))
    earlier = read_json(path) if path.is_file() else {}
    if not isinstance(earlier, dict) or any(plain.get(seed, own) != own for seed, own in earlier.items()):
        raise ConfigError(
            f"{path.parent}: holds a comparison with another splits.json; choose another folder with --out"
        )
    files.write_text(path, json.dumps({**earlier, **plain}, indent=1))


def model_of_arm(folder: Path, arm: str, trusted: Collection[str] = ()) -> Model:
    """Return the networks of an arm under every seed as one model, with a warning if seeds are not finished.

    Raises:
        ConfigError: if the comparison has no finished run of this arm, or a function that is not in `trusted` builds
            its networks.
        RunError: if a run is damaged.
    """
    runs = sorted((folder / "runs").glob("*"))
    finished = [run for run in runs if (run / "report.html").is_file()]
    runs_by_arm: dict[str, list[Path]] = {}
    for run in finished:
        runs_by_arm.setdefault(str(read_scores(run / "scores.csv")["arm"].iloc[0]), []).append(run)
    if arm not in runs_by_arm:
        known = ", ".join(runs_by_arm) or "none"
        raise ConfigError(f"--arm: expected one of the finished arms of {folder}, {known}; received {arm}")
    own = runs_by_arm[arm]
    model = joined([model_of(run, trusted=trusted) for run in own], f"{folder.resolve().name}, {arm}")
    names = {without_seed(run.name) for run in own}
    missing = [run.name for run in runs if run not in finished and without_seed(run.name) in names]
    if not missing:
        return model
    return replace(model, warnings=(*model.warnings, f"{folder}: without {', '.join(missing)}, not finished"))
