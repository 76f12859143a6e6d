"""Set up a training: check devices, prepare scans, split subjects."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfseg.cli.datasets import Source, prepare
from tfseg.cli.terminal import Terminal
from tfseg.config.config import Config
from tfseg.core.errors import ConfigError
from tfseg.core.machine import usable_cores
from tfseg.datasets.phantoms.dataset import write_dataset
from tfseg.datasets.phantoms.stand_ins import STAND_INS
from tfseg.datasets.splits import Split, to_json
from tfseg.evaluation.scored import scored_labels
from tfseg.prepared.inputs import caution_about_spacing, check_input, input_shape
from tfseg.prepared.prepared import Prepared, split_subjects
from tfseg.runs.trust import check_uncertainty
from tfseg.training.network import check_network
from tfseg.training.strategy import choose_devices, open_strategy, set_threads, sharing_evenly


@dataclass(frozen=True)
class Setting:
    """Prepared cases, and the folds of their subjects under every seed."""

    prepared: Prepared
    folds: dict[int, list[Split]]

    def records(self, seed: int) -> dict[str, str]:
        """Return what a run folder says of its inputs: file names and their text."""
        return {"splits.json": to_json(self.folds[seed]), **self.inputs}

    @property
    def inputs(self) -> dict[str, str]:
        """Return what every folder says of the data."""
        return {"inputs.json": json.dumps({"prepared_sha256": self.prepared.digest})}


def check_devices(configs: Sequence[Config], devices: str | None, one_each: bool = False) -> list[str]:
    """Return the devices of a network, checked before any work begins.

    If none are named, these are all GPUs, or as many as can share every batch evenly. If networks that train at the
    same time have one each, this process takes little of the first one's memory.

    Raises:
        ConfigError: if a device does not exist, or a batch cannot be divided evenly among the devices.
    """
    if one_each:
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    threads = configs[0].training.threads or usable_cores()
    set_threads(threads)
    chosen = choose_devices(devices)
    batch_sizes = [stage.training.batch_size for config in configs for stage in config.resolved_stages()]
    if devices is None:
        chosen = chosen[:1] if one_each else sharing_evenly(chosen, batch_sizes)
    open_strategy(",".join(chosen), threads)
    for size in batch_sizes:
        if size % len(chosen):
            raise ConfigError(f"training.batch_size: {len(chosen)} devices cannot share batches of {size} evenly")
    return chosen


def set_up(
    configs: Sequence[Config], seeds: Sequence[int], source: Source, out: Path, splits: Path | None, terminal: Terminal
) -> Setting:
    """Prepare the scans and split their subjects for networks trained in `out`, which is already claimed.

    Args:
        configs: configuration of every arm; they share how subjects are split.
        seeds: each draws its folds; all have those of the first if `redraw_folds` is off or splits are given.
        source: what to train on.
        out: the folder to write.
        splits: a file of splits; if None, the dataset's own, or new ones.
        terminal: shows the progress of preparation.

    Raises:
        ConfigError: if the call, the config or the folder to write is wrong.
        DataError: if the data cannot be used.
    """
    first = configs[0]
    volumes = any(config.training.input.kind != "slices" for config in configs)
    prepared = _prepared(source, out, first.seed, volumes, terminal)
    if volumes and (caution := caution_about_spacing(prepared)):
        terminal.say(f"warning: {caution}")
    for config in configs:
        scored_labels(prepared, config.scoring)
        for stage in config.resolved_stages():
            check_input(stage.training, prepared)
    for model, seen in {repr(each): each for each in ((c.model, c.training.input) for c in configs)}.values():
        check_network(model, input_shape(seen, prepared), prepared.targets)
    redraws = first.redraw_folds and not (splits or prepared.splits)
    drawn_by = {seed: seed if redraws else first.seed for seed in seeds}
    folds = {
        seed: split_subjects(first.model_copy(update={"seed": drawn}), prepared, splits)
        for seed, drawn in drawn_by.items()
    }
    fewest = min((split for of_seed in folds.values() for split in of_seed), key=lambda split: len(split.val))
    for config in {repr((c.model, c.training.input, c.uncertainty)): c for c in configs}.values():
        check_uncertainty(config, prepared, fewest)
    return Setting(prepared, folds)


def _prepared(source: Source, out: Path, seed: int, volumes: bool, terminal: Terminal) -> Prepared:
    if source.prepared:
        prepared = Prepared(source.prepared)
        prepared.check()
        return prepared
    data = source.data
    if data is None:
        kind, subjects, size = source.phantoms or STAND_INS["abdomen"]
        data = out / "phantoms"
        named = kind.replace("_", " ")
        terminal.say(f"no --data: {subjects} synthetic {named} subjects are used instead of scans ({data})")
        if not data.is_dir():
            with terminal.bar("making phantoms", subjects) as advance:
                write_dataset(data, kind, subjects, size, seed, advance)
    return prepare(data, source, out / "prepared", terminal, volumes)
