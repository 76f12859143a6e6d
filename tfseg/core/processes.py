"""Apply a function to many items in several processes."""

import os
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from signal import SIG_IGN, SIGINT, signal
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1
) -> Generator[tuple[Item, Result], None, None]:
    """Yield items with their results as they finish; a single worker is this process and keeps the order.

    At most two items per worker are in progress, so memory does not grow with their number. Processes are spawned, so
    the main module must be importable if there is more than one.

    Args:
        function: picklable, as is what it takes and returns.
        items: taken as workers become free.
        workers: number of processes.

    Raises:
        Exception: whatever `function` raises, after the items in progress are finished.
        MemoryError: if a process was killed.

    >>> list(in_processes(abs, [-1, 2]))
    [(-1, 1), (2, 2)]
    """
    if workers == 1:
        for item in items:
            yield item, function(item)
        return
    waiting = iter(items)
    with ProcessPoolExecutor(workers, get_context("spawn"), _in_worker) as pool:
        under_way: dict[Future[Result], Item] = {}
        try:
            while True:
                under_way |= {
                    pool.submit(function, item): item for item in islice(waiting, 2 * workers - len(under_way))
                }
                if not under_way:
                    return
                for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                    yield under_way.pop(done), done.result()
        except BrokenProcessPool as error:
            raise MemoryError(
                "a worker process was killed, as happens if memory is short; one worker at a time needs less"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _in_worker() -> None:
    """Ignore interruptions, which the parent process handles, and end when the parent ends."""
    signal(SIGINT, SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
