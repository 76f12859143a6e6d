"""Telling a listener how a training goes on."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr)


@dataclass(frozen=True)
class Progress:
    """Listeners to a training.

    Args:
        on_step: after each step.
        on_epoch: after each epoch, with its number from 0 over all stages and the last known values of its logs.
        on_resume: once, where a training goes on from a checkpoint, with the epochs that were trained before.
        say: what a person must read; to standard error where nobody else takes it.
    """

    on_step: Callable[[], None] = lambda: None
    on_epoch: Callable[[int, Mapping[str, float]], None] = lambda epoch, logs: None
    on_resume: Callable[[int], None] = lambda epochs: None
    say: Callable[[str], None] = _to_standard_error


QUIET = Progress()
