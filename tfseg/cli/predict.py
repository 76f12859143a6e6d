"""Predict scans that nobody labelled, with a run, an arm of a comparison, or an exported SavedModel."""

import io
import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from tfseg.cli.terminal import Terminal
from tfseg.comparison.folder import model_of_arm
from tfseg.config.config import load_config
from tfseg.core import files, memory
from tfseg.core.claims import claimed
from tfseg.core.errors import ConfigError, DataError
from tfseg.core.machine import usable_cores
from tfseg.core.resumable import resumable
from tfseg.datasets import cautions
from tfseg.datasets.grids import Header
from tfseg.datasets.layouts import Case
from tfseg.datasets.reading import read_case_header
from tfseg.datasets.unlabelled import find_scans
from tfseg.prediction.clean_up import parse_clean_up
from tfseg.prediction.draws import Sampling
from tfseg.prediction.flips import kept_whole
from tfseg.prediction.memory_needs import fitted_batch, peak_bytes
from tfseg.prediction.model import Model, joined, read_saved_model
from tfseg.prediction.predict import Options, Predicted, ProbabilityType, predict_scan
from tfseg.preparation.index import hashes_of
from tfseg.runs.cell import reason_of
from tfseg.runs.members import model_of
from tfseg.training.strategy import logical_devices, set_threads

RECORD, TABLE = "prediction.json", "predictions.csv"
COLUMNS = ("case", "file", "networks", "subjects", "out_of_sample", "unlike", "digests", "source_sha256")


@dataclass(frozen=True)
class Chosen:
    """The networks that predict: all folds of runs, one of them or the final one; an arm of a comparison; an export.

    `trusted` names what they may run here: functions that build imported networks, and a command that finds the brain.
    """

    models: tuple[Path, ...]
    fold: int | None = None
    arm: str | None = None
    final: bool = False
    trusted: tuple[str, ...] = ()

    def open(self) -> Model:
        """Open the model, with the threads that its networks were trained with.

        Raises:
            ConfigError: if a folder is none of a model, an option does not go with it, folders do not go together, or
                something would be run that is not in `trusted`.
        """
        models = [self._open(folder) for folder in self.models]
        for folder, model in zip(self.models, models, strict=True):
            command = model.description.recipe.skull_strip_command
            if command is not None and command not in self.trusted:
                raise ConfigError(
                    f"{folder}: its scans are prepared with the command {command!r}; if you trust it, add --trust "
                    f"{shlex.quote(command)}"
                )
        return models[0] if len(models) == 1 else joined(models, ", ".join(model.name for model in models))

    def _open(self, folder: Path) -> Model:
        if sum((self.fold is not None, self.arm is not None, self.final)) > 1:
            raise ConfigError("expected one of --fold, --arm and --final, received several")
        if (folder / "saved_model.pb").is_file():
            if len(self.models) > 1:
                raise ConfigError(f"{folder}: a SavedModel cannot be joined with other models; expected run folders")
            if self.fold is not None or self.arm is not None or self.final:
                raise ConfigError(f"{folder}: a SavedModel is one network: leave out --fold, --arm and --final")
            return read_saved_model(folder)
        if not (folder / "config.yaml").is_file():
            raise ConfigError(f"{folder}: expected a run folder, a comparison or a SavedModel")
        set_threads(load_config(folder / "config.yaml").training.threads or usable_cores())
        if (folder / "study.yaml").is_file():
            if self.arm is None:
                raise ConfigError(f"{folder}: a comparison: choose an arm with --arm, without --fold and --final")
            return model_of_arm(folder, self.arm, self.trusted)
        if self.arm is not None:
            raise ConfigError(f"{folder}: not a comparison, which --arm belongs to")
        return model_of(folder, self.fold, self.final, self.trusted)


def options_of(
    clean: str | None,
    flip: str | None,
    force: bool,
    probabilities: ProbabilityType | None,
    sampling: Sampling | None,
    calibrated: bool = False,
) -> Options:
    """Return the options of a command line.

    Raises:
        ConfigError: if a rule of `clean` is none.
    """
    flips = () if flip is None else tuple(name.strip() for name in flip.split(","))
    rules = None if clean is None else parse_clean_up(clean)
    return Options(rules, flips, force, probabilities, sampling, calibrated)


def sampling_of(passes: int | None, uncertainty: bool, class_std: bool, seed: int) -> Sampling | None:
    """Return how predictions are drawn by the options of a command line; None if they are not.

    Raises:
        ConfigError: if there is only one pass, or `--class-std` without draws.
    """
    if passes is not None and passes < 2:
        raise ConfigError(f"--mc-samples: expected 2 passes or more, received {passes}")
    if passes is None and not uncertainty:
        if class_std:
            raise ConfigError("--class-std: expected --mc-samples or --uncertainty with it")
        return None
    return Sampling(passes, seed, class_std)


