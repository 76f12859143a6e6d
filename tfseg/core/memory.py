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
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak.group(1)) * 1024 if peak else 0
