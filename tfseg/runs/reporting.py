"""Report a training through a file in its folder, which a process on any machine can follow."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tfseg.core import memory
from tfseg.training.progress import Progress, Stopped

REPORTS = "progress.jsonl"
EVERY_S = 0.5  # between two reports of steps


class Reporter:
    """Write what a training does as lines of JSON: the start of an attempt, steps, epochs, messages.

    `stop_after`: epochs after which the training stops; None for all.
    """

    def __init__(self, cell: Path, stop_after: int | None = None) -> None:
        cell.mkdir(parents=True, exist_ok=True)
        self._path = cell / REPORTS
        self._stop_after = stop_after
        self._steps = 0
        self._written = time.monotonic()
        self._write(begin=True)

    @property
    def progress(self) -> Progress:
        """The listeners to pass to a training."""
        return Progress(self._on_step, self._on_epoch, self._on_resume, self._say, self._stops)

    def _on_step(self) -> None:
        self._steps += 1
        if time.monotonic() - self._written >= EVERY_S:
            self._write_steps()

    def _on_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        self._write_steps()
        self._write(epoch=epoch, logs=dict(logs), peak_bytes=memory.peak_bytes())

    def _on_resume(self, trained: int) -> None:
        self._write(resume=trained)
        if self._stop_after is not None and trained >= self._stop_after:
            raise Stopped(trained)

    def _say(self, line: str) -> None:
        self._write(say=line)

    def _stops(self, epoch: int, logs: Mapping[str, float]) -> bool:
        return self._stop_after is not None and epoch + 1 >= self._stop_after

    def _write_steps(self) -> None:
        self._write(steps=self._steps)
        self._steps, self._written = 0, time.monotonic()

    def _write(self, **event: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


class Follower:
    """Read what a `Reporter` writes, and tell a listener.

    Args:
        cell: the folder.
        begin: called when the first attempt starts; returns the listener.
    """

    def __init__(self, cell: Path, begin: Callable[[], Progress]) -> None:
        self._path = cell / REPORTS
        self._path.unlink(missing_ok=True)  # of an earlier command
        self._begin = begin
        self._offset = 0
        self._progress: Progress | None = None
        self.peak_bytes = 0

    def read(self) -> None:
        """Report what was written since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                written = file.read()
        except FileNotFoundError:
            return
        *lines, _ = written.split(b"\n")
        self._offset += sum(len(line) + 1 for line in lines)
        for line in lines:
            with suppress(ValueError):  # a killed process may have written half a line
                self._report(json.loads(line))

    def close(self) -> None:
        """Read the rest and remove the file."""
        self.read()
        self._path.unlink(missing_ok=True)

    def say(self, line: str) -> None:
        """Tell the listener something that the training itself could not."""
        self._listener.say(line)

    @property
    def _listener(self) -> Progress:
        if self._progress is None:
            self._progress = self._begin()
        return self._progress

    def _report(self, event: Mapping[str, Any]) -> None:
        listener = self._listener
        for _ in range(event.get("steps", 0)):
            listener.on_step()
        if "epoch" in event:
            self.peak_bytes = max(self.peak_bytes, event["peak_bytes"])
            listener.on_epoch(event["epoch"], event["logs"])
        if "resume" in event:
            listener.on_resume(event["resume"])
        if "say" in event:
            listener.say(event["say"])
