"""The time and the peak memory of a call; for scripts in any environment on Linux."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUND_SECONDS = 0.3


def round_ms(call: Callable[[], Any], on_the_clock: bool) -> float:
    """The mean time of as many calls as about `ROUND_SECONDS` hold, after two to warm up; of all processors, or passed.

    For a single short call the system may count no processor time yet, if another thread does the work.
    """
    now = time.perf_counter if on_the_clock else time.process_time
    call()
    started = time.perf_counter()
    call()
    calls = max(1, int(ROUND_SECONDS / (time.perf_counter() - started)))
    before = now()
    for _ in range(calls):
        call()
    return 1000 * (now() - before) / calls


def peak_mib(call: Callable[[], Any]) -> float:
    """By how much the resident memory of this process grows at most while `call` runs; its result is part of it.

    What is free is first given back to the system, and the system's record of the peak is reset.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before_kib = _resident_kib("VmRSS")
    result = call()
    grown_kib = _resident_kib("VmHWM") - before_kib
    del result
    return grown_kib / 1024


def _resident_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
