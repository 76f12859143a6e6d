"""Work in several processes; what runs in them stands at the top of the module."""

import operator
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tfseg.core.processes import in_processes

ROOT = Path(__file__).parents[2]


def test_one_worker_works_in_order_and_one_item_at_a_time():
    seen = []

    def square(number):
        seen.append(number)
        return number**2

    results = in_processes(square, range(5))
    assert next(results) == (0, 0)
    assert seen == [0]
    assert list(results) == [(1, 1), (2, 4), (3, 9), (4, 16)]


def test_every_item_comes_back_with_its_result_from_more_workers():
    drawn = []

    def items():
        for number in range(20):
            drawn.append(number)
            yield number

    results = in_processes(partial(operator.mul, 3), items(), workers=2)
    first = next(results)
    assert len(drawn) <= 4  # two a worker under way
    assert sorted([first, *results]) == [(number, 3 * number) for number in range(20)]


def test_an_error_comes_through():
    with pytest.raises(ZeroDivisionError):
        list(in_processes(partial(operator.truediv, 1), [1, 0, 2], workers=2))


def test_a_killed_worker_is_reported():
    with pytest.raises(MemoryError, match="a worker process was killed"):
        list(in_processes(os._exit, [9, 9], workers=2))


WAITING = """
import time
from tfseg.core.processes import in_processes
if __name__ == "__main__":
    results = in_processes(time.sleep, [0.0, 600.0, 600.0], workers=2)
    next(results)
    print("started", flush=True)
    next(results)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="processes are looked up in /proc")
def test_workers_end_with_their_parent(tmp_path):
    (tmp_path / "main.py").write_text(WAITING)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "main.py")], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout.readline() == b"started\n"
    children = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent_of(pid) == parent.pid]
    assert children
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in children)


def stat(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def parent_of(pid):
    fields = stat(pid)
    return int(fields[1]) if fields else None


def alive(pid):
    fields = stat(pid)
    return fields is not None and fields[0] != "Z"
