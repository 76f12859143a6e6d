"""The stages behind the commands: scans → prepared folder → run or comparison → report and SavedModel."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfseg import losses
from tfseg.cli.datasets import Source
from tfseg.cli.setting import set_up
from tfseg.cli.terminal import Terminal
from tfseg.comparison import estimate, grid
from tfseg.comparison.grid import Cell
from tfseg.comparison.study import Study
from tfseg.config.config import Config
from tfseg.core import files
from tfseg.core.errors import ConfigError, RunError
from tfseg.core.resumable import resumable
from tfseg.datasets.splits import Split
from tfseg.prepared.prepared import Prepared
from tfseg.reports.comparison import write_comparison
from tfseg.reports.run import write_report
from tfseg.runs.cell import claim, collect, run_folds
from tfseg.runs.environment import describe_start
from tfseg.runs.folder import is_finished, read_failures, read_scores
from tfseg.training.fit import make_loss


def with_loss(config: Config, text: str | None) -> Config:
    """Return the config with the loss of a command line, `tversky:alpha=0.3`, where one is given.

    Raises:
        ConfigError: where the loss is unknown or does not take its parameters.
    """
    try:
        if text is not None:
            name, settings = losses.parse(text)
            config = config.model_copy(update={"loss": {"name": name, **settings}})
        for stage in config.resolved_stages():
            make_loss(stage)
    except ValueError as error:
        raise ConfigError(f"loss: {error}") from error
    return config


def fit(
    config: Config, source: Source, out: Path | None, splits: Path | None, devices: str | None, command: str
) -> None:
    """Carry out the main job, and print its table and where things are.

    Raises:
        ConfigError: where the call, the config or the folder to write is wrong.
        DataError: where the data are.
        RunError: if a fold failed, after the others are finished and reported.
    """
    terminal = Terminal()
    title = losses.title(config.loss)
    out = out or Path("runs") / re.sub(r"[^A-Za-z0-9.=-]+", "_", title)
    made_by = {"config.yaml": config.to_yaml(), **describe_start(config)}
    with resumable(out):
        setting = set_up(config, source, out, made_by, splits, devices, command, terminal)
        if (out / "report.html").is_file() and not read_failures(out):
            terminal.say(f"{out} is finished already: nothing to train")
        else:
            files.write_text(out / "environment.json", setting.environment)
            (out / "report.html").unlink(missing_ok=True)  # one that stands says that all is finished
            with terminal.training(f"{title}: folds", len(setting.folds)) as listener:
                run_folds(config, setting.prepared, setting.folds, out, setting.strategy, listener)
            write_report(out)
    terminal.show_summary(read_scores(out / "summary.csv"), unit=setting.prepared.unit)
    terminal.show_paths(out, "report.html", "scores.csv", "summary.csv")
    if failed := read_failures(out):
        told = "; ".join(f"fold {fold}: {reason}" for fold, reason in failed.items())
        raise RunError(f"{len(failed)} of {len(setting.folds)} folds failed: {told}")


def compare(
    study: Study,
    source: Source,
    out: Path,
    splits: Path | None,
    devices: str | None,
    command: str,
    dry_run: bool,
) -> None:
    """Train every loss of a study on the same folds under the same seeds, and report which is better.

    Losses and seeds that `out` holds from before stay in the comparison.

    Raises:
        ConfigError: where the call, the study or the folder to write is wrong.
        DataError: where the data are.
        RunError: if a cell failed, after the others are finished and reported.
    """
    terminal = Terminal()
    study = study.joined_to(out / "study.yaml")
    if len(study.losses) < 2:
        listed = ", ".join(study.titles) or "none"
        raise ConfigError(f"a comparison needs two losses or more, as --losses dice,bce lists them; received {listed}")
    shared = {"config.yaml": study.shared_yaml(), **describe_start(study.config)}
    with resumable(out):
        setting = set_up(study.config, source, out, shared, splits, devices, command, terminal)
        cells = grid.make_grid(study, setting.folds, out)
        open_cells = [cell for cell in cells if not is_finished(cell.folder)]
        terminal.say(
            f"{len(study.losses)} losses × {len(setting.folds)} folds × {study.seeds} seeds: {len(cells)} networks, "
            f"{len(cells) - len(open_cells)} finished before"
        )
        if open_cells:
            with terminal.bar("measuring a few steps of every loss", len(study.losses)) as advance:
                needed = estimate.estimate(open_cells, setting.prepared, setting.strategy, out, advance)
            terminal.show_estimate(needed)
        if dry_run:
            return
        for run, config in study.runs().items():
            claim(out / "runs" / run, {"config.yaml": config.to_yaml(), **setting.made_by})
            files.write_text(out / "runs" / run / "environment.json", setting.environment)
        files.write_text(out / "environment.json", setting.environment)
        study.write(out / "study.yaml")
        with terminal.training("networks", len(cells)) as listener:
            failed = grid.run_grid(cells, setting.prepared, setting.strategy, listener)
        runs = finish_runs(cells, setting.prepared, setting.folds)
        told = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        problem = f"{len(failed)} of {len(cells)} networks failed, the same command tries them again: {told}"
        if len({losses.title(cell.config.loss) for cell in cells if cell.run in runs}) < 2:
            raise RunError(f"no two losses to compare. {problem}")
        summary = grid.write_tables(out, runs, setting.prepared)
        for sentence in write_comparison(out):
            terminal.say(sentence)
    terminal.show_losses(summary, setting.prepared.unit)
    terminal.show_paths(out, "report.html", "scores.csv", "tests.csv", "tables")
    if failed:
        raise RunError(problem)


def finish_runs(cells: Iterable[Cell], prepared: Prepared, folds: Sequence[Split]) -> list[Path]:
    """Write scores, summary and report of every run whose folds are all finished; return those runs."""
    finished = []
    for run in dict.fromkeys(cell.run for cell in cells):
        if not all(is_finished(run / f"fold_{fold}") for fold in range(len(folds))):
            continue
        if not (run / "report.html").is_file():
            collect(run, prepared, folds)
            write_report(run)
        finished.append(run)
    return finished
