"""Run a tfseg command in a forked process that records what it takes, and what it touches."""

import contextlib
import os
import resource
import select
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfseg.cli import app

SECONDS = 30
MEMORY_BYTES = 2**30
# On a busy machine a command waits for its turn; one that waits this long hangs.
LONGEST_WAIT_S = 10 * SECONDS
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Python's audit events whose first arguments are paths that change, and those that run code.
CHANGES = {
    "os.rename": 2,
    "os.remove": 1,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.link": 2,
    "os.truncate": 1,
}
RUNS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pickle.find_class"}


@dataclass(frozen=True)
class Outcome:
    """Outcome of a command: exit code (a signal if negative), what it printed and took, and what it did amiss."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    peak_bytes: int
    violations: tuple[str, ...]


def run(arguments: Sequence[str], folder: Path, writable: Sequence[Path]) -> Outcome:
    """Run a command in `folder`; every file that it writes outside `writable` is a violation.

    It may take `SECONDS` of processor time and `MEMORY_BYTES` more than this process has.
    """
    with contextlib.ExitStack() as stack:
        stdout, stderr, violations = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        process = os.fork()
        if process == 0:
            _be_the_command(arguments, folder, writable, stdout.fileno(), stderr.fileno(), violations.fileno())
        code, usage = _wait(process)
        texts = []
        for file in (stdout, stderr, violations):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    took = usage.ru_utime + usage.ru_stime
    return Outcome(code, texts[0], texts[1], took, 1024 * usage.ru_maxrss, tuple(dict.fromkeys(texts[2].splitlines())))


def _wait(process: int) -> tuple[int, resource.struct_rusage]:
    descriptor = os.pidfd_open(process)
    try:
        if not select.select([descriptor], [], [], LONGEST_WAIT_S)[0]:
            os.kill(process, signal.SIGKILL)
    finally:
        os.close(descriptor)
    _, status, usage = os.wait4(process, 0)
    return os.waitstatus_to_exitcode(status), usage


def _be_the_command(
    arguments: Sequence[str], folder: Path, writable: Sequence[Path], stdout: int, stderr: int, violations: int
) -> None:
    code = 99
    try:
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", errors="backslashreplace", closefd=False) for number in (1, 2))
        os.chdir(folder)
        sys.dont_write_bytecode = True
        sys.argv = ["tfseg", *arguments]
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + MEMORY_BYTES, resource.RLIM_INFINITY))
        _watch([*writable, Path(tempfile.gettempdir()), Path("/dev"), Path("/proc")], violations)
        app.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(writable: Sequence[Path], violations: int) -> None:
    """Write a line for every path that changes outside `writable`, and for every program or pickled object."""
    roots = [os.path.abspath(path) for path in writable]

    def is_outside(path: Any) -> bool:
        if isinstance(path, int):
            return False
        absolute = os.path.realpath(os.fsdecode(path))
        return not any(absolute == root or absolute.startswith(f"{root}/") for root in roots)

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event == "open" and (values[2] or 0) & WRITING:
            changed = values[:1]
        elif event in CHANGES:
            changed = values[: CHANGES[event]]
        else:
            if event in RUNS:
                os.write(violations, f"{event}: {values[:2]}\n".encode(errors="replace"))
            return
        for path in filter(is_outside, changed):
            os.write(violations, f"{event}: {os.fsdecode(path)}\n".encode(errors="replace"))

    sys.addaudithook(hook)


def _data_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData:"))
