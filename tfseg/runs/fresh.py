"""Train one cell in a process of its own, which ends with the process that started it; run as a module."""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tfseg.core.claims import InUse, owner_of
from tfseg.core.errors import TfsegError
from tfseg.core.quiet import quiet_stderr
from tfseg.runs.dispatch import Outcome
from tfseg.runs.job import Job
from tfseg.runs.reporting import Reporter

MODULE = "tfseg.runs.fresh"
PATIENCE_S, LIMIT_S = 10.0, 120.0


def main() -> None:
    """Read a job from standard input, run it, and print how it ended as the last line."""
    job = Job.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with quiet_stderr():
        from tfseg.runs.cell import CellFailed, run_cell_here

    progress = Reporter(job.cell, job.stop_after).progress

    def work() -> None:
        run_cell_here(
            job.config,
            Path(job.prepared),
            job.split,
            job.fold,
            job.seed,
            job.devices,
            job.threads,
            job.cell,
            arm=job.arm,
            progress=progress,
        )

    outcome = Outcome()
    try:
        when_free(work, job.cell)
    except CellFailed as error:
        outcome = Outcome(failed=str(error))
    except (TfsegError, OSError) as error:
        outcome = Outcome.of_error(error)
    print(json.dumps(asdict(outcome)), flush=True)


def when_free(work: Callable[[], None], folder: Path, patience_s: float = PATIENCE_S, limit_s: float = LIMIT_S) -> None:
    """Do work that takes a folder's lock, once the lock is free.

    A process that was left behind by a killed command can hold it for some seconds. If it is of this machine and does
    not end within `patience_s`, it is ended by the id that the lock records.

    Raises:
        InUse: if the lock is still held after `limit_s`.
    """
    started = time.monotonic()
    while True:
        try:
            return work()
        except InUse:
            waited = time.monotonic() - started
            if waited > limit_s:
                raise
            if waited > patience_s:
                _end_owner(folder)
            time.sleep(0.2)


def _end_owner(folder: Path) -> None:
    owner = owner_of(folder)
    if owner is None or owner["host"] != socket.gethostname() or owner["pid"] == os.getpid():
        return
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{owner['pid']}/cmdline").read_bytes()
        if MODULE.encode() in command:
            os.kill(owner["pid"], signal.SIGKILL)


def _end_with_parent() -> None:
    """End as soon as standard input closes, which it does however the parent ends; files are written atomically."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
