"""A few of the broken inputs of `benchmarks/broken_inputs.py`: every command refuses them in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and waited for as Linux does")
def test_a_few_broken_inputs_are_refused():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "benchmarks/broken_inputs.py", "--few"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.splitlines()[-1]
    assert summary.startswith("20 broken inputs, ") and summary.endswith("; 0 failed a check")
