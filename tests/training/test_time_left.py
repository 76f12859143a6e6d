"""The progress of a training and the time left, with a clock that is set by hand."""

import pytest

from tfseg.training.time_left import Course, Pace


class Clock:
    """Return `now`."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def make_steps(course, clock, steps, seconds_each):
    for _ in range(steps):
        clock.now += seconds_each
        course.step()


def test_remaining_steps_take_as_long_as_those_done(clock):
    """Two epochs of four steps and one of six, the first network of three."""
    course = Course([4, 4, 6], before=0, after=2, run=Pace(clock), clock=clock)
    make_steps(course, clock, 5, seconds_each=2)
    assert course.epoch_number == 2
    assert course.epoch == (1, 4, 3 * 2)
    assert course.network == (5, 14, 9 * 2)
    assert course.run == (5 / 14, 3, (9 + 2 * 14) * 2)


def test_time_between_steps_counts(clock):
    course = Course([4, 4], before=0, after=0, run=Pace(clock), clock=clock)
    make_steps(course, clock, 4, seconds_each=2)
    clock.now += 8  # validation
    assert (course.epoch_number, course.epoch.done) == (1, 4)
    assert course.network.seconds == 4 * 4


def test_steps_before_an_interruption_are_done_but_do_not_count_in_the_pace(clock):
    course = Course([4] * 5, before=0, after=1, run=Pace(clock), clock=clock)
    course.go_to(3)
    make_steps(course, clock, 2, seconds_each=3)
    assert course.network == (14, 20, 6 * 3)
    assert course.run.seconds == (6 + 20) * 3


def test_the_time_left_of_a_run_uses_the_pace_of_all_its_networks(clock):
    """The second network is slower; the first was stopped early, after three of its four steps."""
    run = Pace(clock)
    first = Course([2, 2], before=1, after=2, run=run, clock=clock)
    make_steps(first, clock, 3, seconds_each=1)
    second = Course([2, 2], before=2, after=1, run=run, clock=clock)
    make_steps(second, clock, 1, seconds_each=5)
    assert second.network.seconds == 3 * 5
    assert second.run == (2.25, 4, (3 + 4) * 8 / 4)


def test_the_first_step_is_in_the_first_epoch(clock):
    course = Course([4, 4], before=0, after=0, run=Pace(clock), clock=clock)
    assert (course.epoch_number, course.epoch[:2]) == (1, (0, 4))
    make_steps(course, clock, 8, seconds_each=1)
    assert (course.epoch_number, course.epoch) == (2, (4, 4, 0))
