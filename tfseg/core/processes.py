"""Work on many items in several processes at a time."""

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


def each(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1
) -> Generator[tuple[Item, Result], None, None]:
    """Yield items with their results, as they are done; one worker works in this process, in order.

    No more than two items a worker are under way, so memory does not grow with their number. Processes are spawned:
    a main module that starts more than one must be one that can be imported.

    Raises:
        Exception: what `function` raises; what is under way then is finished first.
        MemoryError: where a process was killed.
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
                "a worker process was killed, as when memory is short; `tfseg prep --workers 1` needs less"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _in_worker() -> None:
    """Leave an interruption to the parent process, and end when it does."""
    signal(SIGINT, SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
