"""Start a job in a fresh process and wait for it; this module loads no TensorFlow."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from tfseg.core import files
from tfseg.core.errors import ConfigError, DataError, RunError, TfsegError
from tfseg.runs.folder import FAILURE
from tfseg.runs.job import Job

ATTEMPTS = 3  # in a row, of a process that is killed by a signal before its next epoch
ERRORS = {each.__name__: each for each in (ConfigError, DataError, RunError)}


@dataclass(frozen=True)
class Outcome:
    """Outcome of a job: `failed` is the reason why a cell failed; `error`, its message, and `errno` end a command."""

    failed: str | None = None
    error: str | None = None
    message: str = ""
    errno: int | None = None

    @classmethod
    def of_error(cls, error: TfsegError | OSError) -> "Outcome":
        """Return what `raise_error` raises again, in another process: an error of the same kind."""
        if isinstance(error, OSError):
            return cls(error="OSError", message=error.strerror or str(error), errno=error.errno)
        kind = next(name for name, each in ERRORS.items() if isinstance(error, each))
        return cls(error=kind, message=str(error))

    def raise_error(self) -> None:
        """Raise the error that would affect every cell, if there is one.

        Raises:
            ConfigError, DataError, RunError, OSError: as `run_cell_here`.
            RuntimeError: on a fault of tfseg.
        """
        if self.error == "OSError":
            raise OSError(self.errno, self.message)
        if self.error is not None:
            raise ERRORS.get(self.error, RuntimeError)(self.message)


def run_fresh(job: Job, gpus: Sequence[str] | None = None) -> Outcome:
    """Run a job in a fresh process, on these GPUs; None for those that this process sees.

    A process that is killed starts again and resumes. If several attempts in a row end before the next epoch,
    `failure.json` holds the reason.
    """
    attempts, most = 0, _epochs(job)
    while attempts < ATTEMPTS:
        code, printed, errors = _run_once(job, gpus)
        if code == 0:
            return Outcome(**json.loads(printed.strip().splitlines()[-1]))
        if code > 0:
            return Outcome(error="RuntimeError", message=f"{job.out}: {errors.strip() or f'ended with code {code}'}")
        attempts = attempts + 1 if _epochs(job) <= most else 1
        most = max(most, _epochs(job))
    reason = f"killed by {signal.Signals(-code).name} {ATTEMPTS} times in a row, as happens if memory is short"
    files.write_text(job.cell / FAILURE, job.failure(reason, errors))
    return Outcome(failed=reason)


def _epochs(job: Job) -> int:
    """The epochs that the histories in the job's folder have, over all rates."""
    return sum(len(path.read_bytes().splitlines()) - 1 for path in job.cell.rglob("history.csv"))


def _run_once(job: Job, gpus: Sequence[str] | None) -> tuple[int, str, str]:
    environment = job.process_environment()
    if gpus is not None:  # a worker of Ray without a GPU may see every one
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus) or "-1"
    reading, writing = os.pipe()
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tfseg.runs.fresh"],
            stdin=reading,
            stdout=printed,
            stderr=errors,
            cwd=job.folder if os.path.isdir(job.folder) else None,
            env=environment,
            start_new_session=True,  # Ctrl+C is for the command, whose end ends this process
        )
        os.close(reading)
        try:
            # The pipe stays open as long as this process lives: its end is how the other learns of it.
            with suppress(BrokenPipeError), os.fdopen(writing, "w") as job_pipe:
                job_pipe.write(job.to_json() + "\n")
                job_pipe.flush()
                process.wait()
        finally:
            process.kill()
            code = process.wait()
        return code, _text_of(printed), _text_of(errors)[-4000:]


def _text_of(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
