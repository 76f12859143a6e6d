"""What every training starts from: scans prepared, subjects split, devices chosen."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from tfseg.config import Config, ConfigError
from tfseg.data.inspection import sound_cases
from tfseg.data.layouts import read_dataset
from tfseg.data.phantom import write_dataset
from tfseg.data.prepare import prepare_dataset
from tfseg.data.prepared import Prepared
from tfseg.data.recipe import derive, load_recipe, processes_for, resolve
from tfseg.data.splits import Split, make_splits, read_splits, to_json
from tfseg.experiment import claim, describe_environment
from tfseg.terminal import Terminal
from tfseg.training.strategy import choose_devices, make_strategy, set_threads

# Small enough for five folds in minutes on two cores, large enough to learn three organs from.
PHANTOM_KIND, PHANTOM_SUBJECTS, PHANTOM_SIZE = "abdomen", 16, 45


@dataclass(frozen=True)
class Source:
    """What to train on: scans, with or without a recipe, or a prepared folder; phantoms where nothing is given.

    `subject_pattern` finds the subject in a case's name; `skip_bad` goes on without cases that have a fault; `workers`
    scans are read or prepared at a time, by the size of the data where absent.
    """

    data: Path | None = None
    recipe: Path | None = None
    prepared: Path | None = None
    subject_pattern: str | None = None
    skip_bad: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.prepared and (self.data or self.recipe or self.subject_pattern or self.skip_bad):
            raise ConfigError(
                "--prepared holds data that are prepared already: leave out --data, --prep, --subject-pattern "
                "and --skip-bad"
            )

    @property
    def is_phantoms(self) -> bool:
        """Whether no scans are given."""
        return not (self.data or self.prepared)


@dataclass(frozen=True)
class Setting:
    """Prepared cases, the splits of their subjects, the devices; `environment` is the text of `environment.json`."""

    prepared: Prepared
    folds: list[Split]
    strategy: tf.distribute.Strategy
    made_by: dict[str, str]
    environment: str


def set_up(
    config: Config,
    source: Source,
    out: Path,
    made_by: Mapping[str, str],
    splits: Path | None,
    devices: str | None,
    command: str,
    terminal: Terminal,
) -> Setting:
    """Choose devices, take `out` for work that `made_by` describes, prepare the scans and split their subjects.

    Args:
        config: what training needs of it: threads, batch size, depth, folds and seed.
        source: what to train on.
        out: the folder to write.
        made_by: names of files and their text, which a folder made before must hold too.
        splits: a file of splits, in place of the dataset's own, in place of new ones.
        devices: as `GPU:0,GPU:1`; all GPUs where None.
        command: the command line, to be remembered.
        terminal: hears how preparation goes on.

    Raises:
        ConfigError: where the call, the config or the folder to write is wrong.
        ValueError: where the data are.
    """
    set_threads(config.training.threads)
    chosen = choose_devices(devices)
    strategy = make_strategy(chosen)
    for batch_size in (stage.training.batch_size for stage in config.resolved_stages()):
        if batch_size % len(chosen):
            raise ConfigError(f"training.batch_size: {len(chosen)} devices cannot share {batch_size} slices")
    claim(out, made_by)
    prepared = _prepared(source, out, config.seed, terminal)
    _check_size(config, prepared)
    folds = split_subjects(config, prepared, splits)
    inputs = {"splits.json": to_json(folds), "inputs.json": json.dumps({"prepared_sha256": prepared.digest})}
    claim(out, inputs)
    environment = describe_environment(prepared, chosen, command=command, seed=config.seed, phantoms=source.is_phantoms)
    return Setting(prepared, folds, strategy, inputs, environment)


def prepare(data: Path, source: Source, out: Path, terminal: Terminal) -> Prepared:
    """Prepare scans into a folder, as `source` says; all faults that can be found before are found before.

    Raises:
        ConfigError: where the recipe or the folder to write is wrong.
        ValueError: where the data are.
    """
    dataset = read_dataset(data, source.subject_pattern)
    with terminal.bar("checking", len(dataset.cases)) as advance:
        dataset = sound_cases(dataset, source.skip_bad, advance)
    for case, reason in dataset.left_out.items():
        terminal.say(f"left out: {case.name}: {reason}")
    processes = source.workers or processes_for(dataset, os.cpu_count() or 1)
    with terminal.bar("reading", 2 * len(dataset.cases)) as advance:  # for intensities, and for a crop
        recipe = load_recipe(source.recipe) if source.recipe else derive(dataset, advance, processes)
        resolved = resolve(recipe, dataset, advance, processes)
    with terminal.bar("preparing", len(dataset.cases)) as advance:
        prepare_dataset(dataset, resolved, out, advance, processes, source.skip_bad)
    prepared = Prepared(out)
    told = {case.name for case in dataset.left_out}
    for name, reason in prepared.skipped.items():
        if name not in told:
            terminal.say(f"left out: {name}: {reason}")
    return prepared


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
    return prepare(data, source, out / "prepared", terminal)


def split_subjects(config: Config, prepared: Prepared, splits: Path | None) -> list[Split]:
    """Return the splits of a file, or else the dataset's own, or else new ones, balanced by strata where there are any.

    Raises:
        ConfigError: where a split cannot be used, or there are too few subjects.
    """
    if splits:
        return read_splits(splits, prepared.subjects, config.seed)
    if prepared.splits:
        own = [split.among(prepared.subjects) for split in prepared.splits]
        for split in own:
            split.check(prepared.subjects, f"{prepared.folder}: the split of the dataset")
        return own
    return make_splits(prepared.subjects, config.folds, config.seed, _strata(prepared))


def _strata(prepared: Prepared) -> dict[str, str]:
    """The stratum of each subject: that of its cases, or all of theirs taken together; none where data name none."""
    if "strata" not in prepared.index:
        return {}
    by_subject = prepared.index.groupby("subject")["strata"]
    return {str(subject): ", ".join(sorted(set(strata))) for subject, strata in by_subject}


def _check_size(config: Config, prepared: Prepared) -> None:
    multiple = 2**config.model.depth
    if any(length % multiple for length in prepared.image_shape[:2]):
        raise ConfigError(
            f"model.depth: {config.model.depth} halvings need sides divisible by {multiple}; "
            f"the slices have {prepared.image_shape[:2]}: set size in the recipe"
        )
