"""The parallel form of the loop over cells: each in a fresh process, as many at once as a pool has room for."""

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from tfseg.prepared.prepared import Prepared
from tfseg.runs.cells import Cell, Listener, epoch_steps, skip_finished
from tfseg.runs.job import Job
from tfseg.runs.pools import Pool
from tfseg.runs.reporting import Follower

POLL_S = 0.5


@dataclass
class _Running:
    cell: Cell
    follower: Follower


def run_cells_in(
    pool: Pool,
    cells: Sequence[Cell],
    prepared: Prepared,
    devices: str | None,
    listener: Listener,
    stop_after: int | None = None,
) -> dict[str, str]:
    """Train and score every unfinished cell in a pool; return the reason for each failure by the cell's name.

    The first cell runs alone until its memory is known, after an epoch. A cell whose process, worker or machine is
    lost resumes from its last epoch.

    Args:
        pool, cells, prepared, devices, listener: as in `run_cells`.
        stop_after: epochs after which every training stops, without scores; None for all.

    Raises:
        ConfigError, OSError, RunError: as `run_cells`.
    """
    waiting = deque(skip_finished(cells, listener))
    running: dict[Any, _Running] = {}
    failed: dict[str, str] = {}
    while waiting or running:
        while waiting and len(running) < pool.capacity():
            cell = waiting.popleft()
            begin = partial(listener.begin, cell.name, epoch_steps(cell.config, prepared, cell.split))
            follower = Follower(cell.folder, begin)
            running[pool.submit(_job(cell, prepared, devices, stop_after))] = _Running(cell, follower)
        ended = pool.ended(list(running), POLL_S)
        for each in running.values():
            each.follower.read()
            if each.follower.peak_bytes:
                pool.learn(each.follower.peak_bytes)
        for handle in ended:
            each, outcome = running.pop(handle), pool.outcome(handle)
            outcome.raise_error()
            if outcome.failed is not None:
                failed[each.cell.name] = outcome.failed
                each.follower.say(f"{each.cell.name} failed: {outcome.failed}")
            each.follower.close()
    return failed


def _job(cell: Cell, prepared: Prepared, devices: str | None, stop_after: int | None) -> Job:
    split = {part: list(subjects) for part, subjects in asdict(cell.split).items()}
    return Job(
        cell.config.model_dump(mode="json"),
        str(prepared.folder.resolve()),
        split,
        cell.fold,
        cell.config.seed,
        devices,
        cell.config.training.threads,
        str(cell.folder.resolve()),
        cell.arm,
        stop_after,
    )
