"""A search on a real cluster ends as one without Ray, whatever is lost on the way."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

TFSEG = [sys.executable, "-c", "import sys; sys.argv[0] = 'tfseg'; from tfseg.cli.app import main; main()"]
SMALL = ("model.filters=2", "model.depth=1", "training.threads=1", "training.epochs=8", "training.batch_size=6")


def test_a_lost_machine_and_a_lost_command_change_nothing(alone_on_network, prepared, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text("training.learning_rate: {grid: [0.003, 0.03]}")
    words = ["tune", "--prepared", str(prepared.folder), "--space", str(space), "--loss", "dice", "--folds", "3"]
    words += [word for setting in SMALL for word in ("--set", setting)]
    tables = []
    for name, before in (
        ("alone", TFSEG),
        ("ray", [*alone_on_network, sys.executable, str(Path(__file__).with_name("losing_both.py"))]),
    ):
        out = tmp_path / name
        done = subprocess.run([*before, *words, "--out", str(out)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        tables.append(pd.read_csv(out / "trials.csv").drop(columns="seconds"))
    assert json.loads(done.stdout.splitlines()[-1]) == {"lost": ["machine", "command"], "code": 0}
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    scores = [(tmp_path / name / "best" / "scores.csv").read_bytes() for name in ("alone", "ray")]
    assert scores[0] == scores[1]
