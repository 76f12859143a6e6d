"""What every training starts from: scans prepared, subjects split, devices chosen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from tfseg.cli.datasets import Source, prepare
from tfseg.cli.terminal import Terminal
from tfseg.config.config import Config
from tfseg.core.errors import ConfigError
from tfseg.datasets.phantoms.dataset import write_dataset
from tfseg.datasets.splits import Split, to_json
from tfseg.prepared.prepared import Prepared, split_subjects
from tfseg.runs.cell import claim
from tfseg.runs.environment import describe_environment
from tfseg.training.strategy import choose_devices, make_strategy, set_threads

# Small enough for five folds in minutes on two cores, large enough to learn three organs from.
PHANTOM_KIND, PHANTOM_SUBJECTS, PHANTOM_SIZE = "abdomen", 16, 45


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
        DataError: where the data are.
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


def _check_size(config: Config, prepared: Prepared) -> None:
    multiple = 2**config.model.depth
    if any(length % multiple for length in prepared.image_shape[:2]):
        raise ConfigError(
            f"model.depth: {config.model.depth} halvings need sides divisible by {multiple}; "
            f"the slices have {prepared.image_shape[:2]}: set size in the recipe"
        )
