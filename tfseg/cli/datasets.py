"""Inspect, prepare and make datasets. What is heavy is imported where it is used, so that each command starts fast."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfseg.cli.terminal import Terminal
from tfseg.core.claims import locked
from tfseg.core.errors import ConfigError, DataError
from tfseg.core.resumable import resumable
from tfseg.core.words import counted
from tfseg.datasets.layouts import Dataset, read_dataset, some_subjects
from tfseg.datasets.phantoms.stand_ins import StandIn

if TYPE_CHECKING:
    from tfseg.comparison.protocol import Protocol
    from tfseg.config.config import Config
    from tfseg.preparation.recipe import Recipe
    from tfseg.prepared.prepared import Prepared


@dataclass(frozen=True)
class Source:
    """Data to train on: scans, with or without a recipe, or a prepared folder; phantoms if neither is given.

    Args:
        data: scans, in a known layout.
        recipe: how to prepare them.
        prepared: a prepared folder.
        subject_pattern: a regular expression that finds the subject in a case's name.
        skip_bad: leave out cases that have a fault.
        workers: scans that are read or prepared at a time; decided by the size of the data if absent.
        phantoms: what stands in for scans; abdomens if absent.
        subjects: how many are used, by a fixed draw; all if absent.
    """

    data: Path | None = None
    recipe: Path | None = None
    prepared: Path | None = None
    subject_pattern: str | None = None
    skip_bad: bool = False
    workers: int | None = None
    phantoms: StandIn | None = None
    subjects: int | None = None

    def __post_init__(self) -> None:
        if self.phantoms and (self.data or self.prepared):
            raise ConfigError("--phantoms stands in for scans: leave out --data and --prepared")
        if self.prepared and (self.data or self.recipe or self.subject_pattern or self.skip_bad):
            raise ConfigError(
                "--prepared holds data that are prepared already: leave out --data, --prep, --subject-pattern "
                "and --skip-bad"
            )

    @property
    def is_phantoms(self) -> bool:
        """Whether no scans are given."""
        return not (self.data or self.prepared)


def follow(source: Source, protocol: "Protocol") -> Source:
    """Complete what the command line says of the data by what a study says.

    Raises:
        ConfigError: if only some subjects of a folder that is prepared already are asked for.
    """
    if source.prepared:
        if protocol.subjects is not None:
            raise ConfigError("--prepared holds all subjects: leave it out, this study uses some of them")
        return source
    return replace(
        source,
        data=source.data or protocol.data,
        recipe=source.recipe or protocol.recipe,
        subject_pattern=source.subject_pattern or protocol.subject_pattern,
        phantoms=source.phantoms or (protocol.phantoms if source.is_phantoms and not protocol.data else None),
        subjects=protocol.subjects,
    )


def prepare(data: Path, source: Source, out: Path, terminal: Terminal, volumes: bool = False) -> "Prepared":
    """Prepare scans into a folder, as `source` says; what can be checked first is checked before voxels are read.

    Args:
        data: the scans.
        source: how they are prepared.
        out: the folder.
        terminal: shows the progress.
        volumes: whether networks will see volumes or patches of them, not slices.

    Raises:
        ConfigError: if the recipe or the folder to write is wrong.
        DataError: if the data are.
        RunError: if another process works in the folder.
    """
    from tfseg.preparation.prepare import check_out
    from tfseg.preparation.recipe import load_recipe

    recipe = load_recipe(source.recipe) if source.recipe else None
    dataset = read_dataset(data, source.subject_pattern)
    if source.subjects is not None:
        dataset = some_subjects(dataset, source.subjects)
    check_out(out, dataset, recipe)
    with locked(out):
        return _prepare(dataset, recipe, source, out, terminal, volumes)


def _prepare(
    dataset: Dataset, recipe: "Recipe | None", source: Source, out: Path, terminal: Terminal, volumes: bool
) -> "Prepared":
    from tfseg.datasets.inspection import sound_cases
    from tfseg.preparation.kept_masks import KeptMasks
    from tfseg.preparation.kept_recipe import complete, keep
    from tfseg.preparation.prepare import prepare_dataset
    from tfseg.preparation.recipe import Recipe, processes_for
    from tfseg.preparation.survey import Survey
    from tfseg.prepared.prepared import Prepared

    with terminal.bar("checking", len(dataset.cases)) as advance:
        dataset, headers = sound_cases(dataset, source.skip_bad, advance)
    _report_warnings(dataset.warnings, terminal)
    left_out = {case.name: reason for case, reason in dataset.left_out.items()}
    _report_left_out(left_out, terminal)
    processes = source.workers or processes_for(dataset, os.cpu_count() or 1)
    with terminal.bar("reading", len(dataset.cases)) as advance:
        survey = Survey(dataset, recipe or Recipe(), advance, processes, KeptMasks.of(out), headers)
        resolved = complete(recipe, dataset, survey, out, volumes)
    with terminal.bar("preparing", len(dataset.cases)) as advance:
        warnings = prepare_dataset(dataset, resolved, out, advance, processes, source.skip_bad)
    keep(resolved, recipe, dataset, out, volumes)
    _report_warnings(warnings, terminal)
    prepared = Prepared(out)
    _report_left_out({name: why for name, why in prepared.skipped.items() if name not in left_out}, terminal)
    return prepared


def _report_warnings(warnings: Iterable[str], terminal: Terminal) -> None:
    for warning in warnings:
        terminal.say(f"warning: {warning}")


def _report_left_out(cases: Mapping[str, str], terminal: Terminal) -> None:
    for name, reason in cases.items():
        terminal.say(f"left out: {name}: {reason}")


def prepare_scans(source: Source, data: Path, out: Path, config: "Config", show_augmented: Path | None) -> None:
    """Prepare scans into a folder, and say what it holds; draw augmented images if asked to.

    Args:
        source: how the scans are prepared.
        data: the scans.
        out: the folder.
        config: what they are prepared for: slices or volumes, and the augmentation.
        show_augmented: the contact sheet (PNG) to write.

    Raises:
        ConfigError: if the recipe or the folder to write is wrong, or nothing is augmented.
        DataError: if the data are.
    """
    from tfseg.config.augmentation import AugmentationConfig

    if show_augmented and config.training.augmentation == AugmentationConfig():
        raise ConfigError("--show-augmented: the configuration has no step in training.augmentation")
    terminal = Terminal()
    with resumable(out):
        prepared = prepare(data, source, out, terminal, config.training.input.kind != "slices")
    height, width, channels = prepared.image_shape
    slices = int(prepared.index["slices"].sum())
    counts = f"{counted(len(prepared.index), 'case')}, {counted(slices, 'slice')} of {height}×{width}"
    terminal.say(f"{counts}, {counted(channels, 'channel')} in {out}")
    if show_augmented:
        from tfseg.reports.augmented import CASES, write_augmented_sheet

        with terminal.bar("drawing", CASES) as advance:
            write_augmented_sheet(config.training, prepared, config.seed, show_augmented, advance)
        terminal.say(f"augmented images {show_augmented}")


def inspect(data: Path, sheet: Path | None, subject_pattern: str | None) -> None:
    """Print the fingerprint of a dataset and every fault in it; draw its cases into `sheet` if it is given.

    Raises:
        DataError: if the layout is not known, or if there is a fault.
    """
    from tfseg.datasets import inspection
    from tfseg.datasets.fingerprint import to_markdown

    terminal = Terminal()
    dataset = read_dataset(data, subject_pattern)
    with terminal.bar("inspecting", len(dataset.cases)) as advance:
        faults, fingerprint, warnings = inspection.inspect(dataset, advance)
    if fingerprint:
        terminal.show(to_markdown(fingerprint))
    if fingerprint and sheet:
        from tfseg.reports import contact_sheet

        sound = inspection.without_faulty(dataset, faults)
        with terminal.bar("drawing", min(contact_sheet.MOST_CASES, len(sound.cases))) as advance:
            contact_sheet.write_contact_sheet(sound, fingerprint.axis, sheet, advance)
        terminal.say(f"contact sheet {sheet}")
    _report_warnings(warnings, terminal)
    for fault in faults:
        terminal.say(fault.message)
    if faults:
        cases = len({fault.case for fault in faults})
        raise DataError(f"{data}: {cases} of {len(dataset.cases)} cases have a fault; --skip-bad leaves them out")


def make_phantoms(out: Path, kind: str, subjects: int, size: int, seed: int) -> None:
    """Write a dataset of phantoms.

    Raises:
        ConfigError: if `out` holds something else, or a number is out of its range.
    """
    from tfseg.datasets.phantoms.dataset import write_dataset

    terminal = Terminal()
    with terminal.bar(f"making {kind} phantoms", subjects) as advance:
        write_dataset(out, kind, subjects, size, seed, advance)
    terminal.say(f"{subjects} subjects in {out}")
