"""The stages behind the commands: scans → prepared folder → run → report and SavedModel."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tfseg import export as savedmodel
from tfseg import files
from tfseg.config import Config, ConfigError
from tfseg.data.layouts import read_dataset
from tfseg.data.phantom import write_dataset
from tfseg.data.prepare import prepare_dataset
from tfseg.data.prepared import Prepared
from tfseg.data.recipe import Recipe, load_recipe, resolve
from tfseg.data.splits import make_splits, read_splits, to_json
from tfseg.evaluation import read_scores
from tfseg.experiment import claim, describe_environment, loss_title, run_folds
from tfseg.losses import get
from tfseg.losses.cards import card, list_losses
from tfseg.losses.page import to_markdown
from tfseg.losses.spec import parse
from tfseg.quiet import quiet_stderr
from tfseg.report import write_report
from tfseg.terminal import Terminal
from tfseg.training.fit import make_loss
from tfseg.training.strategy import choose_devices, make_strategy, set_threads

# Small enough for five folds in minutes on two cores, large enough to learn three organs from.
PHANTOM_KIND, PHANTOM_SUBJECTS, PHANTOM_SIZE = "abdomen", 16, 48


@dataclass(frozen=True)
class Source:
    """What to train on: scans, with or without a recipe, or a prepared folder; phantoms where nothing is given."""

    data: Path | None = None
    recipe: Path | None = None
    prepared: Path | None = None

    def __post_init__(self) -> None:
        if self.prepared and (self.data or self.recipe):
            raise ConfigError("--prepared holds data that are prepared already: leave out --data and --prep")


def with_loss(config: Config, text: str | None) -> Config:
    """Return the config with the loss of a command line, `tversky:alpha=0.3`, where one is given.

    Raises:
        ConfigError: where the loss is unknown or does not take its parameters.
    """
    try:
        if text is not None:
            name, settings = parse(text)
            config = config.model_copy(update={"loss": {"name": name, **settings}})
        make_loss(config)
    except ValueError as error:
        raise ConfigError(f"loss: {error}") from error
    return config


def fit(
    config: Config, source: Source, out: Path | None, splits: Path | None, devices: str | None, command: str
) -> None:
    """Carry out the main job, and print its table and where things are.

    Raises:
        ConfigError: where the call, the config or the folder to write is wrong.
        ValueError: where the data are.
    """
    terminal = Terminal()
    out = out or Path("runs") / re.sub(r"[^A-Za-z0-9.=-]+", "_", loss_title(config))
    set_threads(config.training.threads)
    chosen = choose_devices(devices)
    strategy = make_strategy(chosen)
    if config.training.batch_size % len(chosen):
        raise ConfigError(
            f"training.batch_size: {len(chosen)} devices cannot share {config.training.batch_size} slices"
        )
    claim(out, {"config.yaml": config.to_yaml()})
    prepared = _prepared(source, out, config.seed, terminal)
    _check_size(config, prepared)
    folds = (
        read_splits(splits, prepared.subjects, config.seed)
        if splits
        else make_splits(prepared.subjects, config.folds, config.seed)
    )
    claim(out, {"splits.json": to_json(folds), "inputs.json": json.dumps({"prepared_sha256": prepared.digest})})
    if (out / "report.html").is_file():
        terminal.say(f"{out} is finished already: nothing to train")
    else:
        phantoms = not (source.data or source.prepared)
        described = describe_environment(prepared, chosen, command=command, seed=config.seed, phantoms=phantoms)
        files.write_text(out / "environment.json", described)
        with terminal.training(f"{loss_title(config)}: folds", len(folds)) as listener:
            run_folds(config, prepared, folds, out, strategy, listener)
        write_report(out)
    terminal.show_summary(read_scores(out / "summary.csv"))
    for what, name in (("report", "report.html"), ("scores", "scores.csv"), ("summary", "summary.csv")):
        terminal.say(f"{what:8} {out / name}")


def prepare(data: Path, recipe: Path | None, out: Path) -> None:
    """Prepare scans into a folder.

    Raises:
        ConfigError: where the recipe or the folder to write is wrong.
        ValueError: where the data are.
    """
    terminal = Terminal()
    prepared = _prepare(data, recipe, out, terminal)
    height, width, channels = prepared.image_shape
    slices = int(prepared.index["slices"].sum())
    terminal.say(f"{len(prepared.index)} cases, {slices} slices of {height}×{width}, {channels} channels in {out}")


def make_phantoms(out: Path, kind: str, subjects: int, size: int, seed: int) -> None:
    """Write a dataset of phantoms.

    Raises:
        ValueError: where `out` holds something, or a number is out of its range.
    """
    terminal = Terminal()
    with terminal.bar(f"making {kind} phantoms", subjects) as advance:
        write_dataset(out, kind, subjects, size, seed, advance)
    terminal.say(f"{subjects} subjects in {out}")


def export(run: Path, out: Path, fold: int | None) -> None:
    """Write a SavedModel of a run: the mean of its folds' networks, or one fold's.

    Raises:
        ConfigError: where `run` is not a finished run, the fold is not there, or `out` exists.
    """
    if not (run / "report.html").is_file():
        raise ConfigError(f"{run} is not a finished run: fit writes report.html last")
    folds = sorted(run.glob("fold_*"), key=lambda path: int(path.name.removeprefix("fold_")))
    if fold is not None and fold >= len(folds):
        raise ConfigError(f"--fold: expected 0 to {len(folds) - 1}, received {fold}")
    chosen = folds if fold is None else [folds[fold]]
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    prepared = Prepared(Path(environment["prepared"]))
    savedmodel.export([path / "best.keras" for path in chosen], prepared, out, run.name)
    Terminal().say(f"SavedModel of {len(chosen)} networks in {out}; {savedmodel.METADATA} says how to prepare an image")


def show_losses(name: str | None) -> None:
    """Print the card of a loss; every loss in a line where no name is given.

    Raises:
        ConfigError: where no loss has that name.
    """
    if name is None:
        Terminal().say(list_losses())
        return
    try:
        get(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with quiet_stderr():  # the devices are looked for when the loss is computed
        markdown = to_markdown(card(name))
    Terminal().show(markdown)


def _prepared(source: Source, out: Path, seed: int, terminal: Terminal) -> Prepared:
    if source.prepared:
        return Prepared(source.prepared)
    data = source.data
    if data is None:
        data = out / "phantoms"
        terminal.say(f"no --data: {PHANTOM_SUBJECTS} synthetic {PHANTOM_KIND} subjects stand in for scans ({data})")
        if not data.is_dir():
            with terminal.bar("making phantoms", PHANTOM_SUBJECTS) as advance:
                write_dataset(data, PHANTOM_KIND, PHANTOM_SUBJECTS, PHANTOM_SIZE, seed, advance)
    return _prepare(data, source.recipe, out / "prepared", terminal)


def _prepare(data: Path, recipe_path: Path | None, out: Path, terminal: Terminal) -> Prepared:
    dataset = read_dataset(data)
    recipe = load_recipe(recipe_path) if recipe_path else Recipe()
    with terminal.bar("reading", len(dataset.cases)) as advance:
        resolved = resolve(recipe, dataset, advance)
    with terminal.bar("preparing", len(dataset.cases)) as advance:
        prepare_dataset(dataset, resolved, out, advance)
    return Prepared(out)


def _check_size(config: Config, prepared: Prepared) -> None:
    multiple = 2**config.model.depth
    if any(length % multiple for length in prepared.image_shape[:2]):
        raise ConfigError(
            f"model.depth: {config.model.depth} halvings need sides divisible by {multiple}; "
            f"the slices have {prepared.image_shape[:2]}: set size in the recipe"
        )
