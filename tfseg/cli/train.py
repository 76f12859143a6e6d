"""Train: cross-validate one configuration, or compare several arms."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from tfseg import losses
from tfseg.cli.datasets import Source
from tfseg.cli.setting import Setting, check_devices, set_up
from tfseg.cli.terminal import OUT_OF_FOLD, Terminal
from tfseg.cli.tuned import Tuning, choose, tuned_study
from tfseg.comparison import estimate, grid
from tfseg.comparison.contestants import add_contestants, contestants_of, find_contestants
from tfseg.comparison.folder import PRINTED, keep_splits
from tfseg.comparison.printed import read_printed
from tfseg.comparison.study import Study
from tfseg.comparison.tuned import RECORD, is_tuned
from tfseg.config.config import Config
from tfseg.core import files
from tfseg.core.claims import add_records, claim, claimed
from tfseg.core.errors import ConfigError, RunError
from tfseg.core.machine import usable_cores
from tfseg.core.resumable import resumable
from tfseg.datasets.splits import Split
from tfseg.evaluation.contestants import left_out
from tfseg.evaluation.scored import compared_metrics, scored_labels
from tfseg.prepared.prepared import Prepared
from tfseg.reports.comparison import write_comparison
from tfseg.reports.run import write_report
from tfseg.runs.cells import Cell, collect, epoch_steps, run_cells
from tfseg.runs.environment import (
    SAME,
    describe_environment,
    describe_network,
    describe_start,
    imported_networks,
    with_pooling,
    with_threads,
)
from tfseg.runs.final import final_config, final_epochs, train_final
from tfseg.runs.folder import FINAL, FINAL_DESCRIPTION, is_finished, read_failures, read_scores
from tfseg.runs.parallel import run_cells_in
from tfseg.runs.pools import Parallel, ray_pool
from tfseg.training.fit import make_loss
from tfseg.training.strategy import open_strategy


def with_loss(config: Config, text: str | None) -> Config:
    """Return the config with the loss of the command line, such as `tversky:alpha=0.3`, if one is given.

    Raises:
        ConfigError: if the loss is unknown or does not accept its parameters.
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
    config: Config,
    source: Source,
    out: Path | None,
    splits: Path | None,
    devices: str | None,
    command: str,
    final: bool = False,
    parallel: Parallel | None = None,
) -> None:
    """Cross-validate one configuration; print its table and the paths of the results.

    With `final`, also train one more network on all subjects; with `parallel`, train several folds at once on Ray.

    Raises:
        ConfigError: if the call, the config or the folder to write is wrong.
        DataError: if the data cannot be used.
        RunError: if a fold failed, after the others are finished and reported.
    """
    terminal = Terminal()
    title = losses.title(config.loss)
    out = out or Path("runs") / re.sub(r"[^A-Za-z0-9.=-]+", "_", title)
    networks = config.folds if isinstance(config.folds, int) else 1
    config = with_threads(config, out, parallel.threads(networks) if parallel else None)
    chosen = check_devices([config], devices, parallel is not None)
    devices = devices if parallel else ",".join(chosen)
    records = {"config.yaml": config.to_yaml(), **describe_start(config), **describe_network(config)}
    with resumable(out), claimed(out, records, same=SAME):
        setting = set_up([config], [config.seed], source, out, splits, terminal)
        folds = setting.folds[config.seed]
        add_records(out, setting.records(config.seed))
        if (out / "report.html").is_file() and not read_failures(out):
            terminal.say(f"{out} is already finished: nothing to train")
        else:
            config = with_pooling(config, setting.prepared)
            files.write_text(out / "config.yaml", config.to_yaml())
            _write_environment(out, setting, [config], chosen, command, source)
            (out / "report.html").unlink(missing_ok=True)  # a report marks the run as finished
            cells = [
                Cell(f"fold {fold + 1}/{len(folds)}", title, config, split, fold, out)
                for fold, split in enumerate(folds)
            ]
            failed = train_cells(cells, setting.prepared, devices, parallel, f"{title}: folds", terminal)
            if len(failed) == len(cells):
                raise RunError(f"every fold failed; the first: {next(iter(failed.values()))}")
            collect(out, setting.prepared, folds)
            write_report(out)
        if final:
            _train_final(config, setting.prepared, len(folds), out, devices, terminal)
    terminal.show_summary(read_scores(out / "summary.csv"), unit=setting.prepared.unit)
    terminal.show_paths(out, "report.html", "scores.csv", "summary.csv")
    if reasons := read_failures(out):
        listed = "; ".join(f"fold {fold}: {reason}" for fold, reason in reasons.items())
        raise RunError(f"{len(reasons)} of {len(folds)} folds failed: {listed}")


