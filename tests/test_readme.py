"""The README's commands are those that continuous integration and users run."""

import re
import shlex
from pathlib import Path

import numpy as np
import typer

from tfseg.cli.app import app
from tfseg.losses import LOSSES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_continuous_integration_runs_the_test_command():
    (command,) = [line.strip() for line in README.splitlines() if "pytest" in line and line.startswith("    ")]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_command_and_option_exists():
    commands = typer.main.get_command(app).commands
    lines = re.findall(r"(?:^    |&& \.venv/bin/)(tfseg .*)$", README, flags=re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        _, command, *words = shlex.split(line)
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_every_loss_is_named():
    section = README.split("## Losses")[1].split("Losses of the same name")[0]
    assert set(LOSSES) <= set(re.findall(r"`(\w+)`", section))


def test_the_example_in_python_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {"truth": np.ones((3, 4, 5), int), "prediction": np.ones((3, 4, 5), int)}
    exec(code, names)
    assert names["loss"].alpha == 0.3
    assert set(names["scores"]["label"]) == {"spleen"}


def test_links_lead_to_files_and_headings():
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    assert targets
    sections = {
        re.sub(r"\W+", "-", heading).lower() for heading in re.findall(r"^#+ (.*)$", README, flags=re.MULTILINE)
    }
    files = [target for target in targets if not target.startswith("#")]
    assert [target for target in files if not (ROOT / target).exists()] == []
    assert {target.removeprefix("#") for target in targets if target not in files} <= sections
