"""Follow a training from outside, and stop it at the end of an epoch."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr)


class Stopped(Exception):
    """A training stopped after an epoch because its caller asked for it; `epochs` are done, over all stages."""

    def __init__(self, epochs: int) -> None:
        super().__init__(f"stopped after epoch {epochs}")
        self.epochs = epochs


@dataclass(frozen=True)
class Progress:
    """Listeners to a training.

    Args:
        on_step: after each step.
        on_epoch: after each epoch, with its number from 0 over all stages and the last known values of its logs.
        on_resume: once, if a training resumes from a checkpoint, with the epochs that were trained before.
        say: receives messages for the user; prints to standard error by default.
        stop_after: returns whether to stop after an epoch; called as `on_epoch`, once the checkpoint is written.
    """

    on_step: Callable[[], None] = lambda: None
    on_epoch: Callable[[int, Mapping[str, float]], None] = lambda epoch, logs: None
    on_resume: Callable[[int], None] = lambda epochs: None
    say: Callable[[str], None] = _to_standard_error
    stop_after: Callable[[int, Mapping[str, float]], bool] = lambda epoch, logs: False


QUIET = Progress()
