"""The site of docs/ builds without a warning, and holds what the code offers."""

import doctest
import html
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

import tfseg
from tfseg.cli.app import app
from tfseg.comparison.study import load_study
from tfseg.config.augmentation import AugmentationConfig
from tfseg.config.config import Config, HoldoutConfig
from tfseg.losses import LOSSES
from tfseg.preparation.recipe import load_recipe
from tfseg.preparation.steps import Recipe, SecondMap

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
STUDY_KEYS = {"losses", "arms", "seeds", "primary", "margins"}
# What a page fetches when it is opened; a link is followed only if somebody clicks it.
FETCHED = re.compile(r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(\S+?)["'\s>]|<link[^>]*\shref=["']?(\S+?)["'\s>]""")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site; its build fails on any warning."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def code_on(page: Path) -> set[str]:
    """What a page of the site sets as code."""
    found = re.findall("<code>(.*?)</code>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {html.unescape(each) for each in found}


def keys_of(section: BaseModel, path: str = "") -> set[str]:
    """The dotted keys of a section that has values."""
    keys = set()
    for name in type(section).model_fields:
        value = getattr(section, name)
        keys |= {path + name} | (keys_of(value, f"{path}{name}.") if isinstance(value, BaseModel) else set())
    return keys


def test_every_page_is_built(site):
    for page in PAGES:
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file(), page
    assert not (site / "generate").exists()


def test_every_key_of_a_configuration_is_on_its_page(site):
    changes = [f"augmentation.{name}.{key}" for name, key in (("rotate", "degrees"), ("flip", "axes"))]
    expected = keys_of(Config()) | {f"training.{change}" for change in changes}
    expected |= {f"training.augmentation.{name}.probability" for name in AugmentationConfig.model_fields}
    expected |= {
        "model.import",
        "model.settings",
        "stages.loss",
        *(f"folds.{key}" for key in HoldoutConfig.model_fields),
    }
    assert expected - code_on(site / "configurations.html") == set()


def test_every_key_of_a_recipe_is_on_its_page(site):
    expected = {*Recipe.model_fields, *(f"second_map.{key}" for key in SecondMap.model_fields)}
    assert expected - code_on(site / "recipes.html") == set()


def test_a_key_has_its_range_default_and_meaning(site):
    rows = re.findall("<tr>(.*?)</tr>", (site / "configurations.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    cells = [[html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall("<td>(.*?)</td>", row)] for row in rows]
    by_key = {cell[0]: cell[1:] for cell in cells if cell}
    assert by_key["training.patience"][:2] == ["whole number ≥ 1 or null", "null"]
    assert by_key["model.dropout"][:2] == ["list of 2 numbers ≥ 0 and < 1", "[0.0, 0.2]"]
    assert by_key["training.augmentation.flip.axes"][1] == "required"
    assert by_key["training.schedule.power"] == ["number > 0", "0.9", "Power of polynomial."]


def test_every_command_and_option_is_on_its_page(site):
    shown = code_on(site / "commands.html")
    for name, command in typer.main.get_command(app).commands.items():
        assert f'id="{name}"' in (site / "commands.html").read_text(encoding="utf-8")
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
        assert {option for option in options if not any(option in code.split(", ") for code in shown)} == set(), name


def test_every_public_name_is_on_the_page_of_the_api(site):
    page = (site / "api.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'id="tfseg\.([\w.]+)"', page))
    for name in set(tfseg.__all__) - {"__version__"}:
        module = getattr(tfseg, name)
        assert set(module.__all__) - {full.rpartition(".")[2] for full in shown} == set(), name
    assert {loss.__name__ for loss in LOSSES.values()} - code_on(site / "api.html") == set()


def test_the_site_needs_no_network_and_names_no_folder_of_the_machine(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = {source or target for source, target in FETCHED.findall(text)}
        assert fetched and {each for each in fetched if each.startswith(("http", "//"))} == set(), page
        assert str(ROOT) not in text and sys.prefix not in text, page


def test_examples_in_pages_run():
    results = {page: doctest.testfile(str(page), module_relative=False, encoding="utf-8") for page in PAGES}
    assert sum(result.attempted for result in results.values()) >= 5
    assert {page.name for page, result in results.items() if result.failed} == set()


def test_settings_in_pages_are_valid(tmp_path):
    """A block that begins with a key of a configuration, study or recipe is one; it is read without its base."""
    file, seen = tmp_path / "settings.yaml", set[str]()
    for page in DOCS.glob("*.md"):
        for block in re.findall(r"(?:^    .*\n)+", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            lines = [line for line in textwrap.dedent(block).splitlines() if not line.startswith(("base:", "tfseg "))]
            if not lines or lines[0].partition(":")[0] not in {*Config.model_fields, *Recipe.model_fields, *STUDY_KEYS}:
                continue
            file.write_text("\n".join(lines), encoding="utf-8")
            seen.add(page.stem)
            load_recipe(file) if page.stem == "recipes" else load_study(file, None, [], None, None)
    assert {"configurations", "training", "comparison", "recipes", "verdicts"} <= seen


def test_base_yaml_is_written_from_the_code():
    """`make docs` writes it: each default, and the first line of each key's docstring as its comment."""
    program = "import base; print(base.base_yaml(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=DOCS / "generate", capture_output=True, text=True, check=True
    )
    assert (ROOT / "configs/base.yaml").read_text(encoding="utf-8") == done.stdout