def _train_final(
    config: Config, prepared: Prepared, folds: int, out: Path, devices: str | None, terminal: Terminal
) -> None:
    """Train the network on all subjects, unless it is finished, and say in the report that it has no score."""
    if (out / FINAL / FINAL_DESCRIPTION).is_file():
        terminal.say(f"{out / FINAL} is already finished")
        return
    epochs, config = final_epochs(out, folds), final_config(config, out, folds)
    everyone = Split(tuple(prepared.subjects), (), ())
    with terminal.training("the final network", 1) as listener:
        steps = epoch_steps(config, prepared, everyone)[:epochs]
        progress = listener.begin(f"final, on {len(prepared.subjects)} subjects", steps)
        strategy = open_strategy(devices, config.training.threads)
        train_final(config, prepared, epochs, folds, out, strategy, progress)
    write_report(out)


def compare(
    study: Study,
    source: Source,
    out: Path,
    splits: Path | None,
    devices: str | None,
    command: str,
    dry_run: bool,
    contestants: Mapping[str, Path] = MappingProxyType({}),
    parallel: Parallel | None = None,
    tuning: Tuning | None = None,
) -> None:
    """Train every arm of a study on the same folds under the same seeds, and report which is better.

    Arms and seeds that `out` already holds stay in the comparison, and so do contestants: masks of methods that were
    trained elsewhere, by name the place where they are. With `parallel`, several networks train at once on Ray. With
    `tuning`, every arm is also trained with the values that validate best among some trials, within each fold.

    Raises:
        ConfigError: if the call, the study or the folder to write is wrong.
        DataError: if the data cannot be used.
        RunError: if a network failed, after the others are finished and reported.
    """
    terminal = Terminal()
    study = study.joined_to(out / "study.yaml")
    if tuning:
        study = tuned_study(study, tuning)
    if len(study.arms) + len(contestants_of(out).keys() | contestants.keys()) < 2 or not study.arms:
        listed = ", ".join(arm.name for arm in study.arms) or "none"
        raise ConfigError(f"a comparison needs two losses or arms, as in --losses dice,bce; received {listed}")
    networks = len(study.arms) * len(study.every_seed)  # at least
    threads = parallel.threads(networks) if parallel else None
    study = replace(study, config=with_threads(study.config, out, threads))
    configs = [config for _, config in study.configs(study.config.seed)]
    chosen = check_devices(configs, devices, parallel is not None)
    devices = devices if parallel else ",".join(chosen)
    shared = {"config.yaml": study.shared_yaml(), **describe_start(study.config)}
    with resumable(out), claimed(out, shared, "comparison", SAME):
        setting = set_up(configs, study.every_seed, source, out, splits, terminal)
        study.endpoint.check(scored_labels(setting.prepared, study.config.scoring), compared_metrics(study.config))
        if tuning:
            tuning.check_folds(split for folds in setting.folds.values() for split in folds)
        add_records(out, setting.inputs, "comparison")
        keep_splits(out / "splits.json", setting.folds)
        cells = [
            replace(cell, config=with_pooling(cell.config, setting.prepared))
            for cell in grid.make_grid(study, setting.folds, out)
        ]
        tested = {subject for cell in cells for subject in cell.split.test}
        masks = find_contestants(out, contestants, [arm.name for arm in study.arms], setting.prepared, tested)
        for line in chain.from_iterable(left_out(contestants[name], own) for name, own in masks.items()):
            terminal.say(f"warning: {line}")
        open_cells = [cell for cell in cells if not is_finished(cell.folder)]
        folds = len(setting.folds[study.config.seed])
        terminal.say(
            f"{len(study.arms)} arms × {folds} folds × {len(study.every_seed)} seeds: {len(cells)} networks, "
            f"{len(cells) - len(open_cells)} finished before"
        )
        if open_cells:
            measured = len(study.arms) if dry_run else 1
            with terminal.bar("measuring a few steps", measured) as advance:
                trials, one = tuning.budget.trials if tuning else 0, chosen[0] if parallel else devices
                planned = [cell for cell in open_cells for _ in range(1 + trials * is_tuned(cell.arm))]
                needed = estimate.estimate(planned, setting.prepared, one, out, advance, measured)
            terminal.show_estimate(needed)
        if dry_run:
            return
        if masks:
            with terminal.bar("scoring masks", sum(map(len, masks.values()))) as advance:
                add_contestants(out, masks, setting.prepared, study.config.scoring, advance)
        for cell in {cell.run: cell for cell in cells}.values():
            records = {"config.yaml": cell.config.to_yaml(), **describe_network(cell.config)}
            records |= setting.records(cell.config.seed)
            claim(cell.run, records, same=SAME)
            _write_environment(cell.run, setting, [cell.config], chosen, command, source)
        _write_environment(out, setting, configs, chosen, command, source)
        if tuning:
            tuning.budget.write(out / RECORD)
        study.write(out / "study.yaml")
        if study.protocol.printed:
            files.write_text(out / PRINTED, read_printed(*study.protocol.printed).to_csv(index=False))
        if tuning:
            cells = choose(cells, tuning, out, setting.prepared, devices, parallel, terminal)
        failed = train_cells(cells, setting.prepared, devices, parallel, "networks", terminal)
        runs = finish_runs(cells, setting.prepared)
        listed = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        problem = f"{len(failed)} of {len(cells)} networks failed; run the same command to retry them: {listed}"
        finished = {cell.arm for cell in cells if cell.run in runs}
        if not finished or len(finished) + len(contestants_of(out)) < 2:
            raise RunError(f"no two arms to compare. {problem}")
        for sentence in write_comparison(out):
            terminal.say(sentence)
    masks_of = ", ".join(contestants_of(out))
    unknown = f"; whether {masks_of} saw these subjects is not known" if masks_of else ""
    terminal.show_losses(read_scores(out / "means.csv"), setting.prepared.unit, f"{OUT_OF_FOLD}{unknown}")
    terminal.show_paths(out, "report.html", "scores.csv", "means.csv", "verdicts.csv", "tables")
    if failed:
        raise RunError(problem)


