"""Name the processor of this machine, and count its cores."""

import os
import platform
from pathlib import Path


def usable_cores() -> int:
    """Return the cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """Return the processor's type: its model on Linux, elsewhere what the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        facts.setdefault(name.strip(), value.strip())
    known = [facts[name] for name in ("model name", "cpu family", "model", "stepping") if name in facts]
    return " ".join([known[0], "/".join(known[1:])]) if known else platform.machine()
