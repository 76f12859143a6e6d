"""The stages behind the commands: scans → prepared folder → run or comparison → report and SavedModel."""

import re
from pathlib import Path

from tfseg import contact_sheet, doctor, files, losses
from tfseg import export as savedmodel
from tfseg.comparison import estimate, grid
from tfseg.comparison.report import write_comparison
from tfseg.comparison.study import Study
from tfseg.config import Config, ConfigError
from tfseg.data import inspection
from tfseg.data.fingerprint import to_markdown as fingerprint_markdown
from tfseg.data.layouts import read_dataset
from tfseg.data.phantom import write_dataset
from tfseg.data.volume import DataError
from tfseg.evaluation import read_scores
from tfseg.experiment import claim, describe_start, is_finished, run_folds
from tfseg.losses.cards import card, list_losses
from tfseg.losses.page import to_markdown
from tfseg.quiet import quiet_stderr
from tfseg.report import write_report
from tfseg.run_folder import networks_of, open_prepared, read_failures
from tfseg.setting import Source, prepare, set_up
from tfseg.terminal import Terminal
from tfseg.training.fit import make_loss
from tfseg.training.writing import resumable


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
        ValueError: where the data are; where a fold failed, after the others are finished and reported.
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
        raise ValueError(f"{len(failed)} of {len(setting.folds)} folds failed: {told}")


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
        ValueError: where the data are; where a cell failed, after the others are finished and reported.
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
        runs = grid.finish_runs(cells, setting.prepared, setting.folds)
        told = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        problem = f"{len(failed)} of {len(cells)} networks failed, the same command tries them again: {told}"
        if len({losses.title(cell.config.loss) for cell in cells if cell.run in runs}) < 2:
            raise ValueError(f"no two losses to compare. {problem}")
        summary = grid.write_tables(out, runs, setting.prepared)
        for sentence in write_comparison(out):
            terminal.say(sentence)
    terminal.show_losses(summary, setting.prepared.unit)
    terminal.show_paths(out, "report.html", "scores.csv", "tests.csv", "tables")
    if failed:
        raise ValueError(problem)


def prepare_scans(source: Source, data: Path, out: Path) -> None:
    """Prepare scans into a folder, and say what it holds.

    Raises:
        ConfigError: where the recipe or the folder to write is wrong.
        ValueError: where the data are.
    """
    terminal = Terminal()
    with resumable(out):
        prepared = prepare(data, source, out, terminal)
    height, width, channels = prepared.image_shape
    slices = int(prepared.index["slices"].sum())
    terminal.say(f"{len(prepared.index)} cases, {slices} slices of {height}×{width}, {channels} channels in {out}")


def inspect(data: Path, pictures: Path | None, subject_pattern: str | None) -> None:
    """Print what a dataset is like and every fault it has; draw its cases where asked to.

    Raises:
        DataError: where the layout is not known, or where there is a fault.
    """
    terminal = Terminal()
    dataset = read_dataset(data, subject_pattern)
    with terminal.bar("inspecting", len(dataset.cases)) as advance:
        faults, fingerprint = inspection.inspect(dataset, advance)
    if fingerprint:
        terminal.show(fingerprint_markdown(fingerprint))
    if fingerprint and pictures:
        sound = inspection.without_faulty(dataset, faults)
        with terminal.bar("drawing", min(contact_sheet.MOST_CASES, len(sound.cases))) as advance:
            contact_sheet.write_contact_sheet(sound, fingerprint.axis, pictures, advance)
        terminal.say(f"pictures {pictures}")
    for fault in faults:
        terminal.say(fault.message)
    if faults:
        cases = len({fault.case for fault in faults})
        raise DataError(f"{data}: {cases} of {len(dataset.cases)} cases have a fault; --skip-bad goes on without them")


def show_doctor(devices: str | None) -> None:
    """Print what this machine brings to training, with a training step on every device.

    Raises:
        ConfigError: on a device that is not there.
        ValueError: where a training step failed, after all is printed.
    """
    terminal = Terminal()
    with quiet_stderr():
        rows = doctor.examine(devices)
    for what, value in rows:
        terminal.say(f"{what:16} {value}")
    if failed := doctor.failures(rows):
        raise ValueError(f"this machine cannot train: {', '.join(failed)} failed")


def make_phantoms(out: Path, kind: str, subjects: int, size: int, seed: int) -> None:
    """Write a dataset of phantoms.

    Raises:
        ConfigError: where `out` holds something else.
        ValueError: where a number is out of its range.
    """
    terminal = Terminal()
    with terminal.bar(f"making {kind} phantoms", subjects) as advance:
        write_dataset(out, kind, subjects, size, seed, advance)
    terminal.say(f"{subjects} subjects in {out}")


def export(run: Path, out: Path, fold: int | None) -> None:
    """Write a SavedModel of a run: the mean of its finished folds' networks, or one fold's.

    Raises:
        ConfigError: where `run` is not a finished run, the fold is not there, or `out` exists.
    """
    networks = networks_of(run, fold)
    savedmodel.export(networks, open_prepared(run), out, run.resolve().name)
    what = "one network" if len(networks) == 1 else f"the mean of {len(networks)} networks"
    Terminal().say(f"SavedModel of {what} in {out}; {savedmodel.METADATA} says how to prepare an image")


def write_again(folder: Path) -> None:
    """Write the report of a run or a comparison, and say where it is.

    Raises:
        ValueError: where the folder lacks what a report shows.
    """
    if (folder / "study.yaml").is_file():
        write_comparison(folder)
    else:
        write_report(folder)
    Terminal().show_paths(folder, "report.html")


def show_losses(name: str | None) -> None:
    """Print the card of a loss; every loss in a line where no name is given.

    Raises:
        ConfigError: where no loss has that name.
    """
    if name is None:
        Terminal().say(list_losses())
        return
    try:
        losses.get(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with quiet_stderr():  # the devices are looked for when the loss is computed
        markdown = to_markdown(card(name))
    Terminal().show(markdown)
