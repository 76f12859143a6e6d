"""Show networks that train at the same time in one display."""

from collections.abc import Callable, Mapping, Sequence

from rich.progress import Progress

from tfseg.core.words import duration, epoch_line
from tfseg.training.progress import Progress as TrainingProgress
from tfseg.training.time_left import Course, Pace


class ParallelLines:
    """Shows a bar for all networks and one for each that trains; a line per epoch if `bars` is None."""

    def __init__(self, say: Callable[[str], None], what: str, networks: int, bars: Progress | None) -> None:
        self._say = say
        self._networks = networks
        self._skipped = 0
        self._pace: Pace | None = None
        self._courses: list[Course] = []
        self._bars = bars
        self._all = bars.add_task(what, total=networks, left="") if bars else None

    def skipped(self, name: str) -> None:
        """Report a network that was finished before."""
        self._say(f"{name}: finished before")
        self._skipped += 1

    def begin(self, name: str, steps: Sequence[int]) -> TrainingProgress:
        """Show the training of a network whose epochs have these numbers of steps."""
        self._pace = self._pace or Pace()
        course = Course(steps, 0, 0, self._pace)
        self._courses.append(course)
        own, epochs, bars = Pace(), len(steps), self._bars
        task = bars.add_task(name, total=sum(steps), left="") if bars else None

        def draw(line: str = name) -> None:
            if bars is None or task is None or self._all is None:
                return
            part = course.network
            bars.update(task, completed=part.done, total=part.total, left=duration(part.seconds), description=line)
            bars.update(self._all, completed=self._done, left=duration(self._seconds_left))
            if part.done >= part.total:
                bars.update(task, visible=False)

        def on_step() -> None:
            course.step()
            draw()

        def on_resume(trained: int) -> None:
            course.go_to(trained)
            draw()
            self._say(f"{name}: resumes after epoch {trained}/{epochs}")

        def on_epoch(epoch: int, logs: Mapping[str, float]) -> None:
            course.go_to(epoch + 1)
            own.step()
            line = epoch_line(name, epoch, epochs, logs)
            draw(line)
            if bars is None:
                left = f"{duration(course.network.seconds)} left, {duration(self._seconds_left)} of all"
                self._say(f"{line}  {own.seconds(1):.1f} s/epoch, {left}")

        return TrainingProgress(on_step, on_epoch, on_resume, self._say)

    @property
    def _done(self) -> float:
        """Networks, and parts of those that train."""
        return self._skipped + sum(course.network.done / course.network.total for course in self._courses)

    @property
    def _seconds_left(self) -> float:
        """Of all networks: those to come are assumed to be as long as the mean of those that have begun."""
        parts = [course.network for course in self._courses]
        mean = sum(part.total for part in parts) / len(parts)
        to_come = (self._networks - self._skipped - len(parts)) * mean
        return self._pace.seconds(sum(part.total - part.done for part in parts) + to_come) if self._pace else 0.0
