"""Declare the commands that use what was trained, and score label maps."""

from pathlib import Path
from typing import Annotated

import typer

from tfseg.cli.commands.call import load
from tfseg.cli.options import Final, ProbabilityType, Trust


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
    trust: Trust = None,
) -> None:
    """Export a run as SavedModel, LiteRT or ONNX, which run without tfseg."""
    load("outputs").export(run, out, fold, final, format_, tuple(trust or ()))


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
    trust: Trust = None,
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
    chosen = commands.Chosen(tuple(model), fold, arm, final, tuple(trust or ()))
    sampling = commands.sampling_of(mc_samples, uncertainty, class_std, seed)
    options = commands.options_of(clean, flip, force, probabilities, sampling, calibrated)
    commands.predict(chosen, input_, output, options)


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


def report(folder: Annotated[Path, typer.Argument(help="A folder made by fit, compare or tune.")]) -> None:
    """Write the report of a run, a comparison or a sweep again."""
    load("outputs").write_again(folder)
