"""How far a training is, and how long the rest will take."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple


class Pace:
    """How long steps take, with all that lies between them, by those that were made since it was begun."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._begun = clock()
        self._steps = 0

    def step(self) -> None:
        """Count a step that was made."""
        self._steps += 1

    def seconds(self, steps: float) -> float:
        """Return the seconds that so many more steps will take."""
        return (self._clock() - self._begun) / max(self._steps, 1) * steps


class Part(NamedTuple):
    """So much is done of so much, and so many seconds are left."""

    done: float
    total: int
    seconds: float


class Course:
    """Where the training of a network stands, in steps; those made before a kill say nothing of how long others take.

    Args:
        steps: of each of its epochs.
        before: networks of the run that are done.
        after: networks of the run that are still to come, which are taken to be as long as this one.
        run: the pace of all networks of the run.
        clock: seconds.
    """

    def __init__(
        self,
        steps: Sequence[int],
        before: int,
        after: int,
        run: Pace,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._ends = [0, *accumulate(steps)]
        self._before = before
        self._after = after
        self._run = run
        self._own = Pace(clock)
        self._done = 0

    def step(self) -> None:
        """Count a step that was made now."""
        self._done += 1
        self._own.step()
        self._run.step()

    def go_to(self, epochs: int) -> None:
        """Stand at the end of so many epochs."""
        self._done = self._ends[epochs]

    @property
    def epoch_number(self) -> int:
        """The epoch, from 1, that the latest step belongs to."""
        return max(bisect_left(self._ends, self._done), 1)

    @property
    def epoch(self) -> Part:
        """The epoch, in steps."""
        begin, end = self._ends[self.epoch_number - 1 : self.epoch_number + 1]
        return Part(self._done - begin, end - begin, self._own.seconds(end - self._done))

    @property
    def network(self) -> Part:
        """The network, in steps."""
        total = self._ends[-1]
        return Part(self._done, total, self._own.seconds(total - self._done))

    @property
    def run(self) -> Part:
        """The run, in networks."""
        total = self._ends[-1]
        left = self._run.seconds(total - self._done + self._after * total)
        return Part(self._before + self._done / total, self._before + 1 + self._after, left)
