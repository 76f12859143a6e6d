"""Memory of this machine and of this process."""

import contextlib
import os
import re
import resource
import sys
from pathlib import Path


def memory_bytes() -> int:
    """Return the main memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_bytes() -> int:
    """Return the main memory that programs can still take; that of the machine if the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return memory_bytes()
    return _kilobytes("MemAvailable", lines) or memory_bytes()


def reset_peak() -> None:
    """Start a new measurement of the peak; only Linux can, elsewhere the peak is that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """Return the largest resident memory since `reset_peak`, including memory-mapped files."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        units = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * units
    return _kilobytes("VmHWM", status)


def resident_bytes() -> int:
    """Return the resident memory of this process now; 0 if the system does not say."""
    try:
        return _kilobytes("VmRSS", Path("/proc/self/status").read_text(encoding="ascii", errors="replace"))
    except OSError:
        return 0


def _kilobytes(name: str, text: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    return int(found.group(1)) * 1024 if found else 0
