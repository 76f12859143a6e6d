"""Search hyper-parameters on validation subjects, and train the best ones again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tfseg import losses
from tfseg.cli.datasets import Source
from tfseg.cli.setting import Setting, check_devices, set_up
from tfseg.cli.terminal import Terminal
from tfseg.config.config import Config
from tfseg.core import files
from tfseg.core.claims import add_records, claim, claimed
from tfseg.core.errors import ConfigError, RunError
from tfseg.core.folds import fold_folder
from tfseg.core.resumable import resumable
from tfseg.core.words import duration
from tfseg.datasets.splits import Split, to_json
from tfseg.prepared.prepared import Prepared
from tfseg.reports.run import write_report
from tfseg.reports.sweep import write_sweep
from tfseg.runs.cells import Cell, collect, write_scores
from tfseg.runs.environment import (
    SAME,
    describe_environment,
    describe_network,
    describe_start,
    imported_networks,
    same_config,
    with_pooling,
    with_threads,
)
from tfseg.runs.folder import is_finished, read_scores
from tfseg.runs.parallel import run_cells_in
from tfseg.runs.pools import OneAtATime, Parallel, Pool, ray_pool
from tfseg.tuning.checks import check_space
from tfseg.tuning.folder import BEST, BEST_RUN, LUCK, SPACE, check_same_space, space_text
from tfseg.tuning.proposals import resolve_search
from tfseg.tuning.search import SearchConfig
from tfseg.tuning.space import Space
from tfseg.tuning.sweep import Sweep, best_row, elapsed_s
from tfseg.tuning.trials import cells_of, describe, describe_lengths, inner_splits, score_of, untested

INNER = "inner_splits.json"


@dataclass(frozen=True)
class Searching:
    """The space, the settings of the search and the place where trials are trained, which all searches share."""

    space: Space
    search: SearchConfig
    prepared: Prepared
    devices: str | None
    pool: Pool
    is_parallel: bool
    terminal: Terminal

    def train(self, cells: Sequence[Cell], stop_after: int | None) -> Mapping[str, str]:
        """Train cells in the pool, each with the pooling that suits its own depth, and show the progress."""
        if not cells:
            return {}
        cells = [replace(cell, config=with_pooling(cell.config, self.prepared)) for cell in cells]
        with self.terminal.training("trials", len(cells), at_once=self.is_parallel) as listener:
            return run_cells_in(self.pool, cells, self.prepared, self.devices, listener, stop_after)


def tune(
    config: Config,
    space: Space,
    search: SearchConfig,
    source: Source,
    out: Path,
    splits: Path | None,
    devices: str | None,
    command: str,
    fold: int,
    nested: bool,
    parallel: Parallel | None,
) -> None:
    """Search a space on the validation subjects of a fold, or of every fold; print the best values and the paths.

    Raises:
        ConfigError: if the call, the config, the space or the folder to write is wrong.
        DataError: if the data cannot be used.
        RunError: if every trial of a search failed.
    """
    terminal = Terminal()
    examples = check_space(space, config)
    asked_fields, space = space.fields, space.applicable_to(config)
    search = resolve_search(search, space, config)
    check_same_space(out, space, search)
    asked = config
    config = with_threads(config, out, parallel.threads(search.trials or 1) if parallel else None)
    chosen = check_devices([config, *examples], devices, one_each=True)
    records = {"config.yaml": config.to_yaml(), **describe_start(config), **describe_network(config)}
    with resumable(out), claimed(out, records, "sweep", SAME):
        setting = set_up([config, *examples], [config.seed], source, out, splits, terminal)
        folds = setting.folds[config.seed]
        if not 0 <= fold < len(folds):
            raise ConfigError(f"--fold: expected 0 to {len(folds) - 1}, received {fold}")
        searched = folds if nested else [folds[fold]]
        inner = [each for split in searched for each in inner_splits(split, search.inner_folds, config.seed)]
        add_records(out, {**setting.records(config.seed), INNER: to_json(inner)}, "sweep")
        files.write_text(out / SPACE, space_text(space, search))
        for field in asked_fields:
            if field not in space.fields:
                terminal.say(f"{field} is not searched: its condition does not hold")
        if lengths := describe_lengths(space, search, config):
            terminal.say(lengths)
        more = {"command": command, "seed": config.seed, "phantoms": source.is_phantoms, **imported_networks([config])}
        environment = describe_environment(setting.prepared, chosen, config.training.threads or 1, **more)
        with opened_pool(parallel, config, devices, terminal) as pool:
            how = Searching(space, search, setting.prepared, devices, pool, parallel is not None, terminal)
            places = {fold_folder(out, number): number for number in range(len(folds))} if nested else {out: fold}
            for place, number in places.items():
                _search_fold(place, config, asked, how, setting, folds[number], number, environment)
        if nested:
            arm = losses.title(config.loss)
            _collect_nested(out, [place / BEST_RUN for place in places], arm, folds, setting.prepared)
    if nested:
        terminal.show_summary(read_scores(out / "summary.csv"), "Outer test subjects, mean", setting.prepared.unit)
        terminal.show_paths(out, "scores.csv", "summary.csv")
    for place in places:
        terminal.show_paths(place, "report.html", "trials.csv", BEST)


@contextmanager
def opened_pool(parallel: Parallel | None, config: Config, devices: str | None, terminal: Terminal) -> Iterator[Pool]:
    """Yield where networks are trained: on Ray, or one at a time on this machine."""
    if parallel is None:
        yield OneAtATime()
        return
    terminal.say("starting Ray ..." if parallel.address is None else f"connecting to {parallel.address} ...")
    with ray_pool(parallel, config.training.threads or 1, devices) as pool:
        yield pool


def search_space(out: Path, config: Config, how: Searching, split: Split) -> tuple[Sweep, pd.DataFrame]:
    """Search on the training and validation subjects of a split; return the sweep and its table.

    Raises:
        ConfigError: if the folder holds a search on other subjects.
        RunError: if no trial was trained to its end.
    """
    inner = inner_splits(split, how.search.inner_folds, config.seed)
    add_records(out, {INNER: to_json(inner)}, "sweep")
    sweep = Sweep(out, config, how.space, how.search, inner)
    table = sweep.run(how.train)
    if not (table["status"] == "finished").any():
        raise RunError(f"{out}: no trial was trained to its end")
    return sweep, table


def _search_fold(
    out: Path,
    config: Config,
    asked: Config,
    how: Searching,
    setting: Setting,
    split: Split,
    fold: int,
    environment: str,
) -> None:
    """Search one fold, train the best values again under the next seed, and report."""
    files.write_text(out / SPACE, space_text(how.space, how.search))  # a grid may have grown
    files.write_text(out / "config.yaml", config.to_yaml())
    files.write_text(out / "environment.json", environment)
    sweep, table = search_space(out, config, how, split)
    best = best_row(table)
    trial = sweep.trial(best)
    training = trial.config.training.model_copy(update={"threads": asked.training.threads})
    files.write_text(out / BEST, trial.config.model_copy(update={"training": training}).to_yaml())
    how.terminal.say(f"best of {len(table)} trials: {trial_title(best)}")
    again = with_pooling(trial.config.model_copy(update={"seed": config.seed + 1}), setting.prepared)
    run = out / BEST_RUN
    _set_aside(run, again)
    records = {"config.yaml": again.to_yaml(), "splits.json": to_json([split]), **describe_network(again)}
    claim(run, {**records, **setting.inputs}, same=SAME)
    files.write_text(run / "environment.json", environment)
    cell = Cell("the best, trained again", losses.title(again.loss), again, split, 0, run)
    failed = dict(how.train([] if is_finished(cell.folder) else [cell], None))
    if len(sweep.splits) > 1:
        repeated = replace(trial, config=again, training=untested(again))
        cells = [each for each in cells_of(repeated, sweep.splits, out) if not is_finished(each.folder)]
        failed |= how.train(cells, None)
        score = score_of(repeated.run(out), len(sweep.splits), how.search.watch, again.total_epochs)
    else:
        score = score_of(run, 1, how.search.watch, again.total_epochs)
    if failed or score is None:
        raise RunError(f"the best values failed under another seed: {next(iter(failed.values()), 'no score')}")
    files.write_text(out / LUCK, json.dumps({"best": float(best["score"]), "again": score}))
    if not (run / "report.html").is_file():
        collect(run, setting.prepared, [split])
        write_report(run)
    for sentence in write_sweep(out):
        how.terminal.say(sentence)
    how.terminal.say(f"the search took {duration(elapsed_s(out))}; fold {fold} gave its validation subjects")


def _set_aside(run: Path, config: Config) -> None:
    """Rename the run of values that were best before, if a longer search has found better ones."""
    path = run / "config.yaml"
    if path.is_file() and not same_config(path.read_text(encoding="utf-8"), config.to_yaml()):
        number = sum(1 for _ in run.parent.glob(f"{run.name}_before_*")) + 1
        run.rename(run.with_name(f"{run.name}_before_{number}"))


def trial_title(row: Mapping[str, Any]) -> str:
    """Return the values and the score of a row of `trials.csv`."""
    return f"{describe(json.loads(row['values']))}: {row['score']:.4f}"


def _collect_nested(out: Path, runs: Sequence[Path], arm: str, folds: Sequence[Split], prepared: Prepared) -> None:
    """Write the scores of the outer test subjects, each by the winner of its own fold; all are of one arm."""
    tables = [read_scores(run / "scores.csv").assign(fold=fold, arm=arm) for fold, run in enumerate(runs)]
    scores = pd.concat(tables, ignore_index=True)
    tested = [subject for split in folds for subject in split.test]
    write_scores(out, scores, prepared, tested)
