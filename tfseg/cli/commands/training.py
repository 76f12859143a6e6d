"""Declare the commands that train: `fit`, `compare` and `tune`."""

from pathlib import Path
from typing import Annotated

import typer

from tfseg.cli.commands.call import load, overrides_of, parallel_of, stand_in, typed
from tfseg.cli.options import (
    BatchSize,
    Configuration,
    Devices,
    Epochs,
    Folds,
    Parallel,
    PhantomKind,
    PreparedFolder,
    RayAddress,
    Recipe,
    Seed,
    Settings,
    SkipBad,
    Splits,
    SubjectPattern,
    TrainingData,
)
from tfseg.core.errors import ConfigError
from tfseg.core.modes import Mode, Scale


def fit(
    loss: Annotated[str | None, typer.Option(help="A name, or name:param=value,param=value.")] = None,
    data: TrainingData = None,
    phantoms: PhantomKind = None,
    prep: Recipe = None,
    prepared: PreparedFolder = None,
    config: Configuration = None,
    set_: Settings = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/LOSS.")] = None,
    folds: Folds = None,
    splits: Splits = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    devices: Devices = None,
    subject_pattern: SubjectPattern = None,
    skip_bad: SkipBad = False,
    postprocess: Annotated[
        str | None, typer.Option(help="auto: clean up predictions by rules that help on validation subjects.")
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Also train a network on all subjects, for the median best epoch.")
    ] = False,
    parallel: Parallel = None,
    ray_address: RayAddress = None,
) -> None:
    """Cross-validate a network: prepare, train, score every subject out of fold, report."""
    from tfseg.config.config import load_config

    settings = overrides_of(set_, folds=folds, epochs=epochs, batch_size=batch_size, seed=seed, postprocess=postprocess)
    resolved = load_config(config, settings)
    train = load("train")
    from tfseg.cli.datasets import Source

    source = Source(data, prep, prepared, subject_pattern, skip_bad, phantoms=stand_in(phantoms))
    at_once = parallel_of(parallel, ray_address, devices)
    train.fit(train.with_loss(resolved, loss), source, out, splits, devices, typed(), final, at_once)


def compare(
    losses: Annotated[
        str | None, typer.Option(help="Such as dice,bce,tversky:alpha=0.3. Default: those of --study.")
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="Study (YAML): losses, arms, seeds, and the keys of a configuration.")
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="Rules of --study: fair ones, or those of the printed study even if they flatter.")
    ] = Mode.fair,
    scale: Annotated[
        Scale, typer.Option(help="small: fewer subjects, epochs and filters of --study, for minutes on two cores.")
    ] = Scale.full,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many seeds, starting with --seed; one settles only large differences. Default: 3.",
        ),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            help="Learning rates, such as 0.001,0.003,0.01, of which every arm gets the one that validates best, "
            "within each fold."
        ),
    ] = None,
    tune_budget: Annotated[
        int | None,
        typer.Option(min=2, help="Also tune every loss, with as many trials of --space within each fold."),
    ] = None,
    space: Annotated[Path | None, typer.Option(help="Search space (YAML) for --tune-budget.")] = None,
    data: TrainingData = None,
    phantoms: PhantomKind = None,
    prep: Recipe = None,
    prepared: PreparedFolder = None,
    config: Configuration = None,
    set_: Settings = None,
    out: Annotated[Path, typer.Option(help="Comparison folder; an existing one resumes and may be extended.")] = Path(
        "cmp"
    ),
    folds: Folds = None,
    splits: Splits = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    devices: Devices = None,
    subject_pattern: SubjectPattern = None,
    skip_bad: SkipBad = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Prepare, print the grid and what it needs, then stop.")
    ] = False,
    truth: Annotated[
        Path | None, typer.Option(help="Compare label maps, and train nothing: the folder of the truths.")
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(help="Masks of other methods: nnunet=DIR,mine=RUN; or CSV files (case, prediction)."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="With --truth: 1=spleen,2=liver or a dataset.json. Default: as declared.")
    ] = None,
    tolerance_mm: Annotated[float, typer.Option(help="With --truth: the surface distance that NSD tolerates.")] = 1.0,
    ignore_label: Annotated[
        int | None, typer.Option(help="With --truth: truth voxels of this value do not count.")
    ] = None,
    parallel: Parallel = None,
    ray_address: RayAddress = None,
) -> None:
    """Compare losses fairly: same splits, weights, batches and steps; tests by subject; one report.

    With --truth, compare label maps of any origin instead.
    """
    if truth is not None:
        if predictions is None:
            raise ConfigError("--truth needs --predictions")
        if losses or study or data or prepared:
            raise ConfigError("--truth compares label maps and trains nothing: leave out what to train and on what")
        from tfseg.cli.masks import compare_masks

        compare_masks(truth, predictions, labels, tolerance_mm, ignore_label, out, typed())
        return
    train = load("train")
    from tfseg.cli.datasets import Source, follow
    from tfseg.comparison.study import load_study

    settings = overrides_of(set_, folds=folds, epochs=epochs, batch_size=batch_size, seed=seed, rates=rates)
    read = load_study(study, config, settings, losses, seeds, mode, scale)
    source = Source(data, prep, prepared, subject_pattern, skip_bad, phantoms=stand_in(phantoms))
    at_once = parallel_of(parallel, ray_address, devices)
    if read.protocol.datasets:
        if tune_budget is not None or space is not None:
            raise ConfigError("--tune-budget and --space tune the losses on one dataset; the study lists several")
        if splits is not None or predictions is not None:
            raise ConfigError("--splits and --predictions belong to one dataset; the study lists several")
        load("several").compare(read, source, out, devices, typed(), dry_run, at_once)
        return
    source = follow(source, read.protocol)
    from tfseg.evaluation.contestants import parse_contestants

    contestants = {} if predictions is None else parse_contestants(predictions)
    from tfseg.cli.tuned import tuning_of

    tuning = tuning_of(out, tune_budget, space)
    train.compare(read, source, out, splits, devices, typed(), dry_run, contestants, at_once, tuning)


