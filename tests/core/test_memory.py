import subprocess
import sys

from tfseg.core import memory

MEASURED = """
import numpy as np
from tfseg.core import memory
array = np.ones(10**7)
high = memory.peak_bytes()
del array
memory.reset_peak()
print(high, memory.peak_bytes())
"""


def test_the_peak_is_measured_anew():
    """In a process of its own, whose memory nothing else moves."""
    run = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    high, later = map(int, run.stdout.split())
    assert later > 10**7
    assert high - later > 7 * 10**7


def test_memory_of_the_machine():
    assert 2**28 < memory.memory_bytes() < 2**50
