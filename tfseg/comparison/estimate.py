"""Estimate the time, memory and disk space of a grid of trainings from a few measured steps of every arm."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from tfseg.config.config import Config
from tfseg.core import memory
from tfseg.datasets.splits import Split
from tfseg.datasets.volume import write_volume
from tfseg.preparation.prepare import restore_label
from tfseg.prepared.prepared import Prepared
from tfseg.runs.cells import Cell, epoch_steps
from tfseg.training.fit import train
from tfseg.training.strategy import open_strategy

_EPOCHS = 2  # the first traces graphs, the second is measured


@dataclass(frozen=True)
class Estimate:
    """The estimated needs of a grid: `seconds`, peak `memory_bytes`, and `disk_bytes` out of `free_bytes` available.

    `seconds_per_step`: by arm; an arm that was not measured is left out and counts as the mean of the others.
    """

    seconds: float
    memory_bytes: int
    disk_bytes: int
    free_bytes: int
    seconds_per_step: dict[str, float]


class _Measured(NamedTuple):
    seconds_per_step: float
    seconds_per_slice: float
    network_bytes: float


def estimate(
    cells: Sequence[Cell],
    prepared: Prepared,
    devices: str | None,
    out: Path,
    advance: Callable[[], None] = lambda: None,
    arms: int | None = None,
) -> Estimate:
    """Train arms of some cells on the smallest subject, and estimate from that the needs of all cells.

    Only the first stage of an arm is trained; arms that share it are measured once.

    Args:
        cells: the cells still to be trained.
        prepared: their prepared folder.
        devices: as in `run_cell_here`.
        out: the folder that the grid will be written to.
        advance: called after each arm.
        arms: how many to measure, the first that can be; all if None. Each takes as long as a small network's start.
    """
    memory.reset_peak()
    strategy = open_strategy(devices, cells[0].config.training.threads)
    measured: dict[str, _Measured] = {}
    known: dict[str, _Measured] = {}  # by the settings of the first stage
    for arm, cell in {cell.arm: cell for cell in cells}.items():
        if len(measured) == arms:
            break
        first = cell.config.by_rate()[0].resolved_stages()[0]
        settings = first.model_dump_json()
        try:
            measured[arm] = known[settings] if settings in known else _measure(first, cell.split, prepared, strategy)
            known[settings] = measured[arm]
        except Exception:  # the error is reported when the arm itself is trained
            continue
        finally:
            advance()
    if not measured:
        return Estimate(np.nan, memory.peak_bytes(), 0, shutil.disk_usage(out).free, {})
    typical = _Measured(*np.mean(list(measured.values()), axis=0).tolist())
    label_bytes = _label_bytes_per_slice(prepared)
    seconds = disk_bytes = 0.0
    for cell in cells:
        cost = measured.get(cell.arm, typical)
        validated, tested = (prepared.slices_of(part) for part in (cell.split.val, cell.split.test))
        steps = epoch_steps(cell.config, prepared, cell.split)
        slices = len(steps) * validated + tested
        seconds += sum(steps) * cost.seconds_per_step + slices * cost.seconds_per_slice
        disk_bytes += cost.network_bytes + tested * label_bytes
    steps_seconds = {arm: cost.seconds_per_step for arm, cost in measured.items()}
    return Estimate(seconds, memory.peak_bytes(), round(disk_bytes), shutil.disk_usage(out).free, steps_seconds)


def _measure(first: Config, whole: Split, prepared: Prepared, strategy: tf.distribute.Strategy) -> _Measured:
    trained, validated = (_smallest(prepared, part) for part in (whole.train, whole.val))
    split = Split((trained,), (validated,), ())
    short = first.training.model_copy(update={"epochs": _EPOCHS, "patience": None})
    config = first.model_copy(update={"training": short})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train(config, prepared, split, config.seed, folder, strategy)
        last = pd.read_csv(folder / "history.csv").iloc[-1]
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return _Measured(
        last["train_seconds"] / epoch_steps(config, prepared, split)[0],
        last["validation_seconds"] / prepared.slices_of(split.val),
        size,
    )


def _smallest(prepared: Prepared, subjects: Sequence[str]) -> str:
    return min(subjects, key=lambda subject: (prepared.slices_of([subject]), subject))


def _label_bytes_per_slice(prepared: Prepared) -> float:
    case = prepared.case(prepared.index["case"].iloc[0])
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "label.nii.gz"
        write_volume(
            path, restore_label(np.asarray(case.label), case.grid, prepared.labels), np.asarray(case.grid.affine)
        )
        return path.stat().st_size / len(case.label)
