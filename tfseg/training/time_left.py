"""Estimate how far a training is and how long the rest will take."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple


class Pace:
    """The mean duration of a step, including everything between steps, since the pace was created."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._begun = clock()
        self._steps = 0

    def step(self) -> None:
        """Count a step."""
        self._steps += 1

    def seconds(self, steps: float) -> float:
        """Return the estimated seconds for so many more steps."""
        return (self._clock() - self._begun) / max(self._steps, 1) * steps


class Part(NamedTuple):
    """Work done, of how much in total, and the seconds left."""

    done: float
    total: int
    seconds: float


class Course:
    """The progress of a network's training, in steps; steps from before an interruption do not count in the pace.

    Args:
        steps: steps of each epoch.
        before: networks of the run that are done.
        after: networks of the run that are still to come, assumed to be as long as this one.
        run: the pace of all networks of the run.
        clock: returns the time in seconds.

    >>> seconds = iter([0.0, 0.0, 6.0])  # created, created, read after three steps
    >>> clock = lambda: next(seconds)
    >>> course = Course([4, 4], before=0, after=0, run=Pace(clock), clock=clock)
    >>> for _ in range(3):
    ...     course.step()
    >>> course.network
    Part(done=3, total=8, seconds=10.0)
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
        """Count a step that was just made."""
        self._done += 1
        self._own.step()
        self._run.step()

    def go_to(self, epochs: int) -> None:
        """Move to the end of so many epochs, trained before an interruption."""
        self._done = self._ends[epochs]

    @property
    def epoch_number(self) -> int:
        """The epoch, from 1, of the latest step."""
        return max(bisect_left(self._ends, self._done), 1)

    @property
    def epoch(self) -> Part:
        """Progress of the current epoch, in steps."""
        begin, end = self._ends[self.epoch_number - 1 : self.epoch_number + 1]
        return Part(self._done - begin, end - begin, self._own.seconds(end - self._done))

    @property
    def network(self) -> Part:
        """Progress of the network, in steps."""
        total = self._ends[-1]
        return Part(self._done, total, self._own.seconds(total - self._done))

    @property
    def run(self) -> Part:
        """Progress of the run, in networks."""
        total = self._ends[-1]
        left = self._run.seconds(total - self._done + self._after * total)
        return Part(self._before + self._done / total, self._before + 1 + self._after, left)