def predict(chosen: Chosen, source: Path, out: Path, options: Options) -> None:
    """Predict every scan of a source and write label maps into a folder; finished scans are skipped.

    Raises:
        ConfigError: if the call is wrong, or `out` holds something else.
        DataError: if the source holds no scan, or some could not be predicted, after the others are done.
    """
    terminal = Terminal()
    model = chosen.open()
    logical_devices()  # TensorFlow starts them here, quietly
    options.check(model)
    scans, warnings = find_scans(source, model.description.channels)
    for line in (*model.warnings, *warnings):
        terminal.say(f"warning: {line}")
    record = {"model": model.name, "networks_sha256": model.digest, **options.record()}
    with resumable(out), claimed(out, {RECORD: json.dumps(record, indent=1)}, "prediction"):
        rows = _finished(out, scans)
        unfinished = [case for case in scans if case.name not in rows]
        if len(unfinished) < len(scans):
            terminal.say(f"{len(scans) - len(unfinished)} of {len(scans)} scans are predicted already")
        headers = _headers(unfinished)
        for line in cautions.of_headers({case.images[0]: header for case, header in headers.items()}):
            terminal.say(f"warning: {line}")
        batches = _batch_sizes(headers, model, options, terminal)
        failed: dict[str, str] = {}
        with terminal.bar("predicting", len(unfinished)) as advance:
            for case in unfinished:
                try:
                    predicted = predict_scan(case, model, options, batches.get(case, model.description.batch_size), out)
                except OSError:
                    raise
                except Exception as error:
                    failed[case.name] = reason_of(error)
                    terminal.say(f"{case.name}: failed: {failed[case.name]}")
                else:
                    _report(case, predicted, rows, terminal)
                    rows[case.name] = _row(case, predicted)
                    files.write_text(out / TABLE, pd.DataFrame(rows.values(), columns=COLUMNS).to_csv(index=False))
                advance()
        terminal.say(f"{len(scans) - len(failed)} of {len(scans)} scans in {out}")
        if failed:
            listed = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise DataError(f"{len(failed)} of {len(scans)} scans failed: {listed}")


def _finished(out: Path, scans: Sequence[Case]) -> dict[str, dict[str, str]]:
    """The rows of scans that are predicted and have not changed since, by case."""
    if not (out / TABLE).is_file():
        return {}
    with files.reading(out / TABLE):
        text = files.read_text(out / TABLE)
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        rows = {case: dict(zip(COLUMNS, row, strict=True)) for case, *row in table[["case", *COLUMNS]].to_numpy(str)}
    current = {case.name: case for case in scans}
    return {
        name: row
        for name, row in rows.items()
        if (out / row["file"]).is_file() and (name not in current or row["source_sha256"] == _hash_of(current[name]))
    }


def _hash_of(case: Case) -> str:
    """The hash of a scan's files; "" if one does not exist, which is reported when the scan is read."""
    try:
        return hashes_of(case.images)
    except DataError:
        return ""


def _row(case: Case, predicted: Predicted) -> dict[str, str]:
    return {
        "case": case.name,
        "file": predicted.path.name,
        "networks": "; ".join(predicted.members),
        "subjects": "; ".join(sorted(predicted.subjects)),
        "out_of_sample": "yes" if predicted.out_of_sample else "no",
        "unlike": "; ".join(predicted.unlike),
        "digests": " ".join(digest.replace(" ", ":") for digest in predicted.digests),
        "source_sha256": _hash_of(case),
    }


def _report(case: Case, predicted: Predicted, rows: dict[str, dict[str, str]], terminal: Terminal) -> None:
    """Say what is to be known of a scan: unlike training, seen in training, or there twice."""
    if predicted.unlike:
        terminal.say(f"warning: {case.name}: unlike the training scans: {'; '.join(predicted.unlike)}")
    if predicted.subjects:
        whose = f"{case.name}: the training scan of {', '.join(sorted(predicted.subjects))}"
        if predicted.out_of_sample:
            terminal.say(f"{whose}, predicted by {', '.join(predicted.members)}, which did not see it")
        else:
            terminal.say(f"warning: {whose}, which the networks have seen: this result is not out of sample")
    digests = _row(case, predicted)["digests"]
    same = [other["case"] for other in rows.values() if other["digests"] == digests and other["case"] != case.name]
    if digests.strip() and same:
        terminal.say(f"warning: {case.name}: the same voxels as {', '.join(same)}")


def _headers(scans: Sequence[Case]) -> dict[Case, Header]:
    """The headers of scans; one that cannot be read is reported when its scan is."""
    headers = {}
    for case in scans:
        with suppress(DataError):
            headers[case] = read_case_header(case)
    return headers


def _batch_sizes(headers: Mapping[Case, Header], model: Model, options: Options, terminal: Terminal) -> dict[Case, int]:
    """Return the slices to predict at a time for each scan, and say what the largest needs in memory."""
    description, sampling = model.description, options.sampling
    measures = 0 if sampling is None else sampling.moments(description.targets).measures
    whole = kept_whole(options.flip_axes(description))
    base, available = memory.resident_bytes(), memory.available_bytes()
    sizes, needs = {}, {}
    for case, header in headers.items():
        needed = partial(peak_bytes, header, description, networks=len(model.members), measures=measures, whole=whole)
        sizes[case] = fitted_batch(needed, description.batch_size, available)
        needs[case.name] = base + needed(sizes[case]), header.shape
    if needs:
        name, (peak, shape) = max(needs.items(), key=lambda each: each[1][0])
        terminal.say(
            f"the largest scan, {name} ({'×'.join(map(str, shape))}), needs about {peak / 2**30:.1f} GiB of memory; "
            f"{available / 2**30:.1f} GiB are free"
        )
    if smaller := [name for name, size in sizes.items() if size < description.batch_size]:
        terminal.say(f"memory is short: {len(smaller)} scans are predicted in batches of fewer slices")
    return sizes