def train_cells(
    cells: Sequence[Cell],
    prepared: Prepared,
    devices: str | None,
    parallel: Parallel | None,
    what: str,
    terminal: Terminal,
) -> dict[str, str]:
    """Train every unfinished cell, one after another in this process or several at once on Ray; show the progress.

    Returns:
        The reason for each failure by the cell's name.

    Raises:
        ConfigError, OSError, RunError: as `run_cells`.
    """
    if parallel is None or all(is_finished(cell.folder) for cell in cells):
        with terminal.training(what, len(cells)) as listener:
            return run_cells(cells, prepared, devices, listener)
    threads = cells[0].config.training.threads or usable_cores()
    with terminal.bar("starting Ray" if parallel.address is None else f"connecting to {parallel.address}", 1):
        pools = ExitStack()
        pool = pools.enter_context(ray_pool(parallel, threads, devices))
    with pools, terminal.training(what, len(cells), at_once=True) as listener:
        return run_cells_in(pool, cells, prepared, devices, listener)


def finish_runs(cells: Sequence[Cell], prepared: Prepared) -> list[Path]:
    """Write scores, summary and report of every run with a finished fold; return those runs."""
    runs = []
    for run in dict.fromkeys(cell.run for cell in cells):
        own = [cell for cell in cells if cell.run == run]
        finished = {cell.fold for cell in own if is_finished(cell.folder)}
        if not finished:
            continue
        if not (run / "report.html").is_file() or set(read_scores(run / "scores.csv")["fold"]) != finished:
            collect(run, prepared, [cell.split for cell in own])
            write_report(run)
        runs.append(run)
    return runs


def _write_environment(
    run: Path, setting: Setting, configs: Sequence[Config], devices: Sequence[str], command: str, source: Source
) -> None:
    first = configs[0]
    more = {"command": command, "seed": first.seed, "phantoms": source.is_phantoms, **imported_networks(configs)}
    threads = first.training.threads or usable_cores()
    files.write_text(run / "environment.json", describe_environment(setting.prepared, devices, threads, **more))
