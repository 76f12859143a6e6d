"""The site of docs/ builds without a warning, and holds what the code offers."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GENERATE = ROOT / "docs/generate"


def test_base_yaml_is_written_from_the_code():
    """`make docs` writes it: each default, and the first line of each key's docstring as its comment."""
    program = "import base; print(base.base_yaml(), end='')"
    done = subprocess.run([sys.executable, "-c", program], cwd=GENERATE, capture_output=True, text=True, check=True)
    assert (ROOT / "configs/base.yaml").read_text(encoding="utf-8") == done.stdout
