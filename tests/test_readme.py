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
    """Those of the README, and those of the pages in docs/."""
    commands = typer.main.get_command(app).commands
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"(?:^    |&& \.venv/bin/)(tfseg .*)$", text, flags=re.MULTILINE):
            _, command, *words = shlex.split(line)
            known = {option for parameter in commands[command].params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= known, f"{page.name}: {line}"


def test_every_loss_is_named():
    section = README.split("## Losses")[1].split("Losses of the same name")[0]
    assert set(LOSSES) <= set(re.findall(r"`(\w+)`", section))


def test_the_example_in_python_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {"truth": np.ones((3, 4, 5), int), "prediction": np.ones((3, 4, 5), int)}
    exec(code, names)
    assert names["loss"].alpha == 0.3
    assert set(names["scores"]["label"]) == {"spleen"}


def headings(page: str) -> set[str]:
    """The headings of a page in Markdown, as links name them."""
    return {re.sub(r"\W+", "-", heading).lower() for heading in re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)}


def test_links_lead_to_files_and_headings():
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    assert targets
    for file, _, heading in (target.partition("#") for target in targets):
        path = ROOT / (file or "README.md")
        assert path.exists(), path
        assert not heading or heading in headings(path.read_text(encoding="utf-8")), (file, heading)
