"""Define the `tfseg` command. Heavy modules are imported inside each command, so that `--help` is instant."""

import importlib
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from tfseg.cli.options import (
    BatchSize,
    Configuration,
    Data,
    Devices,
    Epochs,
    Final,
    Folds,
    Kind,
    Parallel,
    PhantomKind,
    Phantoms,
    PreparedFolder,
    ProbabilityType,
    RayAddress,
    Recipe,
    Seed,
    Settings,
    SkipBad,
    Splits,
    SubjectPattern,
    TrainingData,
)
from tfseg.core.errors import ConfigError, is_fault, one_line
from tfseg.core.modes import Mode, Scale

if TYPE_CHECKING:
    from tfseg.datasets.phantoms.stand_ins import StandIn
    from tfseg.runs.pools import Parallel as Ray

INTERRUPTED = 130  # the exit code that typer gives a command that Ctrl+C stops

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        from tfseg import __version__

        typer.echo(f"tfseg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train U-Nets on medical images, in 2D and 3D, and compare loss functions fairly.

    With --debug, an error also prints its traceback.
    """


@app.command()
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

    cleaning = [] if postprocess is None else [f"scoring.postprocess={postprocess}"]
    resolved = load_config(config, [*overrides_of(set_, folds, epochs, batch_size, seed), *cleaning])
    train = load("train")
    from tfseg.cli.datasets import Source

    source = Source(data, prep, prepared, subject_pattern, skip_bad, phantoms=stand_in(phantoms))
    at_once = parallel_of(parallel, ray_address)
    train.fit(train.with_loss(resolved, loss), source, out, splits, devices, command(), final, at_once)


@app.command()
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

        compare_masks(truth, predictions, labels, tolerance_mm, ignore_label, out, command())
        return
    train = load("train")
    from tfseg.cli.datasets import Source, follow
    from tfseg.comparison.study import load_study

    settings = overrides_of(set_, folds, epochs, batch_size, seed)
    if rates is not None:
        settings.append(f"training.rates=[{rates}]")
    read = load_study(study, config, settings, losses, seeds, mode, scale)
    source = Source(data, prep, prepared, subject_pattern, skip_bad, phantoms=stand_in(phantoms))
    at_once = parallel_of(parallel, ray_address)
    if read.protocol.datasets:
        if tune_budget is not None or space is not None:
            raise ConfigError("--tune-budget and --space tune the losses on one dataset; the study lists several")
        if splits is not None or predictions is not None:
            raise ConfigError("--splits and --predictions belong to one dataset; the study lists several")
        load("several").compare(read, source, out, devices, command(), dry_run, at_once)
        return
    source = follow(source, read.protocol)
    from tfseg.evaluation.contestants import parse_contestants

    contestants = {} if predictions is None else parse_contestants(predictions)
    from tfseg.cli.tuned import tuning_of

    tuning = tuning_of(out, tune_budget, space)
    train.compare(read, source, out, splits, devices, command(), dry_run, contestants, at_once, tuning)


@app.command()
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

    resolved = load_config(config, overrides_of(set_, folds, epochs, batch_size, seed))
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
        command(),
        fold,
        nested,
        parallel_of(parallel, ray_address),
    )


@app.command()
def prep(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    recipe: Recipe = None,
    subject_pattern: SubjectPattern = None,
    skip_bad: SkipBad = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Scans to prepare at a time; each needs memory. Default: by the size of the data."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="The configuration (YAML) that will train; for volumes, recipes are derived in 3D."),
    ] = None,
    set_: Settings = None,
    show_augmented: Annotated[
        Path | None,
        typer.Option(help="Contact sheet (PNG) to write: training images as the configuration changes them."),
    ] = None,
) -> None:
    """Prepare scans: slices, labels and an index, ready for training."""
    from tfseg.cli.datasets import Source, prepare_scans
    from tfseg.config.config import load_config

    source = Source(data, recipe, subject_pattern=subject_pattern, skip_bad=skip_bad, workers=workers)
    prepare_scans(source, data, out, load_config(config, set_ or ()), show_augmented)


@app.command()
def inspect(
    data: Annotated[Path, typer.Argument(help="A folder in a known layout, or a CSV manifest.")],
    pictures: Annotated[Path | None, typer.Option(help="Contact sheet (PNG) to write.")] = None,
    subject_pattern: SubjectPattern = None,
) -> None:
    """Check a dataset before training: summarise it and report every fault."""
    from tfseg.cli import datasets

    datasets.inspect(data, pictures, subject_pattern)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write, in the Decathlon layout.")],
    kind: Annotated[
        Kind,
        typer.Option(
            help="CT abdomens; MR heads, with or without tumours, labelled by two tools, or as 2D images; newborns "
            "with lesions."
        ),
    ] = Kind.abdomen,
    subjects: Annotated[int, typer.Option(min=1, help="Number of subjects.")] = 20,
    size: Annotated[int, typer.Option(min=32, max=256, help="Voxels along x and y.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Each seed gives other subjects.")] = 0,
) -> None:
    """Make synthetic subjects with labels."""
    from tfseg.cli.datasets import make_phantoms

    make_phantoms(out, kind.value, subjects, size, seed)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A folder made by fit.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    fold: Annotated[
        int | None, typer.Option(min=0, help="Export the network of one fold. Default: the mean of all.")
    ] = None,
    final: Final = False,
    format_: Annotated[
        str, typer.Option("--format", help="Of savedmodel, litert and onnx; the last two need tfseg[onnx].")
    ] = "savedmodel",
) -> None:
    """Export a run as SavedModel, LiteRT or ONNX, which run without tfseg."""
    load("outputs").export(run, out, fold, final, format_)


@app.command()
def predict(
    model: Annotated[
        list[Path], typer.Argument(help="A folder made by fit, compare (with --arm) or export; or several made by fit.")
    ],
    input_: Annotated[
        Path,
        typer.Option("--input", help="A scan, a folder of scans, a DICOM series, or a CSV list; no labels needed."),
    ],
    output: Annotated[Path, typer.Option(help="Folder to write; the same command resumes.")],
    fold: Annotated[
        int | None, typer.Option(min=0, help="Use the network of one fold. Default: the mean of all.")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Use an arm of a comparison, under all seeds.")] = None,
    final: Final = False,
    probabilities: Annotated[
        ProbabilityType | None, typer.Option(help="Also write CASE_probability.nii.gz; uint8 counts 1/255.")
    ] = None,
    clean: Annotated[
        str | None,
        typer.Option(help="Clean the label maps: largest:spleen,min:tumour=70 (voxels), or none. Default: as in fit."),
    ] = None,
    flip: Annotated[
        str | None,
        typer.Option(help="Also predict mirror images: left-right,anterior-posterior,superior-inferior."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Allow flips that the training never made.")] = False,
    mc_samples: Annotated[
        int | None,
        typer.Option(help="Dropout passes of each network; also write CASE_entropy, _std and _mutual_information."),
    ] = None,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write these maps without dropout, from several networks.")
    ] = False,
    class_std: Annotated[
        bool, typer.Option("--class-std", help="Also write CASE_class_std: the standard deviation of every class.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the dropout passes.")] = 0,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Scale each network's probabilities by the temperature of its fold.")
    ] = False,
) -> None:
    """Predict new scans: label maps on each scan's own grid."""
    commands = load("predict")
    chosen = commands.Chosen(tuple(model), fold, arm, final)
    sampling = commands.sampling_of(mc_samples, uncertainty, class_std, seed)
    options = commands.options_of(clean, flip, force, probabilities, sampling, calibrated)
    commands.predict(chosen, input_, output, options)


@app.command()
def score(
    truth: Annotated[Path, typer.Argument(help="A label map, a folder of them, or a dataset with dataset.json.")],
    prediction: Annotated[Path, typer.Argument(help="A label map, or a folder with files of the same names.")],
    labels: Annotated[
        str | None, typer.Option(help="1=spleen,2=liver or a dataset.json. Default: as declared beside the truths.")
    ] = None,
    tolerance_mm: Annotated[float, typer.Option(help="The surface distance that NSD tolerates.")] = 1.0,
    ignore_label: Annotated[
        int | None, typer.Option(help="Truth voxels of this value do not count. Default: as declared.")
    ] = None,
    lesions: Annotated[bool, typer.Option("--lesions", help="Count lesions: detected, missed and false.")] = False,
    out: Annotated[Path | None, typer.Option(help="Table of scores (CSV) to write.")] = None,
) -> None:
    """Score label maps against the truth, case by case, in millimetres."""
    from tfseg.cli.scoring import score_label_maps

    score_label_maps(truth, prediction, labels, tolerance_mm, ignore_label, lesions, out)


@app.command()
def doctor(devices: Devices = None) -> None:
    """Show versions, devices, threads and memory, and train one step on every device."""
    from tfseg.cli.doctor import show_doctor

    show_doctor(devices)


@app.command()
def losses(
    name: Annotated[str | None, typer.Argument(help="Show the card of this loss.")] = None,
) -> None:
    """List the losses, or show the card of one: formula, parameters, behaviour, names elsewhere."""
    from tfseg.cli.losses import show_card, show_list

    show_list() if name is None else show_card(name)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A folder made by fit, compare or tune.")]) -> None:
    """Write the report of a run, a comparison or a sweep again."""
    load("outputs").write_again(folder)


def overrides_of(
    settings: list[str] | None, folds: int | None, epochs: int | None, batch_size: int | None, seed: int | None
) -> list[str]:
    """Return the settings of a command line as `name=value`; options of their own come last and win.

    >>> overrides_of(["seed=1", "model.depth=3"], folds=None, epochs=20, batch_size=None, seed=None)
    ['seed=1', 'model.depth=3', 'training.epochs=20']
    """
    shortcuts = {"folds": folds, "training.epochs": epochs, "training.batch_size": batch_size, "seed": seed}
    return [*(settings or ()), *(f"{name}={value}" for name, value in shortcuts.items() if value is not None)]


def stand_in(phantoms: Phantoms | None) -> "StandIn | None":
    """Return the phantoms that are asked for by name."""
    from tfseg.datasets.phantoms.stand_ins import STAND_INS

    return None if phantoms is None else STAND_INS[phantoms.value]


def parallel_of(parallel: int | None, ray_address: str | None) -> "Ray | None":
    """Return how to train at once, if that is asked for."""
    from tfseg.runs.pools import Parallel

    return None if parallel is None and ray_address is None else Parallel(parallel or None, ray_address)


def with_numbers(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which `--parallel` has a number: 0, for as many as possible, if none follows.

    >>> with_numbers(["fit", "--parallel", "--epochs", "3"])
    ['fit', '--parallel=0', '--epochs', '3']
    >>> with_numbers(["fit", "--parallel", "2"])
    ['fit', '--parallel', '2']
    """
    following = [*arguments[1:], ""]
    return [
        "--parallel=0" if each == "--parallel" and not after.isdigit() else each
        for each, after in zip(arguments, following, strict=True)
    ]


def load(commands: str) -> ModuleType:
    """Import a module of commands that need TensorFlow, which takes seconds."""
    from tfseg.core.quiet import quiet_stderr

    with quiet_stderr():
        return importlib.import_module(f"tfseg.cli.{commands}")


def command() -> str:
    """Return the command line as it was typed."""
    return shlex.join(["tfseg", *sys.argv[1:]])


def main() -> None:
    """Run the command line: exit 0 if done, 1 if the work failed, 2 if the call or the config is wrong."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN's convolutions are several times faster; TensorFlow chooses them only on processors with AVX-512.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(with_numbers(arguments))
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            typer.echo("tfseg: interrupted; the same command resumes from here", err=True)
        raise
    except Exception as error:
        debug = "--debug" in sys.argv
        if debug:
            traceback.print_exc()
        typer.echo(f"tfseg: {explain(error, debug)}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


def explain(error: Exception, debug: bool) -> str:
    """Return the line that reports an error; a fault of tfseg is named as such, with how to report it."""
    if not is_fault(error):
        return one_line(error)
    how = (
        "to report it, send the command, the traceback above and what `tfseg doctor` prints"
        if debug
        else "--debug shows where, and how to report it"
    )
    return f"this is a fault of tfseg, not of your input: {type(error).__name__}: {one_line(error)}; {how}"
