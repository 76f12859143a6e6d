"""Show networks that train one after another."""

from collections.abc import Callable, Mapping, Sequence

from rich.progress import Progress

from tfseg.core.words import duration, epoch_line
from tfseg.training.progress import Progress as TrainingProgress
from tfseg.training.time_left import Course, Pace


class TrainingLines:
    """Shows every network and epoch: as bars on a terminal, as a line per epoch if `bars` is None."""

    def __init__(self, say: Callable[[str], None], what: str, networks: int, bars: Progress | None) -> None:
        self._say = say
        self._networks = networks
        self._done = 0
        self._pace: Pace | None = None
        self._bars = bars
        self._tasks = [bars.add_task(what, total=networks, left="")] if bars else []

    def skipped(self, name: str) -> None:
        """Report a network that was finished before."""
        self._say(f"{name}: finished before")
        self._done += 1
        if self._bars:
            self._bars.update(self._tasks[0], completed=self._done)

    def begin(self, name: str, steps: Sequence[int]) -> TrainingProgress:
        """Show the training of a network whose epochs have these numbers of steps."""
        self._pace = self._pace or Pace()
        course = Course(steps, self._done, self._networks - self._done - 1, self._pace)
        self._done += 1
        own, epochs = Pace(), len(steps)
        if self._bars:
            for task in self._tasks[2:]:  # the epochs of the previous network; its own bar stays and shows its end
                self._bars.remove_task(task)
            self._tasks[1:] = [self._bars.add_task(each, total=sum(steps), left="") for each in (name, "epoch")]

        def on_step() -> None:
            course.step()
            self._draw(course)

        def on_resume(trained: int) -> None:
            course.go_to(trained)
            self._draw(course)
            self._say(f"{name}: resumes after epoch {trained}/{epochs}")

        def on_epoch(epoch: int, logs: Mapping[str, float]) -> None:
            course.go_to(epoch + 1)
            own.step()
            line = epoch_line(name, epoch, epochs, logs)
            if self._bars:
                self._bars.update(self._tasks[1], description=line)
                return
            network, run = duration(course.network.seconds), duration(course.run.seconds)
            self._say(f"{line}  {own.seconds(1):.1f} s/epoch, {network} left, {run} of the run")

        return TrainingProgress(on_step, on_epoch, on_resume, self._say)

    def _draw(self, course: Course) -> None:
        if self._bars is None:
            return
        for task, part in zip(self._tasks, (course.run, course.network, course.epoch), strict=True):
            self._bars.update(task, completed=part.done, total=part.total, left=duration(part.seconds))
        self._bars.update(self._tasks[2], description=f"epoch {course.epoch_number}")
