"""The time of a call, on the processor and on the clock; for scripts in any environment."""

import os
import time
from collections.abc import Callable
from typing import Any


def least(call: Callable[[], Any], calls: int = 5) -> dict[str, Any]:
    """Call once to warm up, then `calls` times: the least times in ms, which are the least disturbed, and the value.

    Processor time is that of all threads of the process.
    """
    value = call()
    cpu_ms, clock_ms = [], []
    for _ in range(calls):
        cpu, clock = time.process_time(), time.perf_counter()
        call()
        cpu_ms.append(1000 * (time.process_time() - cpu))
        clock_ms.append(1000 * (time.perf_counter() - clock))
    return {"cpu_ms": min(cpu_ms), "clock_ms": min(clock_ms), "value": value}


def once(call: Callable[[], Any]) -> dict[str, float]:
    """Call once: seconds on the clock, and of processors, those of finished child processes among them."""
    cpu, clock = _cpu_seconds(), time.perf_counter()
    call()
    return {"clock_s": time.perf_counter() - clock, "cpu_s": _cpu_seconds() - cpu}


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