def tune(
    space: Annotated[Path, typer.Option(help="Search space (YAML), such as tuning/focal_alpha_epochs.yaml.")],
    loss: Annotated[str | None, typer.Option(help="A name, or name:param=value,param=value.")] = None,
    data: TrainingData = None,
    phantoms: PhantomKind = None,
    prep: Recipe = None,
    prepared: PreparedFolder = None,
    config: Configuration = None,
    set_: Settings = None,
    out: Annotated[Path | None, typer.Option(help="Sweep folder. Default: sweeps/SPACE.")] = None,
    folds: Folds = None,
    fold: Annotated[int, typer.Option(min=0, help="The fold whose validation subjects score the trials.")] = 0,
    splits: Splits = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    devices: Devices = None,
    subject_pattern: SubjectPattern = None,
    skip_bad: SkipBad = False,
    method: Annotated[str | None, typer.Option(help="grid, random or optuna. Default: as the space says.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Budget in trials.")] = None,
    hours: Annotated[float | None, typer.Option(help="Budget in hours; a batch that has begun is finished.")] = None,
    inner_folds: Annotated[
        int | None, typer.Option(min=1, help="Inner folds over which a trial's score is averaged. Default: 1.")
    ] = None,
    watch: Annotated[str | None, typer.Option(help="val_dice or val_iou, best over epochs.")] = None,
    nested: Annotated[
        bool, typer.Option("--nested", help="Search within every fold, and score its test subjects with the winner.")
    ] = False,
    parallel: Parallel = None,
    ray_address: RayAddress = None,
) -> None:
    """Search hyper-parameters on validation subjects; the best are trained again and scored once."""
    from tfseg.config.config import load_config

    settings = overrides_of(set_, folds=folds, epochs=epochs, batch_size=batch_size, seed=seed)
    resolved = load_config(config, settings)
    train = load("train")
    from tfseg.cli.datasets import Source
    from tfseg.tuning.search import with_options
    from tfseg.tuning.space import read_space

    searched = read_space(space)
    asked = {"method": method, "trials": trials, "hours": hours, "inner_folds": inner_folds, "watch": watch}
    search = with_options(searched.search, asked)
    source = Source(data, prep, prepared, subject_pattern, skip_bad, phantoms=stand_in(phantoms))
    load("tune").tune(
        train.with_loss(resolved, loss),
        searched,
        search,
        source,
        out or Path("sweeps") / space.stem,
        splits,
        devices,
        typed(),
        fold,
        nested,
        parallel_of(parallel, ray_address, devices),
    )
